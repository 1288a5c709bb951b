"""The request's own fields as features: what the record keeps of them, and what the model gets."""

from __future__ import annotations

import enum
from datetime import date, datetime, time
from decimal import Decimal
from itertools import compress
from typing import Any

from pydantic import BaseModel

from opsrail.errors import InvalidInput
from opsrail.values.canonical import Kinds, canonical, digest
from opsrail.values.decisions import REQUEST_VIEW, ViewRead


def request_read(facts: BaseModel, version: str) -> ViewRead:
    """Return the request as the record keeps it: JSON from which the model can be built again.

    Raises:
        InvalidInput: a field has no canonical JSON, e.g. NaN. Terminal: nothing was decided.
    """
    try:
        values = facts.__pydantic_serializer__.to_python(facts, mode="json")
    except ValueError as wrong:
        raise InvalidInput(
            f"the request {type(facts).__name__} cannot be written as JSON: {wrong}"
        ) from wrong
    content = canonical(values)
    return ViewRead(REQUEST_VIEW, version, "", values, digest(content), None, content)


def request_row(facts: BaseModel) -> dict[str, object]:
    """Return the request's fields as a model takes them: numbers and text; fields of other kinds are left out."""
    held: dict[str, object] = vars(facts)
    row = held.copy()
    if len(held) != len(type(facts).__pydantic_fields__):  # extra fields, or computed ones beside
        row = {name: getattr(facts, name) for name in type(facts).__pydantic_fields__}
    for name in list(compress(row, map(_IS_ODD, map(type, row.values())))):
        if (value := _feature(row[name])) is _NO_FEATURE:
            del row[name]
        else:
            row[name] = value
    return row


def feature_names(model: type[BaseModel]) -> frozenset[str]:
    """Return the names a request may give features."""
    return frozenset(model.model_fields)


_NO_FEATURE = object()
_PLAIN = (str, int, float, bool, type(None))
_MOMENTS = (date, datetime, time)
_IS_ODD = Kinds(*_PLAIN).__getitem__


def _feature(value: Any) -> object:
    kind = type(value)  # `isinstance` would look up what each value says of its class, ten times
    if issubclass(kind, enum.Enum):
        return _feature(value.value)
    if issubclass(kind, _PLAIN):
        return value
    if issubclass(kind, Decimal):
        return float(value)
    if issubclass(kind, _MOMENTS):
        return value.isoformat()
    return _NO_FEATURE
