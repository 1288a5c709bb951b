"""What a remote model's artifact says, and features and scores in and out of the Open Inference Protocol. Pure.

The artifact is a small JSON object, so that a remote model is a version like any other: its digest stands in every record.

    format      "opsrail.remote/1"
    url         http(s)://host:port of the runtime `remote-http`, grpc(s)://host:port of `remote-grpc`
    model       name there;  version: which of it, if one is to be named
    inputs      one object each: name, datatype and either `columns` (numbers, as `opsrail.values.columns.columns_to_json`
                writes them: a tensor [rows, columns]; with `flat` true and one column: [rows]) or `text` (a feature whose
                words go as BYTES [rows])
    score       {"name": of the output, "column": where it has several a row}: the probability of the positive class
    confidence  the same, if the server tells one; without it, one minus the entropy of the score
    timeout_ms  for one call, 1..60,000 (1,000 without)
    at_once     calls that may be under way at once, 1..256 (4 without)
    raw         whether elements go as raw bytes: faster, but MLServer reads them over gRPC alone (false without); an answer
                is read either way
    secret      reference of the key sent as `Authorization: Bearer`: env:NAME or file:PATH
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from opsrail.errors import ArtifactRefused, Fault, InvalidInput, ModelUnavailable
from opsrail.values.canonical import digest
from opsrail.values.columns import Column, columns_from_json, encode
from opsrail.values.confidence import entropy_confidence
from opsrail.values.inference import InferenceRequest, InferenceResponse, Wanted
from opsrail.values.models import Score
from opsrail.values.tensors import BYTES, DATATYPES, Tensor, checked

LARGEST_BYTES = 1_000_000
LARGEST_ANSWER_BYTES = 16_000_000
"""Ours: a thousand rows of a hundred doubles, twenty times over."""
ROUNDING = 1e-6
"""How far past 0 or 1 a float32 probability may stand by rounding alone, as in `onnx_model`."""
LONGEST_TOLD = 200
AT_ONCE = 4
"""Ours: as many as are asked without finding out whether that makes the server slower (`gradient.FLOOR`)."""


class Part(BaseModel):
    """A part of a description; what is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Input(Part):
    """One input; see the head of this file."""

    name: str = Field(min_length=1, max_length=255)
    datatype: str
    columns: list[dict[str, Any]] | None = None
    flat: bool = False
    text: str | None = Field(None, min_length=1)


class Output(Part):
    """Where a number stands in an answer."""

    name: str = Field(min_length=1, max_length=255)
    column: int | None = Field(None, ge=0, le=10_000)


class Described(Part):
    """A remote model; see the head of this file."""

    format: Literal["opsrail.remote/1"]
    url: str = Field(max_length=500)
    model: str = Field(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,254}\z")
    version: str = Field("", pattern=r"\A[A-Za-z0-9._-]{0,64}\z")
    inputs: list[Input] = Field(min_length=1, max_length=256)
    score: Output
    confidence: Output | None = None
    timeout_ms: int = Field(1_000, ge=1, le=60_000)
    at_once: int = Field(AT_ONCE, ge=1, le=256)
    raw: bool = False
    secret: str | None = Field(None, pattern=r"\A(env|file):.{1,200}\z")


class Place(NamedTuple):
    """Where a server is."""

    scheme: str
    host: str
    port: int


class Remote(NamedTuple):
    """A description, taken apart.

    Attributes:
        columns: Of all inputs, in order.
    """

    digest: str
    place: Place
    described: Described
    columns: tuple[Column, ...]


