"""Requests and answers of the Open Inference Protocol v2 over HTTP, read and written: JSON, or JSON followed by raw tensors.

With raw tensors the body is a JSON header, whose length stands in `Inference-Header-Content-Length`, and behind it, in the
order of the header, the bytes of each tensor that has `binary_data_size` among its parameters. Pure.

Source:
    Open Inference Protocol v2 (kserve/open-inference-protocol), HTTP/REST; Triton's binary tensor data extension.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from opsrail.errors import Fault, InvalidInput
from opsrail.values.canonical import LARGEST_INTEGER
from opsrail.values.tensors import (
    Tensor,
    datatype_of,
    from_json,
    from_raw,
    shape_of,
    to_json,
    to_raw,
)

LENGTH_HEADER = "inference-header-content-length"
SIZE, RAW, RAW_OUTPUT = "binary_data_size", "binary_data", "binary_data_output"
MOST_TENSORS = 256
LONGEST_NAME = 255
"""Characters of an id or of a tensor's name. Ours: both are said again in answers and errors."""
REQUEST = frozenset({"id", "inputs", "model_name", "model_version", "outputs", "parameters"})
TENSOR = frozenset({"data", "datatype", "name", "parameters", "shape"})
"""Members of a request and of its tensors; in answers of other servers there may be more."""
Parameters = Mapping[str, str | int | float | bool]


