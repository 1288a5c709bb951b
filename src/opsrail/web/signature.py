"""A request model's fields as tensors of the Open Inference Protocol, and the rows that tensors hold as requests. Pure.

A field is one tensor: BOOL, INT64, FP64 or, of text, BYTES. One that is none of these, a list or an object, is BYTES too:
one JSON text a row. Any datatype that holds the same values does as well. Rows are then read exactly as bodies of
`POST /v1/decisions/{point}` are, so that the two doors take and refuse the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import orjson
from pydantic import BaseModel

from opsrail.errors import Fault, InvalidInput
from opsrail.values.canonical import LARGEST_INTEGER
from opsrail.values.inference import LONGEST_NAME, MOST_TENSORS, InferenceRequest
from opsrail.values.tensors import BOOL, BYTES, Tensor
from opsrail.web.problems import MOST_FAULTS
from opsrail.web.reading import check_json, model_of

M = TypeVar("M", bound=BaseModel)
MOST_ROWS = 1_000
"""Rows of one inference request. Ours: its caller waits for all of them; more go to `:batch`."""
KINDS: Mapping[str, str] = {
    "boolean": BOOL, "integer": "INT64", "number": "FP64", "string": BYTES,
}  # fmt: skip
"""Datatype of each JSON type that is one element."""
LONGEST_SHOWN = 63
PARAMETERS: Mapping[str, Any] = {
    "type": ["object", "null"],
    "additionalProperties": {
        "type": ["string", "number", "boolean", "null"],
        "minimum": -LARGEST_INTEGER,
        "maximum": LARGEST_INTEGER,
    },
}


class Field(NamedTuple):
    """One field of a request model.

    Attributes:
        datatype: Of its tensor.
        is_json: Each element is a JSON text.
        is_required: It has no default.
        schema: JSON schema of one element, without null.
    """

    name: str
    datatype: str
    is_json: bool
    is_required: bool
    schema: Mapping[str, Any]


def fields_of(model: type[BaseModel]) -> tuple[Field, ...]:
    """Return a request model's fields, in the order in which it declares them."""
    schema = model.model_json_schema()
    required = schema.get("required", ())
    return tuple(
        _field(name, part, name in required, schema.get("$defs", {}))
        for name, part in schema.get("properties", {}).items()
    )


def _field(
    name: str, schema: Mapping[str, Any], is_required: bool, definitions: Mapping[str, Any]
) -> Field:
    branches = list(_branches(schema, definitions))
    types = {branch.get("type") for branch in branches} - {"null"}
    if len(types) > 1 and types <= {"integer", "number", "string"} and "number" in types:
        types = {"number"}  # of a Decimal, which may be text as well
    (kind,) = types if len(types) == 1 else ("object",)
    if not isinstance(kind, str) or kind not in KINDS:
        text = {"type": "string", "contentMediaType": "application/json"}
        return Field(name, BYTES, True, is_required, text)
    element = next(branch for branch in branches if branch.get("type") == kind)
    plain = {key: value for key, value in element.items() if key not in ("default", "title")}
    return Field(name, KINDS[kind], False, is_required, plain)


