"""Reads what people ruled out of a store, by the moment they did; nothing is counted or sorted over a whole table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import orjson

from opsrail.ports import Store
from opsrail.values.decisions import DecisionRow
from opsrail.values.reviews import EXPIRY as EXPIRY
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.values.rows import R, Where, equals

PAGE_COUNT = 1_000
IDS_AT_ONCE = 500
MOST_OF_ONE = 20
"""Rows that belong to one id, at most: people who said something of one review."""
REFERRED = "review"
"""Verdict that leaves a decision to people."""
GONE_OUT = (*equals(state=ReviewState.RULED), Where("wake_at_ms", "null", True))
"""Reviews whose ruling nobody takes back any more: of a held one the moment at which it goes out is still to come."""


async def ruled_pages(
    store: Store,
    since_ms: int,
    until_ms: int,
    *where: Where,
    after: ReviewRow | None = None,
) -> AsyncIterator[list[ReviewRow]]:
    """Yield reviews that were ruled in a span, by moment and id, page by page; not those whose ruling is held.

    Args:
        since_ms, until_ms: The span, epoch ms; the last moment is not in it.
        after: The last one of what was read before; None: from the beginning.
    """
    where = (*GONE_OUT, *where)
    at_ms, last_id = since_ms, ""
    if after is not None and (after.ruled_at_ms or 0) >= since_ms:
        at_ms, last_id = after.ruled_at_ms or 0, after.id
    while at_ms < until_ms:
        rows = await store.select(  # the rest of the moment that the last page ended in
            ReviewRow, Where("ruled_at_ms", "=", at_ms), Where("id", ">", last_id), *where,
            order=("id",), limit=PAGE_COUNT,
        )  # fmt: skip
        if len(rows) < PAGE_COUNT:
            rows += await store.select(
                ReviewRow, Where("ruled_at_ms", ">", at_ms), Where("ruled_at_ms", "<", until_ms), *where,
                order=("ruled_at_ms", "id"), limit=PAGE_COUNT - len(rows),
            )  # fmt: skip
        if rows:
            yield rows
        if len(rows) < PAGE_COUNT:
            return
        at_ms, last_id = rows[-1].ruled_at_ms or 0, rows[-1].id


async def in_parts(store: Store, table: type[R], column: str, values: Sequence[str]) -> list[R]:
    """Return all rows whose column has one of the values, some values at a time."""
    wanted = sorted(set(values))
    found: list[R] = []
    for begin in range(0, len(wanted), IDS_AT_ONCE):
        some = tuple(wanted[begin : begin + IDS_AT_ONCE])
        limit = MOST_OF_ONE * IDS_AT_ONCE
        found += await store.select(table, Where(column, "in", some), limit=limit)
    return found


def said_by(decision: DecisionRow) -> str | None:
    """Return what the machine said of a decision; None: it asked people."""
    said = decision.proposed or decision.verdict
    return None if said == REFERRED else said


def ratio_of(row: ReviewRow) -> float | None:
    """Return the probability with which a review was drawn as a spot check; None: it is none."""
    ratio = orjson.loads(row.labels)["sampled"] if row.labels is not None else None
    return None if ratio is None else float(ratio)
