"""Whether a decision point gives a model what it reads: the names and kinds of its request and its feature views."""

from __future__ import annotations

import enum
import types
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from opsrail.errors import Fault
from opsrail.values.columns import Category, Column

NUMBERS, TEXTS = (int, float, Decimal), (str, date, datetime, time)
WANTED = {"number": "a number", "text": "text"}
TRUTH = "true or false"
FITTING = {"number": frozenset({"number", TRUTH}), "text": frozenset({"text"})}
"""Kinds that a column takes: what is true is the number 1, what is false 0."""


def fit_faults(
    columns: Sequence[Column], request: type[BaseModel], features: Mapping[str, object]
) -> Iterator[Fault]:
    """Yield every column that a point's request and views do not give as the model reads it.

    Args:
        features: What the point's views give: the type of each.
    """
    given: dict[str, frozenset[str]] = {
        name: frozenset(_kinds(told.annotation)) for name, told in request.model_fields.items()
    }
    given |= {name: frozenset(_kinds(kind)) for name, kind in features.items()}
    for column in columns:
        if column.name not in given:
            yield Fault(
                f"point.{column.name}", "is given by neither the request nor a feature view"
            )
            continue
        kinds = given[column.name]
        wanted = "text" if isinstance(column, Category) else "number"
        if odd := sorted(kinds - FITTING[wanted] - {"nothing"}):
            yield Fault(
                f"point.{column.name}", f"may be {', '.join(odd)}; the model reads {WANTED[wanted]}"
            )
        if "nothing" in kinds and column.missing is None:
            yield Fault(
                f"point.{column.name}", "may be missing, and the model has no number for that"
            )


def _kinds(annotation: Any) -> Iterator[str]:
    """Yield what a field may be to a model: `number`, `text`, `nothing`, `true or false` or what it is called."""
    origin = get_origin(annotation)
    if annotation is None or annotation is type(None):
        yield "nothing"
    elif origin in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _kinds(part)
    elif origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin is Literal:
        yield from map(_kind_of, get_args(annotation))
    elif isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        yield from (_kind_of(member.value) for member in annotation)
    elif isinstance(annotation, type) and issubclass(annotation, bool):
        yield TRUTH
    elif isinstance(annotation, type) and issubclass(annotation, NUMBERS):
        yield "number"
    elif isinstance(annotation, type) and issubclass(annotation, TEXTS):
        yield "text"
    else:
        yield getattr(annotation, "__name__", str(annotation))


def _kind_of(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return TRUTH
    return "number" if isinstance(value, int | float) else "text"