def read(artifact: bytes, expected_digest: str, ports: Mapping[str, int]) -> Remote:
    """Return what an artifact says.

    Args:
        ports: Port by scheme that goes without saying; other schemes are refused.

    Raises:
        ArtifactRefused: the digest differs, or it is no description of a remote model. Terminal: nothing was loaded.
    """
    found = digest(artifact)
    if found != expected_digest:
        raise ArtifactRefused(
            f"The artifact's digest is {found}, the registry says {expected_digest}; it was changed. Register it anew."
        )
    if len(artifact) > LARGEST_BYTES:
        raise ArtifactRefused(f"Artifact {found} is larger than {LARGEST_BYTES:,} bytes.")
    try:
        tree = json.loads(artifact, object_pairs_hook=_once, parse_constant=_refused)
        described = Described.model_validate(tree)
    except ValidationError as wrong:
        told = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in wrong.errors()]
        raise ArtifactRefused(
            f"Remote model {found} is not described: {'; '.join(told[:10])}"
        ) from wrong
    except (ValueError, RecursionError) as wrong:
        raise ArtifactRefused(f"Artifact {found} is no description of a remote model.") from wrong
    columns = [column for one in described.inputs for column in _columns(found, one)]
    names = [column.name for column in columns] + [one.text for one in described.inputs if one.text]
    inputs = [one.name for one in described.inputs]
    if len(set(names)) < len(names) or len(set(inputs)) < len(inputs):
        raise ArtifactRefused(f"Remote model {found} names an input or a feature twice.")
    return Remote(found, _place(found, described.url, ports), described, tuple(columns))


def request_of(remote: Remote, rows: Sequence[Mapping[str, object]]) -> InferenceRequest:
    """Return what is asked for rows of named features.

    Raises:
        InvalidInput: a feature is absent or of the wrong type; all faults of all rows. Terminal.
    """
    described = remote.described
    numbers = _encoded(remote, rows)
    tensors, at = [], 0
    for one in described.inputs:
        if one.text is not None:
            words = [str(row[one.text]).encode() for row in rows]
            tensors.append(Tensor(one.name, BYTES, (len(rows),), words))
            continue
        width = len(one.columns or ())
        data = [value for row in numbers for value in row[at : at + width]]
        shape = (len(rows),) if one.flat else (len(rows), width)
        tensors.append(_fitting(remote, Tensor(one.name, one.datatype, shape, data)))
        at += width
    wanted = dict.fromkeys(out.name for out in (described.score, described.confidence) if out)
    return InferenceRequest(tuple(tensors), tuple(Wanted(name, described.raw) for name in wanted))


def scores_of(
    remote: Remote, rows: Sequence[Mapping[str, object]], response: InferenceResponse
) -> list[Score]:
    """Return the scores that an answer holds, one a row.

    Raises:
        ModelUnavailable: it does not hold them. The decision falls back.
    """
    described, count = remote.described, len(rows)
    values = _numbers(remote, described.score, response, count)
    if not all(-ROUNDING <= value <= 1.0 + ROUNDING for value in values):
        raise unavailable(remote, "answered a score outside [0, 1], or NaN")
    values = [min(1.0, max(0.0, value)) for value in values]
    confidences = [entropy_confidence(value) for value in values]
    if described.confidence is not None:
        confidences = _numbers(remote, described.confidence, response, count)
        if not all(0.0 <= confidence <= 1.0 for confidence in confidences):
            raise unavailable(remote, "answered a confidence outside [0, 1], or NaN")
    numbers = _encoded(remote, rows)
    return [
        Score(value, confidence, remote.digest, _unknown(remote.columns, row))
        for value, confidence, row in zip(values, confidences, numbers, strict=True)
    ]


def unavailable(remote: Remote, what: str) -> ModelUnavailable:
    """Return the error for what may pass, or is the server's own."""
    place = remote.place
    label = f"{remote.described.model} at {place.host}:{place.port}"
    return ModelUnavailable(f"Remote model {label} {what[: LONGEST_TOLD * 2]}.")


def refused(remote: Remote, told: str) -> InvalidInput:
    """Return the error for rows that the server does not take."""
    label = f"{remote.described.model} at {remote.place.host}:{remote.place.port}"
    plain = "".join(part if part.isprintable() else " " for part in told[:LONGEST_TOLD])
    return InvalidInput(f"Remote model {label} refuses its input: {plain}")


