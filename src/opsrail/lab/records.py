"""Decision records as columns: the parts of each record that questions about many decisions need, in Arrow's layout.

The request's fields and the features of views become columns of their own, `facts.NAME` and `views.NAME`; an object in a
field becomes one column a part, `facts.receipt.total_usd`. What a column holds says its type: whole numbers, numbers, truths
or text; anything else, and a field that is of several kinds, is text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import orjson
import pyarrow

from opsrail.errors import InvalidInput
from opsrail.values.records import UNREADABLE, tree_of, unreadable

FACTS, VIEWS = "facts.", "views."
LARGEST_WHOLE = 2**53
"""A whole number from here on was a double. Source: RFC 7493, section 2.2; see `values/canonical.py`."""
AUTONOMY = "autonomy"
"""Source of the reason that a person decides here, whatever policy said."""
NoneType = type(None)
Column = Sequence[Any]
FIXED: Mapping[str, pyarrow.DataType] = {
    "id": pyarrow.string(),
    "at_ms": pyarrow.int64(),
    "case_id": pyarrow.string(),
    "model_name": pyarrow.string(),
    "model_number": pyarrow.int64(),
    "score": pyarrow.float64(),
    "confidence": pyarrow.float64(),
    "unknown": pyarrow.list_(pyarrow.string()),
    "unknown_count": pyarrow.int64(),
    "verdict": pyarrow.string(),
    "proposed": pyarrow.string(),
    "autonomy": pyarrow.string(),
    "degraded": pyarrow.bool_(),
    "degraded_why": pyarrow.string(),
    "reason_source": pyarrow.string(),
    "policy_source": pyarrow.string(),
    "policy_code": pyarrow.string(),
    "policy_version": pyarrow.string(),
    "latency_us": pyarrow.int64(),
    "cost_usd": pyarrow.float64(),
    "request_version": pyarrow.string(),
}
"""Columns that every history has. `reason_source` is of the first reason; `policy_source` and `policy_code` are of the first
one that is policy's own, which differs where a person was to decide."""


def parsed(records: Sequence[str], ids: Sequence[str]) -> pyarrow.Table:
    """Return records as columns, in order: those of `FIXED`, then `facts.*` and `views.*`.

    Args:
        records: As stored, canonical JSON.
        ids: Of their decisions, for messages.

    Raises:
        InvalidInput: one of them is no record of a decision. Terminal: `opsrail ledger verify` tells whether it was changed.
    """
    trees = []
    for name, record in zip(ids, records, strict=True):
        try:
            trees.append(_row(tree_of(record)))
        except (*UNREADABLE, InvalidInput) as wrong:
            told = wrong if isinstance(wrong, InvalidInput) else unreadable(wrong)
            raise InvalidInput(f"decision {name}: {told.summary}", told.faults) from wrong
    columns = [*zip(*trees, strict=True)] if trees else [()] * (len(FIXED) + 2)
    arrays = {
        name: pyarrow.array(column, kind)
        for (name, kind), column in zip(FIXED.items(), columns, strict=False)
    }
    facts, views = columns[-2:]
    arrays |= {FACTS + name: column for name, column in flat(facts)}
    arrays |= {VIEWS + name: column for name, column in flat(views)}
    return pyarrow.table(arrays)


def _row(tree: dict[str, Any]) -> tuple[Any, ...]:
    """Return the values of `FIXED`, then the request's fields and the views' features by name."""
    model, reasons, features = tree["model"], tree["reasons"], tree["features"]
    own = first = reasons[0]
    if first["source"] == AUTONOMY:
        own = next((one for one in reasons if one["source"] != AUTONOMY), first)
    views: dict[str, Any] = {}
    for read in features[1:]:
        views |= read["values"]
    return (
        tree["id"],
        tree["at_ms"],
        tree["case_id"],
        None if model is None else model["name"],
        None if model is None else model["number"],
        _number(tree["score"]),
        _number(tree["confidence"]),
        tree["unknown"],
        len(tree["unknown"]),
        tree["verdict"],
        tree.get("proposed"),
        tree.get("autonomy", "automate"),
        tree["degraded"],
        tree["degraded_why"],
        first["source"],
        own["source"],
        own["code"],
        tree["policy_version"],
        round(tree["latency_ms"]["total"] * 1000),
        _number(tree["cost_usd"]),
        features[0]["version"],
        features[0]["values"],
        views,
    )


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def flat(objects: Sequence[Mapping[str, Any] | None]) -> Iterator[tuple[str, pyarrow.Array]]:
    """Yield the fields of objects as columns; a field that an object lacks is null there."""
    for name, column in _fields(objects):
        kinds = set(map(type, column)) - {NoneType}
        if kinds == {dict}:
            for part, inner in flat(column):
                yield f"{name}.{part}", inner
        else:
            yield name, _array(column, kinds)


