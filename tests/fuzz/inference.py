"""Requests and answers of the Open Inference Protocol: JSON, and JSON with raw tensors behind it.

The first two bytes say how long the JSON is; 0: all of it is JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from opsrail.errors import InvalidInput
from opsrail.values.inference import (
    Body,
    InferenceRequest,
    InferenceResponse,
    read_request,
    read_response,
    write_request,
    write_response,
)
from opsrail.values.tensors import DATATYPES, Tensor

T = TypeVar("T")


def with_length(body: Body) -> bytes:
    """Return a body behind the length of its JSON."""
    return (body.header_bytes or 0).to_bytes(2, "little") + body.content


TENSORS = tuple(
    Tensor(kind.lower(), kind, (2, 1), (b"a", b"bc") if kind == "BYTES" else (0, 1))
    for kind in DATATYPES
)
REQUEST = InferenceRequest(TENSORS, id="42", wants_raw=True, parameters={"a": 1})
ANSWER = InferenceResponse("fraud-risk", "3", TENSORS, "42")
SAMPLES = (
    with_length(write_request(REQUEST)),
    with_length(write_request(REQUEST, raw={tensor.name for tensor in TENSORS})),
    with_length(write_response(ANSWER)),
    with_length(write_response(ANSWER, raw={"bytes", "fp16", "bool"})),
    b'\0\0{"inputs": [{"name": "x", "datatype": "FP64", "shape": [2, 2], "data": [[1, 2], [3, 4]]}],'
    b' "outputs": [{"name": "y", "parameters": {"binary_data": true}}]}',
    b'\0\0{"inputs": [{"name": "x", "datatype": "INT8", "shape": [2147483647, 0], "data": []}]}',
)


def run_one(data: bytes) -> None:
    """Read a body as each of them; what was read is the same when it is written raw and read again."""
    size = int.from_bytes(data[:2], "little")
    body = Body(data[2:], size or None)
    if (request := _read(read_request, body)) is not None:
        names = {tensor.name for tensor in request.inputs}
        again = write_request(request, raw=names)
        assert write_request(read_request(again), raw=names) == again
    if (answer := _read(read_response, body)) is not None:
        names = {tensor.name for tensor in answer.outputs}
        told = write_response(answer, raw=names)
        assert write_response(read_response(told), raw=names) == told


def _read(reader: Callable[[Body], T], body: Body) -> T | None:
    try:
        return reader(body)
    except InvalidInput:
        return None