def _branches(schema: Any, definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what a schema allows, one JSON type each; one without a type when that cannot be told."""
    if "$ref" in schema:
        yield from _branches(definitions.get(schema["$ref"].rpartition("/")[2], {}), {})
    elif "anyOf" in schema:
        for branch in schema["anyOf"]:
            yield from _branches(branch, definitions)
    else:
        yield schema


def numeric(fields: Sequence[Field]) -> tuple[Field, ...]:
    """Return the fields that one tensor [rows, fields] may hold as its columns, in order."""
    return tuple(field for field in fields if field.datatype != BYTES)


def facts_of(model: type[M], fields: Sequence[Field], request: InferenceRequest) -> list[M]:
    """Return the requests that the rows of an inference request are, all of them checked.

    Raises:
        InvalidInput: the tensors or their rows do not fit the model; all faults, 100 at most. Terminal: nothing was decided.
    """
    rows = _rows(fields, request)
    facts, faults = [], []
    for at, row in enumerate(rows):
        try:
            facts.append(model_of(model, orjson.dumps(row)))
        except InvalidInput as wrong:
            faults += [Fault(f"rows[{at}].{one.place}", one.message) for one in wrong.faults]
            if len(faults) >= MOST_FAULTS:
                break
    if faults:
        raise InvalidInput(f"rows do not fit {model.__name__}", faults)
    return facts


def _rows(fields: Sequence[Field], request: InferenceRequest) -> list[dict[str, Any]]:
    known = {field.name: field for field in fields}
    inputs = request.inputs
    if len(inputs) == 1 and inputs[0].name not in known:
        columns = list(_matrix(numeric(fields), inputs[0]))
    else:
        columns = [_column(known, tensor) for tensor in inputs]
    counts = {len(values) for _, values in columns}
    if len(counts) > 1:
        raise _wrong("inputs", f"have different numbers of rows: {sorted(counts)[:10]}")
    (count,) = counts
    if not 1 <= count <= MOST_ROWS:
        raise _wrong(
            "inputs", f"have {count} rows; 1 to {MOST_ROWS:,} are decided at once, more by :batch"
        )
    names = [field.name for field, _ in columns]
    values = [[_value(field, values, at) for at in range(count)] for field, values in columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def _column(known: Mapping[str, Field], tensor: Tensor) -> tuple[Field, Sequence[Any]]:
    if tensor.name not in known:
        names = ", ".join(known)
        raise _wrong(
            f"inputs.{tensor.name[:LONGEST_SHOWN]}", f"there is no such input; there are: {names}"
        )
    if len(tensor.shape) > 2 or (len(tensor.shape) == 2 and tensor.shape[1] != 1):
        raise _wrong(f"inputs.{tensor.name}.shape", "must be [rows] or [rows, 1]")
    return known[tensor.name], tensor.data


def _matrix(columns: Sequence[Field], tensor: Tensor) -> Iterator[tuple[Field, Sequence[Any]]]:
    """Yield the columns of a tensor that holds all numeric fields."""
    place = f"inputs.{tensor.name[:LONGEST_SHOWN]}"
    names = ", ".join(field.name for field in columns)
    if tensor.datatype == BYTES or not columns:
        raise _wrong(
            place,
            f"there is no such input; numbers of these fields may come as one: {names or '-'}",
        )
    if len(tensor.shape) != 2 or tensor.shape[1] != len(columns):
        raise _wrong(
            f"{place}.shape", f"must be [rows, {len(columns)}], one column each of: {names}"
        )
    for at, field in enumerate(columns):
        yield field, tensor.data[at :: len(columns)]


def _value(field: Field, values: Sequence[Any], at: int) -> Any:
    """Return an element as JSON has it. What the field does not allow is left for the model to refuse."""
    value = values[at]
    if isinstance(value, bytes):
        return _text(field, value, at)
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if math.isinf(value):
            raise _wrong(f"rows[{at}].{field.name}", "is not finite")
        if field.datatype in ("INT64", BOOL) and value.is_integer():
            value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > LARGEST_INTEGER and field.datatype != "FP64":
            raise _wrong(f"rows[{at}].{field.name}", "is an integer of 2**53 or more")
        if field.datatype == BOOL and value in (0, 1):
            return bool(value)
        return float(value) if abs(value) > LARGEST_INTEGER else value
    return value


def _text(field: Field, value: bytes, at: int) -> Any:
    try:
        if not field.is_json:
            return value.decode()
        check_json(value)
        return orjson.loads(value)
    except UnicodeDecodeError as wrong:
        raise _wrong(f"rows[{at}].{field.name}", "is not UTF-8") from wrong
    except InvalidInput as wrong:
        raise _wrong(f"rows[{at}].{field.name}", f"must be a JSON text: {wrong.summary}") from wrong


def _wrong(place: str, message: str) -> InvalidInput:
    return InvalidInput("the inference request does not fit the model", [Fault(place, message)])


def request_schema(fields: Sequence[Field], outputs: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema of a request of one row: of more rows, shapes and lists are longer by as much.

    It shows the fields that are one element each, those that are required first.
    """
    shown = sorted(
        (field for field in fields if field.is_required or not field.is_json),
        key=lambda field: not field.is_required,
    )
    return {
        "type": "object",
        "required": ["inputs"],
        "additionalProperties": False,
        "properties": {
            "model_name": {"type": ["string", "null"]},
            "model_version": {"type": ["string", "null"]},
            "id": {"type": ["string", "null"], "maxLength": LONGEST_NAME},
            "inputs": {
                "type": "array",
                "prefixItems": [_tensor_schema(field) for field in shown],
                "items": False,
                "minItems": max(1, sum(field.is_required for field in fields)),
            },
            "outputs": {
                "type": ["array", "null"],
                "maxItems": MOST_TENSORS,
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "additionalProperties": False,
                    "properties": {
                        "name": {"enum": list(outputs)},
                        "parameters": {
                            **PARAMETERS,
                            "properties": {"binary_data": {"type": ["boolean", "null"]}},
                        },
                    },
                },
            },
            "parameters": PARAMETERS,
        },
    }


def _tensor_schema(field: Field) -> dict[str, Any]:
    row = {"type": "array", "items": dict(field.schema), "minItems": 1, "maxItems": 1}
    return {
        "type": "object",
        "required": ["name", "datatype", "shape", "data"],
        "additionalProperties": False,
        "properties": {
            "name": {"const": field.name},
            "datatype": {"const": field.datatype},
            "shape": {"enum": [[1], [1, 1]]},
            "data": row,
            "parameters": PARAMETERS,
        },
    }
