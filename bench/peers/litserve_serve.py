"""LitServe, MODEL PORT BATCH WAIT_S QUEUED_S: `predict` alone (BATCH 1) or with LitServe's own batching.

Runs in `.venv-bench-litserve`: one worker and one HTTP server, as there is one core, and the ZeroMQ queue (`fast_queue`),
which its documentation wants from 100 requests a second on. What has queued for longer than QUEUED_S is refused.
"""

from __future__ import annotations

import sys
from typing import Any

import litserve

from bench.peers.scoring import Model, row_of


class Tabular(litserve.LitAPI):
    """One question, one row; `batch` and `unbatch` are used when it batches."""

    model_path = ""

    def setup(self, device: str) -> None:
        self.model = Model(self.model_path)

    def decode_request(self, request: dict[str, float]) -> list[float]:
        return row_of(request)

    def batch(self, inputs: list[list[float]]) -> list[list[float]]:
        return inputs

    def predict(self, x: Any) -> Any:
        if self.max_batch_size > 1:
            return self.model.scores(x)
        return self.model.scores([x])[0]

    def unbatch(self, output: list[float]) -> list[float]:
        return output

    def encode_response(self, output: float) -> dict[str, float]:
        return {"score": output}


def main() -> None:
    model, port, batch = sys.argv[1], *map(int, sys.argv[2:4])
    wait_s, queued_s = map(float, sys.argv[4:6])
    api = Tabular(max_batch_size=batch, batch_timeout=wait_s, api_path="/score")
    api.model_path = model
    server = litserve.LitServer(
        api,
        accelerator="cpu",
        devices=1,
        workers_per_device=1,
        fast_queue=True,
        timeout=queued_s,
    )
    server.run(
        host="127.0.0.1",
        port=port,
        num_api_servers=1,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )


if __name__ == "__main__":
    main()
