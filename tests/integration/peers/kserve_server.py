"""A KServe server with a model of one line, run by the interpreter of `.venv-bench-kserve`.

`python kserve_server.py --http_port N --grpc_port N`: `half` answers [rows, 1] with half of the first of two columns.
"""

from __future__ import annotations

from typing import Any

from kserve import InferOutput, InferResponse, Model, ModelServer
from kserve.utils.utils import generate_uuid


class Half(Model):  # type: ignore[misc]  # KServe lives in another environment, without types here
    def __init__(self) -> None:
        super().__init__("half")
        self.ready = True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        values = payload.inputs[0].as_numpy()[:, :1] / 2
        output = InferOutput("p", list(values.shape), "FP32")
        output.set_data_from_numpy(values.astype("float32"), binary_data=False)
        return InferResponse(payload.id or generate_uuid(), "half", [output])


if __name__ == "__main__":
    ModelServer(enable_docs_url=False).start([Half()])
