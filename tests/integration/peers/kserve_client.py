"""Asks an opsrail with KServe's own clients, run by the interpreter of `.venv-bench-kserve`.

`python kserve_client.py http://HOST:PORT HOST:GRPC_PORT`: prints what was answered as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig

IDS = np.array(["c-1", "c-2"], dtype=np.object_)
AMOUNTS = np.array([[100.0], [1500.0]], dtype=np.float32)


def request(is_raw: bool) -> Any:
    inputs = [InferInput("claim_id", [2], "BYTES"), InferInput("amount", [2, 1], "FP32")]
    for one, array in zip(inputs, (IDS, AMOUNTS), strict=True):
        one.set_data_from_numpy(array, binary_data=is_raw)
    return InferRequest(model_name="fraud-risk", infer_inputs=inputs, request_id="r-1")


def told(response: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": response.id, "model": response.model_name}
    for one in response.outputs:
        values = one.as_numpy().tolist()
        shown[one.name] = [
            value.decode() if isinstance(value, bytes) else value for value in values
        ]
    return shown


async def main(url: str, target: str) -> None:
    answers = []
    async with InferenceRESTClient(RESTConfig(protocol="v2", verbose=False)) as rest:
        assert await rest.is_server_live(url)
        assert await rest.is_server_ready(url)
        assert await rest.is_model_ready(url, "fraud-risk")
        assert not await rest.is_model_ready(url, "none-such")
        for is_raw in (False, True):
            answers.append(told(await rest.infer(url, request(is_raw), model_name="fraud-risk")))
        try:
            await rest.infer(url, {"inputs": []}, model_name="fraud-risk")
        except Exception as error:
            refused = str(error)
    async with InferenceGRPCClient(target) as grpc:
        assert await grpc.is_server_live()
        assert await grpc.is_server_ready()
        assert await grpc.is_model_ready("fraud-risk")
        for is_raw in (False, True):
            answers.append(told(await grpc.infer(request(is_raw))))
    print(json.dumps({"answers": answers, "refused": refused}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