def _encoded(remote: Remote, rows: Sequence[Mapping[str, object]]) -> list[list[float]]:
    texts = [one.text for one in remote.described.inputs if one.text is not None]
    faults = [
        Fault(f"rows[{at}].{name}", "must be text" if name in row else "is absent; send it")
        for at, row in enumerate(rows)
        for name in texts
        if not isinstance(row.get(name), str)
    ]
    numbers: list[list[float]] = [[] for _ in rows]
    try:
        if remote.columns:
            numbers = encode(remote.columns, rows, model=remote.digest)
    except InvalidInput as wrong:
        faults += wrong.faults
    if faults:
        message = f"Model {remote.digest} cannot read its features; send what is listed."
        raise InvalidInput(message, faults)
    return numbers


def _fitting(remote: Remote, tensor: Tensor) -> Tensor:
    """Return a tensor of numbers as its datatype keeps them; NaN is left to floats."""
    if DATATYPES[tensor.datatype].is_float:
        return tensor
    if tensor.datatype == "BOOL":
        tensor = Tensor(tensor.name, "BOOL", tensor.shape, [_truth(value) for value in tensor.data])
    try:
        return checked(tensor)
    except InvalidInput as wrong:
        message = f"Model {remote.digest} takes {tensor.datatype} for {tensor.name!r}."
        raise InvalidInput(message, wrong.faults) from wrong


def _truth(value: float) -> object:
    return bool(value) if value in (0, 1) else value


def _numbers(
    remote: Remote, output: Output, response: InferenceResponse, count: int
) -> list[float]:
    tensor = next((one for one in response.outputs if one.name == output.name), None)
    if tensor is None:
        raise unavailable(remote, f"answered no output {output.name!r}")
    if not DATATYPES[tensor.datatype].is_float:
        raise unavailable(remote, f"answered {output.name!r} as {tensor.datatype}, not as floats")
    width = len(tensor.data) // count
    column = output.column or 0
    is_whole = width * count == len(tensor.data) and tensor.shape[0] == count
    if not is_whole or column >= width or (output.column is None and width != 1):
        raise unavailable(
            remote, f"answered {output.name!r} of shape {list(tensor.shape)} to {count} rows"
        )
    return [float(value) for value in tensor.data[column::width]]


def _unknown(columns: Sequence[Column], row: Sequence[float]) -> tuple[str, ...]:
    """Return the features whose number is their column's stand-in."""
    return tuple(
        column.name
        for column, number in zip(columns, row, strict=True)
        if column.missing is not None
        and (number == column.missing or (math.isnan(number) and math.isnan(column.missing)))
    )


def _columns(model: str, one: Input) -> tuple[Column, ...]:
    if one.text is not None:
        if one.datatype != BYTES or one.columns is not None or one.flat:
            raise ArtifactRefused(
                f"Remote model {model}: input {one.name!r} of text is BYTES alone."
            )
        return ()
    if one.datatype not in DATATYPES or one.datatype == BYTES:
        raise ArtifactRefused(f"Remote model {model}: input {one.name!r} has no numeric datatype.")
    columns = columns_from_json(json.dumps(one.columns or []))
    if one.flat and len(columns) != 1:
        raise ArtifactRefused(f"Remote model {model}: flat input {one.name!r} needs one column.")
    return columns


def _place(model: str, url: str, ports: Mapping[str, int]) -> Place:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as wrong:
        raise ArtifactRefused(f"Remote model {model}: its url is none.") from wrong
    is_bare = not (parts.query or parts.fragment or parts.username or parts.password)
    if (
        parts.scheme not in ports
        or not parts.hostname
        or parts.path not in ("", "/")
        or not is_bare
    ):
        known = ", ".join(f"{scheme}://host:port" for scheme in ports)
        raise ArtifactRefused(f"Remote model {model}: its url must be {known}, and nothing more.")
    return Place(parts.scheme, parts.hostname, port or ports[parts.scheme])


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree = dict(pairs)
    if len(tree) < len(pairs):
        raise ValueError("an object has a key twice")
    return tree


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")
