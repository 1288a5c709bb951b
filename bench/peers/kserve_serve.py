"""KServe's Python server, MODEL PORT: its first protocol, one worker, gRPC and the log line a request off.

Runs in `.venv-bench-kserve`. `predict` is a coroutine, so that the model is called where the request is handled. KServe
listens on all interfaces and has no setting for it; here it is kept to this machine.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import kserve
from kserve.protocol.rest import server as rest

from bench.peers.scoring import Model


class Tabular(kserve.Model):
    def __init__(self, path: str) -> None:
        super().__init__("tabular")
        self.model = Model(path)
        self.ready = True

    async def predict(self, payload: dict[str, Any], headers: Any = None) -> dict[str, Any]:
        return {"predictions": self.model.scores(payload["instances"])}


def main() -> None:
    model, port = sys.argv[1], int(sys.argv[2])
    sys.argv[1:] = []
    configure = rest.uvicorn.Config

    @functools.wraps(configure)
    def on_loopback(*args: Any, **settings: Any) -> Any:
        return configure(*args, **{**settings, "host": "127.0.0.1", "access_log": False})

    rest.uvicorn.Config = on_loopback
    server = kserve.ModelServer(
        http_port=port, workers=1, enable_grpc=False, enable_latency_logging=False
    )
    server.start([Tabular(model)])


if __name__ == "__main__":
    main()