class Wanted(NamedTuple):
    """An output that the caller asked for by name.

    Attributes:
        is_raw: Whether as raw bytes.
    """

    name: str
    is_raw: bool


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """What is asked of a model.

    Attributes:
        inputs: Each name once.
        outputs: Which answers are wanted, each once; empty: all.
        id: The caller's own name for the request; said again in the answer.
        wants_raw: Whether outputs that are not named, or named without saying, are wanted as raw bytes.
        parameters: What the caller adds beyond the protocol.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Wanted, ...] = ()
    id: str = ""
    wants_raw: bool = False
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InferenceResponse:
    """What a model answers.

    Attributes:
        model_version: Empty when it is not known.
        id: Of the request.
    """

    model_name: str
    model_version: str
    outputs: tuple[Tensor, ...]
    id: str = ""


class Body(NamedTuple):
    """A body as it is sent.

    Attributes:
        header_bytes: Length of the JSON at its beginning; None: all of it is JSON.
    """

    content: bytes
    header_bytes: int | None


def split(body: Body) -> tuple[bytes, memoryview]:
    """Return the JSON of a body, and what stands behind it. Raises InvalidInput when its length cannot be."""
    content, size = body
    if size is None:
        return content, memoryview(b"")
    if not 0 < size <= len(content):
        fault = Fault(
            "Inference-Header-Content-Length", f"is {size}; the body has {len(content)} bytes"
        )
        raise InvalidInput("the length of the header is wrong", [fault])
    return content[:size], memoryview(content)[size:]


def read_request(body: Body) -> InferenceRequest:
    """Return the request that a body holds.

    Raises:
        InvalidInput: it is none. Terminal; the first fault is named.
    """
    header, raw = split(body)
    tree = _object(header)
    _check_known("", tree, REQUEST)
    for name in ("model_name", "model_version"):
        if not isinstance(tree.get(name), str | None):
            raise _wrong(name, "must be text")
    parameters = _parameters("parameters", tree.get("parameters"))
    wants_raw = parameters.get(RAW_OUTPUT) is True
    inputs = _tensors("inputs", tree.get("inputs"), raw)
    if not inputs:
        raise _wrong("inputs", "must name at least one tensor")
    outputs = tree.get("outputs")
    named = _parts("outputs", [] if outputs is None else outputs)
    for place, part in (*_parts("inputs", tree["inputs"]), *named):
        _check_known(f"{place}.", part, TENSOR)
    wanted = {part["name"]: _wanted(place, part, wants_raw) for place, part in reversed(named)}
    own = {name: value for name, value in parameters.items() if name != RAW_OUTPUT}
    return InferenceRequest(inputs, tuple(reversed(wanted.values())), _id(tree), wants_raw, own)


def write_request(request: InferenceRequest, *, raw: Collection[str] = ()) -> Body:
    """Return a request as it is sent.

    Args:
        raw: Names of the inputs whose elements go as raw bytes.

    Raises:
        InvalidInput: an input that is to go as JSON has no form there. Terminal.
    """
    tree: dict[str, Any] = {"id": request.id} if request.id else {}
    tree["inputs"], behind = _written(request.inputs, raw)
    if request.outputs:
        tree["outputs"] = [
            {"name": one.name, "parameters": {RAW: one.is_raw}} for one in request.outputs
        ]
    parameters = {**request.parameters, **({RAW_OUTPUT: True} if request.wants_raw else {})}
    if parameters:
        tree["parameters"] = parameters
    return _body(tree, behind)


def read_response(body: Body) -> InferenceResponse:
    """Return the answer that a body holds. Raises InvalidInput when it is none."""
    header, raw = split(body)
    tree = _object(header)
    outputs = _tensors("outputs", tree.get("outputs"), raw)
    told = [tree.get(name) for name in ("model_name", "model_version")]
    name, version = (one if isinstance(one, str) else "" for one in told)
    return InferenceResponse(name, version, outputs, _id(tree))


def write_response(response: InferenceResponse, *, raw: Collection[str] = ()) -> Body:
    """Return an answer as it is sent; `raw` as in `write_request`."""
    tree: dict[str, Any] = {"model_name": response.model_name}
    if response.model_version:
        tree["model_version"] = response.model_version
    if response.id:
        tree["id"] = response.id
    tree["outputs"], behind = _written(response.outputs, raw)
    return _body(tree, behind)


def raw_outputs(request: InferenceRequest, names: Sequence[str]) -> frozenset[str]:
    """Return which of the outputs a request wants as raw bytes."""
    if not request.outputs:
        return frozenset(names if request.wants_raw else ())
    return frozenset(one.name for one in request.outputs if one.is_raw)


def check_names(place: str, names: Sequence[str]) -> None:
    """Check names of tensors. Raises InvalidInput when one is no name, or stands twice."""
    check_lengths(place, names)
    if len(set(names)) < len(names):
        raise _wrong(place, "has two tensors of one name")


def check_lengths(place: str, names: Sequence[str]) -> None:
    """Check how many tensors are named, and how long. Raises InvalidInput."""
    if len(names) > MOST_TENSORS:
        raise _wrong(place, f"has {len(names)} tensors; {MOST_TENSORS} are read")
    if not all(0 < len(name) <= LONGEST_NAME for name in names):
        raise _wrong(place, f"a tensor's name must have 1 to {LONGEST_NAME} characters")


def _body(tree: dict[str, Any], behind: Sequence[bytes]) -> Body:
    header = orjson.dumps(tree)
    return Body(b"".join((header, *behind)), len(header)) if behind else Body(header, None)


def _object(header: bytes) -> dict[str, Any]:
    try:
        tree = orjson.loads(header)
    except orjson.JSONDecodeError as wrong:
        raise InvalidInput(f"the body is not JSON: {wrong}") from wrong
    if not isinstance(tree, dict):
        raise InvalidInput("the body is no JSON object")
    return tree


def _id(tree: Mapping[str, Any]) -> str:
    given = tree.get("id", "")
    if given is None:
        return ""
    if not isinstance(given, str) or len(given) > LONGEST_NAME:
        raise _wrong("id", f"must be text of at most {LONGEST_NAME} characters")
    return given


def _parts(place: str, parts: object) -> list[tuple[str, dict[str, Any]]]:
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise _wrong(place, "must be a list of objects")
    names = [part.get("name") for part in parts]
    if not all(isinstance(name, str) for name in names):
        raise _wrong(place, "each of them needs a name")
    check_lengths(place, names)
    return [(f"{place}.{part['name']}", part) for part in parts]


def _parameters(place: str, parameters: object) -> dict[str, Any]:
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise _wrong(place, "must be an object")
    for name, value in parameters.items():
        where = f"{place}.{name[:LONGEST_NAME]}"
        if value is None:
            continue
        if not isinstance(value, str | int | float | bool):
            raise _wrong(where, "must be text, a number, true or false")
        if not isinstance(value, str) and abs(value) > LARGEST_INTEGER:
            raise _wrong(where, "is beyond 2**53")
    return {name: value for name, value in parameters.items() if value is not None}


def _check_known(place: str, part: Mapping[str, Any], known: frozenset[str]) -> None:
    """Check that a request says nothing that would not be heeded. Raises InvalidInput."""
    if unknown := part.keys() - known:
        raise _wrong(
            f"{place}{min(unknown)[:LONGEST_NAME]}", f"is none of {', '.join(sorted(known))}"
        )


def _wanted(place: str, part: Mapping[str, Any], wants_raw: bool) -> Wanted:
    parameters = _parameters(f"{place}.parameters", part.get("parameters"))
    is_raw = parameters.get(RAW, wants_raw)
    if not isinstance(is_raw, bool):
        raise _wrong(f"{place}.parameters.{RAW}", "must be true or false")
    return Wanted(part["name"], is_raw)


def _tensors(place: str, parts: object, raw: memoryview) -> tuple[Tensor, ...]:
    found, at = [], 0
    named = _parts(place, parts)
    check_names(place, [part["name"] for _, part in named])
    for where, part in named:
        size = _parameters(f"{where}.parameters", part.get("parameters")).get(SIZE)
        shape = shape_of(where, part.get("shape"))
        datatype = datatype_of(where, part.get("datatype"))
        if size is None:
            found.append(from_json(part["name"], datatype, shape, part.get("data")))
            continue
        if type(size) is not int or not 0 <= size <= len(raw) - at:
            message = f"is {str(size)[:40]}; {len(raw) - at} bytes are left behind the header"
            raise _wrong(f"{where}.parameters.{SIZE}", message)
        if "data" in part:
            raise _wrong(f"{where}.data", f"goes not together with {SIZE}")
        found.append(from_raw(part["name"], datatype, shape, raw[at : at + size]))
        at += size
    if at != len(raw):
        raise _wrong(place, f"{len(raw) - at} bytes behind the header belong to no tensor")
    return tuple(found)


def _written(tensors: Sequence[Tensor], raw: Collection[str]) -> tuple[list[Any], list[bytes]]:
    parts: list[Any] = []
    behind: list[bytes] = []
    for tensor in tensors:
        part: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype}
        part["shape"] = list(tensor.shape)
        if tensor.name in raw:
            behind.append(to_raw(tensor))
            part["parameters"] = {SIZE: len(behind[-1])}
        else:
            part["data"] = to_json(tensor)
        parts.append(part)
    return parts, behind


def _wrong(place: str, message: str) -> InvalidInput:
    return InvalidInput("the inference request or answer is wrong", [Fault(place, message)])
