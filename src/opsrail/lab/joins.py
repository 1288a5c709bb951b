"""What became of decisions, beside them: people's rulings, what turned out true, and what challengers said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pyarrow
import pyarrow.compute

from opsrail.ports import Store
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.reviews import ReviewRow
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


async def with_rulings(store: Store, table: pyarrow.Table) -> pyarrow.Table:
    """Return a history with the last ruling on each decision.

    Returns:
        Beside what was there `ruling` (null: none), `ruling_is_override`, and `reviewed_s`: from claim to ruling, seconds;
        null where it was ruled without a claim.
    """
    names = ("decision_id", "verdict", "ruling", "claimed_at_ms", "ruled_at_ms", "opened_at_ms")
    told: dict[str, tuple[Any, ...]] = {}
    ruled = Where("ruling", "null", False)
    async for page in _pages(store, ReviewRow, names, table, ruled):
        for decision_id, verdict, ruling, claimed_at_ms, ruled_at_ms, _ in page:
            is_override = verdict not in (None, UNDECIDED, ruling)
            held_s = None if claimed_at_ms is None else (ruled_at_ms - claimed_at_ms) / 1000
            told[decision_id] = (ruling, is_override, held_s)
    return _joined(table, told, RULING)


async def with_outcomes(store: Store, table: pyarrow.Table, name: str) -> pyarrow.Table:
    """Return a history with what turned out true of each decision.

    Args:
        name: What turned out, e.g. `fraud`.

    Returns:
        Beside what was there `outcome` (null: not known), `ratio` (the probability with which it was looked at) and
        `outcome_source`; of several rows of a decision the last one holds.
    """
    names = ("decision_id", "value", "ratio", "source")
    told: dict[str, tuple[Any, ...]] = {}
    async for page in _pages(store, OutcomeRow, names, table, *equals(name=name)):
        for decision_id, *values in page:
            told[decision_id] = tuple(values)
    return _joined(table, told, OUTCOME)


async def with_shadows(
    store: Store, table: pyarrow.Table, model_name: str, model_number: int
) -> pyarrow.Table:
    """Return a history with what one challenger said of each decision's request.

    Returns:
        Beside what was there `shadow_score`, `shadow_confidence`, `shadow_verdict`, `shadow_code` (why it has no score),
        `shadow_latency_us` and `shadow_cost_usd`; all null where it was not asked.
    """
    names = ("decision_id", "score", "confidence", "verdict", "code", "latency_us", "cost_usd")
    version = equals(model_name=model_name, model_number=model_number)
    told: dict[str, tuple[Any, ...]] = {}
    async for page in _pages(store, ShadowScoreRow, names, table, *version):
        for decision_id, *values in page:
            told[decision_id] = tuple(values)
    return _joined(table, told, SHADOW)


async def _pages(
    store: Store,
    row_type: type[tuple[Any, ...]],
    names: Sequence[str],
    table: pyarrow.Table,
    *where: Where,
) -> AsyncIterator[list[tuple[Any, ...]]]:
    """Yield rows that speak of a history's decisions, by key."""
    if not table.num_rows:
        return
    span = pyarrow.compute.min_max(table.column("id")).as_py()
    about = (
        Where("decision_id", ">=", span["min"]),
        Where("decision_id", "<=", span["max"]),
        *where,
    )
    key = TABLES[row_type].key
    after: tuple[Any, ...] = ()
    while True:
        columns = await store.columns(
            row_type, (*key, *names), *about, after=after, limit=PAGE_ROWS
        )
        yield list(zip(*columns[len(key) :], strict=True))
        if len(columns[0]) < PAGE_ROWS:
            return
        after = tuple(column[-1] for column in columns[: len(key)])


def _joined(
    table: pyarrow.Table, told: dict[str, tuple[Any, ...]], kinds: dict[str, pyarrow.DataType]
) -> pyarrow.Table:
    """Return a table with further columns, by decision; null where nothing is told."""
    ids = pyarrow.array(list(told), pyarrow.string())
    places = pyarrow.compute.index_in(table.column("id"), value_set=ids)
    columns = zip(*told.values(), strict=True) if told else [()] * len(kinds)
    for (name, kind), column in zip(kinds.items(), columns, strict=True):
        values = pyarrow.array(list(column), kind).take(places.combine_chunks())
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, values)
    return table