def _fields(objects: Sequence[Mapping[str, Any] | None]) -> Iterable[tuple[str, Column]]:
    """Return each field's values; mostly all objects have the same fields, and then nothing is looked up."""
    shapes = [tuple(shape) for shape, _ in groupby(objects, key=_names)]
    if len(set(shapes)) == 1:
        values = zip(*[one.values() for one in objects if one is not None], strict=True)
        return zip(shapes[0], values, strict=True)
    names = dict.fromkeys(name for shape in shapes for name in shape)
    given = [{} if one is None else one for one in objects]
    return ((name, [one.get(name) for one in given]) for name in names)


def _names(one: Mapping[str, Any] | None) -> tuple[str, ...]:
    return () if one is None else tuple(one)


def _array(column: Column, kinds: set[type]) -> pyarrow.Array:
    if not kinds:
        return pyarrow.nulls(len(column))
    if (
        kinds == {int}
        and -LARGEST_WHOLE < _least(column, min) <= _least(column, max) < LARGEST_WHOLE
    ):
        return pyarrow.array(column, pyarrow.int64())
    if kinds <= {int, float}:
        return pyarrow.array([_number(value) for value in column], pyarrow.float64())
    if kinds == {bool}:
        return pyarrow.array(column, pyarrow.bool_())
    if kinds == {str}:
        return pyarrow.array(column, pyarrow.string())
    return pyarrow.array([_text(value) for value in column], pyarrow.string())


def _least(column: Column, of: Callable[[Iterable[Any]], Any]) -> Any:
    return of(value for value in column if value is not None)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def alike(kinds: Iterable[pyarrow.DataType]) -> pyarrow.DataType:
    """Return the type that columns of several parts of a history have together."""
    found = [kind for kind in dict.fromkeys(kinds) if kind != pyarrow.null()]
    if len(found) <= 1:
        return found[0] if found else pyarrow.null()
    if set(found) <= {pyarrow.int64(), pyarrow.float64()}:
        return pyarrow.float64()
    return pyarrow.string()


def chosen(held: Sequence[str], names: Sequence[str] | None) -> list[str]:
    """Return those columns that are wanted, in their order; a name that ends with a dot stands for all behind it."""
    if names is None:
        return list(held)
    prefixes, whole = tuple(name for name in names if name.endswith(".")), set(names)
    return [name for name in held if name in whole or name.startswith(prefixes or ("\0",))]


def together(parts: Sequence[pyarrow.Table]) -> pyarrow.Table:
    """Return the parts of a history as one table, its columns of one type each; a field that a part lacks is null there."""
    if not parts:
        return parsed([], [])
    names = dict.fromkeys(name for part in parts for name in part.column_names)
    kinds = {
        name: FIXED.get(name)
        or alike(part.schema.field(name).type for part in parts if name in part.column_names)
        for name in names
    }
    return pyarrow.concat_tables([fitted(part, kinds) for part in parts])


def fitted(part: pyarrow.Table, kinds: Mapping[str, pyarrow.DataType]) -> pyarrow.Table:
    """Return a part with these columns of these types."""
    columns = {
        name: part.column(name).cast(kind)
        if name in part.column_names
        else pyarrow.nulls(part.num_rows, kind)
        for name, kind in kinds.items()
    }
    return pyarrow.table(columns)


def nested(table: pyarrow.Table) -> pyarrow.Table:
    """Return a history with its `facts.*` as one column `facts`, a struct of the request's fields, and `views` alike."""
    plain = [name for name in table.column_names if not name.startswith((FACTS, VIEWS))]
    found = {name: table.column(name) for name in plain}
    for prefix in (FACTS, VIEWS):
        inside = [name for name in table.column_names if name.startswith(prefix)]
        found[prefix[:-1]] = _struct(table, inside, prefix)
    return pyarrow.table(found)


def _struct(table: pyarrow.Table, inside: Sequence[str], prefix: str) -> pyarrow.ChunkedArray:
    fields = [
        pyarrow.field(name.removeprefix(prefix), table.schema.field(name).type) for name in inside
    ]
    kind = pyarrow.struct(fields)
    chunks = [
        pyarrow.StructArray.from_arrays(batch.columns, fields=fields)
        if fields
        else pyarrow.array([{}] * batch.num_rows, kind)
        for batch in table.select(inside or table.column_names[:1]).to_batches()
    ]
    return pyarrow.chunked_array(chunks, kind)
