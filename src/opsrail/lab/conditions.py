"""Conditions on a request as data: `all`, `any` and `not` of a field, an operator and a value; judged for many rows at once.

A value that is not there (null, or a field that a request had not yet) meets no comparison; `missing` asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute as compute

from opsrail.errors import Fault

OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "in", "not in", "missing")
COMPARED = {
    "=": compute.equal,
    "!=": compute.not_equal,
    "<": compute.less,
    "<=": compute.less_equal,
    ">": compute.greater,
    ">=": compute.greater_equal,
}
Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Comparison:
    """One field held against one value.

    Attributes:
        field: Of the request (`amount`, `receipt.total_usd`) or of a view.
        operator: One of `OPERATORS`.
        value: A number, text or truth; for `in` and `not in` a list of them; for `missing` true or false.
        place: Where it stands in its file.
    """

    field: str
    operator: str
    value: Any
    place: Place = ()


@dataclass(frozen=True)
class Group:
    """Several conditions.

    Attributes:
        word: `all`, `any` or `not` (of one).
    """

    word: str
    parts: tuple[Condition, ...]


Condition = Comparison | Group


def comparisons_of(condition: Condition) -> Iterator[Comparison]:
    """Yield every comparison in a condition."""
    if isinstance(condition, Comparison):
        yield condition
    else:
        for part in condition.parts:
            yield from comparisons_of(part)


def column_of(names: Sequence[str], field: str) -> str | None:
    """Return the column in which a field stands: the request's, else a view's."""
    held = set(names)
    return next((name for name in (f"facts.{field}", f"views.{field}") if name in held), None)


def misfit(test: Comparison, kinds: Mapping[str, pyarrow.DataType]) -> Fault | None:
    """Return what keeps a comparison from being asked of a history with these columns."""
    name = column_of(list(kinds), test.field)
    if name is None:
        known = sorted(
            one.partition(".")[2] for one in kinds if one.startswith(("facts.", "views."))
        )
        return Fault("field", f"{test.field!r} stands in no request; there are: {', '.join(known)}")
    kind = kinds[name]
    if test.operator == "missing" or kind == pyarrow.null():
        return None
    wanted = (
        "text"
        if pyarrow.types.is_string(kind)
        else "truth"
        if pyarrow.types.is_boolean(kind)
        else "number"
    )
    given = test.value if isinstance(test.value, list | tuple) else [test.value]
    for value in given:
        if _kind(value) != wanted:
            return Fault("value", f"{value!r} is held against {test.field!r}, which is {wanted}")
    if wanted == "truth" and test.operator not in ("=", "!=", "in", "not in"):
        return Fault("operator", f"{test.operator!r} orders nothing: {test.field!r} is truth")
    return None


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "truth"
    return "number" if isinstance(value, int | float) else "text"


def met(condition: Condition, table: pyarrow.Table) -> Any:
    """Return which rows meet a condition: bool [rows]."""
    if isinstance(condition, Comparison):
        return _met(condition, table)
    found = [met(part, table) for part in condition.parts]
    if condition.word == "not":
        return ~found[0]
    combine = np.logical_and if condition.word == "all" else np.logical_or
    return combine.reduce(found)


def _met(test: Comparison, table: pyarrow.Table) -> Any:
    name = column_of(table.column_names, test.field)
    if name is None:  # no request of this part had it
        is_missing = np.ones(table.num_rows, bool)
        return is_missing == test.value if test.operator == "missing" else ~is_missing
    column = table.column(name)
    if test.operator == "missing":
        return np.asarray(column.is_null()) == test.value
    kinds = {name: column.type}
    if column.type == pyarrow.null() or misfit(
        test, kinds
    ):  # in older requests it was of another kind
        return np.zeros(table.num_rows, bool)
    if test.operator in ("in", "not in"):
        held = compute.is_in(
            column, value_set=pyarrow.array(test.value).cast(column.type, safe=False)
        )
        answer = compute.and_(
            compute.is_valid(column), held if test.operator == "in" else compute.invert(held)
        )
    else:
        answer = COMPARED[test.operator](column, pyarrow.scalar(test.value))
    return np.asarray(compute.fill_null(answer, False))
