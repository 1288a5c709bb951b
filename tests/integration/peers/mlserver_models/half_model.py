"""A model of one line for MLServer: half of the first of two columns, [rows]."""

from __future__ import annotations

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Half(MLModel):  # type: ignore[misc]  # MLServer lives in another environment, without types here
    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        values = NumpyCodec.decode_input(payload.inputs[0])[:, 0] / 2
        output = NumpyCodec.encode_output("p", values.astype(np.float32))
        return InferenceResponse(model_name=self.name, outputs=[output])
