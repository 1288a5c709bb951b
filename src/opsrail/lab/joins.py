"""What became of decisions, beside them: people's rulings, what turned out true, and what challengers said."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow
import pyarrow.compute as compute

from opsrail.ports import Store
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.reviews import EXPIRY, ReviewRow
from opsrail.values.rows import Where, equals
from opsrail.values.shadows import ShadowScoreRow
from opsrail.values.tables import TABLES

PAGE_ROWS = 20_000
UNDECIDED = "review"
"""Verdict that leaves a decision to people: whatever they rule overrides nothing. As `review/desk.py`."""
RULING = {
    "ruling": pyarrow.string(),
    "ruling_is_override": pyarrow.bool_(),
    "reviewed_s": pyarrow.float64(),
}
OUTCOME = {
    "outcome": pyarrow.float64(),
    "ratio": pyarrow.float64(),
    "outcome_source": pyarrow.string(),
}
SHADOW = {
    "shadow_score": pyarrow.float64(),
    "shadow_confidence": pyarrow.float64(),
    "shadow_verdict": pyarrow.string(),
    "shadow_code": pyarrow.string(),
    "shadow_latency_us": pyarrow.int64(),
    "shadow_cost_usd": pyarrow.float64(),
}


class Told:
    """What is told of decisions: columns by decision id, of which the last row of a decision holds.

    Args:
        ids: Of decisions, in the order in which they were told.
        columns: By name, as long.
    """

    def __init__(self, ids: pyarrow.Array, columns: Mapping[str, pyarrow.Array]) -> None:
        keys = pyarrow.table({"id": ids, "place": pyarrow.array(range(len(ids)), pyarrow.int64())})
        order = compute.sort_indices(keys, [("id", "ascending"), ("place", "descending")])
        self._ids = ids.take(order)
        self._columns = {name: column.take(order) for name, column in columns.items()}

    def __len__(self) -> int:
        return len(self._ids)

    def beside(self, table: pyarrow.Table) -> pyarrow.Table:
        """Return a part of a history with these columns; null where nothing is told."""
        first = last = 0
        if table.num_rows:
            span = compute.min_max(table.column("id")).as_py()
            first, last = (
                self._place(span["min"], bisect_left),
                self._place(span["max"], bisect_right),
            )
        ids = self._ids.slice(first, last - first)
        places = compute.index_in(table.column("id"), value_set=ids).combine_chunks()
        for name, column in self._columns.items():
            if name in table.column_names:
                table = table.drop_columns([name])
            table = table.append_column(name, column.slice(first, last - first).take(places))
        return table

    def _place(self, decision_id: str, by: Callable[..., int]) -> int:
        return by(self._ids, decision_id, key=lambda one: one.as_py())


async def rulings(store: Store, first: str, last: str) -> Told:
    """Return the rulings on decisions from one id to another: `ruling`, `ruling_is_override`, `reviewed_s`."""
    names = ("decision_id", "verdict", "ruling", "claimed_at_ms", "ruled_at_ms")
    by_people = (Where("ruling", "null", False), Where("ruled_by", "!=", EXPIRY))
    ids, verdicts, ruled, claimed, ended = await _read(
        store, ReviewRow, names, first, last, *by_people
    )
    overrides = [
        verdict not in (None, UNDECIDED, ruling)
        for verdict, ruling in zip(verdicts, ruled, strict=True)
    ]
    held_s = [
        None if begun_ms is None else (ended_ms - begun_ms) / 1000
        for begun_ms, ended_ms in zip(claimed, ended, strict=True)
    ]
    return _told(ids, RULING, (ruled, overrides, held_s))


async def outcomes(store: Store, name: str, first: str, last: str) -> Told:
    """Return what turned out of decisions from one id to another: `outcome`, `ratio`, `outcome_source`."""
    names = ("decision_id", "value", "ratio", "source")
    ids, *columns = await _read(store, OutcomeRow, names, first, last, *equals(name=name))
    return _told(ids, OUTCOME, columns)


async def shadows(store: Store, model_name: str, model_number: int, first: str, last: str) -> Told:
    """Return what a challenger said of decisions from one id to another: columns `shadow_*`."""
    names = ("decision_id", "score", "confidence", "verdict", "code", "latency_us", "cost_usd")
    version = equals(model_name=model_name, model_number=model_number)
    ids, *columns = await _read(store, ShadowScoreRow, names, first, last, *version)
    return _told(ids, SHADOW, columns)


async def with_rulings(store: Store, table: pyarrow.Table) -> pyarrow.Table:
    """Return a history with the last ruling on each decision.

    Returns:
        Beside what was there `ruling` (null: none), `ruling_is_override`, and `reviewed_s`: from claim to ruling, seconds;
        null where it was ruled without a claim.
    """
    return (await rulings(store, *_span(table))).beside(table)


async def with_pending(store: Store, table: pyarrow.Table) -> pyarrow.Table:
    """Return a history with which decisions people were asked about without an answer so far: `is_pending`, else null."""
    unruled = Where("ruling", "null", True)
    (ids,) = await _read(store, ReviewRow, ("decision_id",), *_span(table), unruled)
    return _told(ids, {"is_pending": pyarrow.bool_()}, ([True] * len(ids),)).beside(table)


async def with_outcomes(store: Store, table: pyarrow.Table, name: str) -> pyarrow.Table:
    """Return a history with what turned out true of each decision.

    Args:
        name: What turned out, e.g. `fraud`.

    Returns:
        Beside what was there `outcome` (null: not known), `ratio` (the probability with which it was looked at) and
        `outcome_source`; of several rows of a decision the last one holds.
    """
    return (await outcomes(store, name, *_span(table))).beside(table)


async def with_shadows(
    store: Store, table: pyarrow.Table, model_name: str, model_number: int
) -> pyarrow.Table:
    """Return a history with what one challenger said of each decision's request.

    Returns:
        Beside what was there `shadow_score`, `shadow_confidence`, `shadow_verdict`, `shadow_code` (why it has no score),
        `shadow_latency_us` and `shadow_cost_usd`; all null where it was not asked.
    """
    return (await shadows(store, model_name, model_number, *_span(table))).beside(table)


def _span(table: pyarrow.Table) -> tuple[str, str]:
    span = compute.min_max(table.column("id")).as_py()
    return span["min"] or "", span["max"] or ""


async def _read(
    store: Store,
    row_type: type[tuple[Any, ...]],
    names: Sequence[str],
    first: str,
    last: str,
    *where: Where,
) -> list[list[Any]]:
    """Return columns of the rows that speak of these decisions, by key."""
    about = (Where("decision_id", ">=", first), Where("decision_id", "<=", last), *where)
    key = TABLES[row_type].key
    after: tuple[Any, ...] = ()
    found: list[list[Any]] = [[] for _ in names]
    while True:
        page = await store.columns(row_type, (*key, *names), *about, after=after, limit=PAGE_ROWS)
        for column, more in zip(found, page[len(key) :], strict=True):
            column += more
        if len(page[0]) < PAGE_ROWS:
            return found
        after = tuple(column[-1] for column in page[: len(key)])


def _told(
    ids: list[str], kinds: Mapping[str, pyarrow.DataType], columns: Sequence[list[Any]]
) -> Told:
    arrays = {
        name: pyarrow.array(column, kind)
        for (name, kind), column in zip(kinds.items(), columns, strict=True)
    }
    return Told(pyarrow.array(ids, pyarrow.string()), arrays)
