"""What is written is read back the same; what a stranger sends is read or refused, and costs no more than it weighs."""

from __future__ import annotations

import math
import struct
import tracemalloc
from contextlib import suppress
from typing import Any

import orjson
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy

from opsrail.errors import InvalidInput
from opsrail.values.inference import (
    Body,
    InferenceRequest,
    InferenceResponse,
    Wanted,
    read_request,
    read_response,
    write_request,
    write_response,
)
from opsrail.values.inference_proto import (
    message_class,
    message_of_request,
    message_of_response,
    request_from,
    response_from,
)
from opsrail.values.tensors import DATATYPES, LENGTH, Tensor, from_json, from_raw, to_raw

NUMPY = {"BOOL": "?", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8"}
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


def elements(datatype: str, *, is_finite: bool = False) -> st.SearchStrategy[Any]:
    kind = DATATYPES[datatype]
    if datatype == "BYTES":
        return st.text().map(str.encode) if is_finite else st.binary(max_size=40)
    if datatype == "BOOL":
        return st.booleans()
    if kind.is_float:
        width = 8 * kind.size_bytes
        return st.floats(width=width, allow_nan=False, allow_infinity=not is_finite)  # type: ignore[arg-type]
    return st.integers(int(kind.low), int(kind.high))


@st.composite
def tensors(draw: st.DrawFn, *, is_finite: bool = False, typed: bool = False) -> Tensor:
    known = [name for name in DATATYPES if not (typed and name == "FP16")]
    datatype = draw(st.sampled_from(known))
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=3)))
    count = math.prod(shape)
    held = elements(datatype, is_finite=is_finite)
    data = draw(st.lists(held, min_size=count, max_size=count))
    return Tensor(draw(NAMES), datatype, shape, data)


def unique(**how: bool) -> st.SearchStrategy[list[Tensor]]:
    return st.lists(tensors(**how), min_size=1, max_size=4, unique_by=lambda tensor: tensor.name)


@given(unique(is_finite=True), st.data())
def test_a_request_comes_back_as_json_raw_or_both(
    given_: list[Tensor], data: st.DataObject
) -> None:
    raw = data.draw(st.sets(st.sampled_from([tensor.name for tensor in given_])))
    outputs = data.draw(
        st.lists(st.builds(Wanted, NAMES, st.booleans()), unique_by=lambda w: w.name)
    )
    request = InferenceRequest(
        tuple(given_), tuple(outputs), data.draw(st.text(st.characters(codec="utf-8"), max_size=9))
    )
    back = read_request(write_request(request, raw=raw))

    assert same(back.inputs, request.inputs)
    assert (back.outputs, back.id) == (request.outputs, request.id)


@given(unique())
def test_an_answer_comes_back_raw_with_whatever_it_holds(given_: list[Tensor]) -> None:
    response = InferenceResponse("m", "3", tuple(given_), "r-1")
    back = read_response(write_response(response, raw=[tensor.name for tensor in given_]))

    assert same(back.outputs, response.outputs)
    assert (back.model_name, back.model_version, back.id) == ("m", "3", "r-1")


@given(unique(typed=True), st.booleans())
def test_grpc_messages_come_back_typed_or_raw(given_: list[Tensor], is_raw: bool) -> None:
    request = InferenceRequest(tuple(given_), id="r-1")
    sent = message_of_request(request, "m", "1", is_raw=is_raw).SerializeToString()
    back, was_raw = request_from(message_class("ModelInferRequest").FromString(sent))
    response = InferenceResponse("m", "1", tuple(given_))
    sent = message_of_response(response, is_raw=is_raw).SerializeToString()
    answered = response_from(message_class("ModelInferResponse").FromString(sent))

    assert was_raw == is_raw
    assert same(back.inputs, request.inputs)
    assert same(answered.outputs, response.outputs)


@pytest.mark.parametrize("datatype", sorted(NUMPY))
@given(st.data())
def test_raw_elements_are_numpys_own_bytes(datatype: str, data: st.DataObject) -> None:
    array = data.draw(of_numpy.arrays(NUMPY[datatype], st.integers(0, 20)))
    tensor = from_raw("x", datatype, array.shape, array.tobytes())

    assert to_raw(tensor) == array.tobytes() or bool(
        (array != array).any()
    )  # a NaN may lose its payload


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda held: (
        st.lists(held, max_size=4) | st.dictionaries(st.text(max_size=9), held, max_size=4)
    ),
)
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "name": NAMES | JSON,
        "datatype": st.sampled_from(sorted(DATATYPES)) | JSON,
        "shape": st.lists(st.integers(-2, 2**40), max_size=10) | JSON,
        "data": JSON,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": JSON}) | JSON,
    },
)
TREES = st.fixed_dictionaries(
    {}, optional={name: st.lists(MEMBERS, max_size=3) | JSON for name in ("inputs", "outputs")}
)


