"""MLServer, MODEL PORT BATCH TIMEOUT_S: a custom runtime without parallel workers (one core), BATCH 0: no batching.

Runs in `.venv-bench-mlserver`. Questions and answers are those of the Open Inference Protocol; access log (`debug`),
metrics and gzip are off, uvloop is on, as its own command sets it.
"""

from __future__ import annotations

import socket
import sys

import mlserver
import uvloop
from mlserver.codecs import NumpyCodec

from bench.peers.scoring import Model


class Tabular(mlserver.MLModel):
    async def load(self) -> bool:
        self.model = Model(self.settings.parameters.uri)
        return True

    async def predict(self, payload: mlserver.types.InferenceRequest) -> object:
        scores = self.model.scores(NumpyCodec.decode_input(payload.inputs[0]))
        output = mlserver.types.ResponseOutput(
            name="score", shape=[len(scores), 1], datatype="FP32", data=scores
        )
        return mlserver.types.InferenceResponse(model_name=self.name, outputs=[output])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def serve(model: str, port: int, batch: int, timeout_s: float) -> None:
    server = mlserver.MLServer(
        mlserver.Settings(
            debug=False,
            parallel_workers=0,
            host="127.0.0.1",
            http_port=port,
            grpc_port=free_port(),  # it always serves gRPC too
            metrics_endpoint=None,
            gzip_enabled=False,
        )
    )
    tabular = mlserver.ModelSettings(
        name="tabular",
        implementation=Tabular,
        max_batch_size=batch,
        max_batch_time=timeout_s,
        parameters=mlserver.settings.ModelParameters(uri=model),
    )
    await server.start([tabular])


def main() -> None:
    model, port, batch, timeout_s = sys.argv[1:]
    uvloop.run(serve(model, int(port), int(batch), float(timeout_s)))


if __name__ == "__main__":
    main()
