"""BentoML, MODEL PORT plain|batch: `bentoml serve` in production mode, one worker, or with its adaptive batching.

Runs in `.venv-bench-bentoml`. The method is a coroutine, so that no thread pool stands between the loop and the model;
access log, metrics and usage reports are off.
"""

from __future__ import annotations

import os
import sys

import bentoml

from bench.peers.scoring import Model

MODEL = "BENCH_MODEL"
SERVICE = bentoml.service(
    workers=1,
    traffic={"timeout": 60},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)


@SERVICE
class Plain:
    def __init__(self) -> None:
        self.model = Model(os.environ[MODEL])

    @bentoml.api(route="/score")
    async def score(self, rows: list[list[float]]) -> list[float]:
        return self.model.scores(rows)


@SERVICE
class Batching:
    def __init__(self) -> None:
        self.model = Model(os.environ[MODEL])

    @bentoml.api(route="/score", batchable=True, max_batch_size=64, max_latency_ms=1_000)
    async def score(self, rows: list[list[float]]) -> list[float]:
        return self.model.scores(rows)


def main() -> None:
    model, port, kind = sys.argv[1:4]
    service = f"bench.peers.bentoml_serve:{'Batching' if kind == 'batch' else 'Plain'}"
    words = ["-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", port]
    os.execve(sys.executable, [sys.executable, *words], {**os.environ, MODEL: model})  # noqa: S606


if __name__ == "__main__":
    main()