@given(TREES, st.binary(max_size=50), st.integers(-5, 400) | st.none())
def test_a_hostile_body_is_read_or_refused(tree: Any, behind: bytes, moved: int | None) -> None:
    try:
        header = orjson.dumps(tree)
    except orjson.JSONEncodeError:  # an integer of more than 64 bits
        return
    size = None if moved is None else len(header) + (moved if moved < 100 else 0)
    for read in (read_request, read_response):
        try:
            read(Body(header + behind, size))
        except InvalidInput:
            continue


@given(st.binary(max_size=200))
def test_hostile_bytes_are_read_or_refused(content: bytes) -> None:
    for size in (None, len(content) // 2):
        for read in (read_request, read_response):
            try:
                read(Body(content, size))
            except InvalidInput:
                continue
    with suppress(InvalidInput):
        from_raw("x", "BYTES", (len(content) // 5,), content)


@given(st.binary(max_size=300))
def test_hostile_grpc_messages_are_read_or_refused(content: bytes) -> None:
    for name, read in (("ModelInferRequest", request_from), ("ModelInferResponse", response_from)):
        try:
            message = message_class(name).FromString(content)
        except DecodeError:
            continue
        try:
            read(message)
        except InvalidInput:
            continue


@pytest.mark.parametrize("datatype", sorted(DATATYPES))
@pytest.mark.parametrize(
    "shape", [[10**6], [1000, 1000], [2**31 - 1, 2**31 - 1], [10**6] * 8, [2**63], [1] * 9]
)
def test_a_shape_that_lies_costs_nothing(datatype: str, shape: list[int]) -> None:
    tensor = {"name": "x", "datatype": datatype, "shape": shape}
    lies = [
        Body(orjson.dumps({"inputs": [{**tensor, "data": []}]}), None),
        Body(orjson.dumps({"inputs": [{**tensor, "data": [[]]}]}), None),
    ]
    raw = orjson.dumps({"inputs": [{**tensor, "parameters": {"binary_data_size": 8}}]})
    lies.append(Body(raw + b"12345678", len(raw)))
    tracemalloc.start()
    try:
        for body in lies:
            with pytest.raises(InvalidInput):
                read_request(body)
        _, most_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most_bytes < 200_000


def test_the_length_of_an_element_that_lies_costs_nothing() -> None:
    with pytest.raises(InvalidInput, match="longer than what was sent"):
        from_raw("x", "BYTES", (2,), LENGTH.pack(2**32 - 1) + b"abcd")


@pytest.mark.parametrize(
    ("datatype", "element"),
    [
        ("INT8", 128), ("UINT8", -1), ("INT64", 2**63), ("INT32", 1.5), ("FP16", 70_000), ("FP32", 1e300),
        ("BOOL", 1), ("BYTES", 1), ("FP64", "1"), ("INT64", True), ("FP64", None),
    ],
)  # fmt: skip
def test_an_element_that_is_none_of_the_datatype_is_named(datatype: str, element: object) -> None:
    with pytest.raises(InvalidInput, match=rf"x.data\[1\]: is no {datatype}"):
        from_json("x", datatype, (2,), [from_raw_one(datatype), element])


def from_raw_one(datatype: str) -> object:
    """Return a zero as JSON has it."""
    return {"BOOL": False, "BYTES": ""}.get(datatype, 0)


def test_nested_lists_must_be_nested_as_the_shape_says() -> None:
    assert from_json("x", "INT8", (2, 2), [[1, 2], [3, 4]]).data == [1, 2, 3, 4]
    for wrong in ([[1, 2, 3, 4]], [[1], [2, 3, 4]], [[1, 2], 3, 4], [[[1], [2]], [[3], [4]]]):
        with pytest.raises(InvalidInput):
            from_json("x", "INT8", (2, 2), wrong)


def same(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> bool:
    """Return whether tensors are equal, -0.0 and NaN bit by bit."""
    return [bits(tensor) for tensor in first] == [bits(tensor) for tensor in second]


def bits(tensor: Tensor) -> object:
    data = [struct.pack("<d", x) if isinstance(x, float) else x for x in tensor.data]
    return tensor.name, tensor.datatype, tensor.shape, data
