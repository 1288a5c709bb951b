"""FastAPI by hand, MODEL PORT: pydantic in and out, the model called where the request is handled.

Runs in `.venv-bench-fastapi` on uvicorn with uvloop and httptools, one process. No batching, no record, no fallback.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel, create_model

NAMES = [f"x{place}" for place in range(20)]
Facts: Any = create_model("Facts", **dict.fromkeys(NAMES, (float, ...)))  # type: ignore[call-overload]


class Answer(BaseModel):
    model: str
    score: float
    verdict: str


def create(model: str) -> FastAPI:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    app = FastAPI()

    async def score(facts: Facts) -> Answer:
        row = np.array([list(facts.__dict__.values())], dtype=np.float32)
        value = float(session.run(["probabilities"], {name: row})[0][0, 1])
        verdict = "approve" if value < 0.3 else "review" if value < 0.8 else "decline"
        return Answer(model="tabular/1", score=value, verdict=verdict)

    score.__annotations__ = {"facts": Facts, "return": Answer}
    app.post("/score")(score)
    return app


def main() -> None:
    model, port = sys.argv[1], int(sys.argv[2])
    uvicorn.run(
        create(model),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
