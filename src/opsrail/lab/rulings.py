"""Reads what people ruled out of a store, for figures of quality: `await quality(store, since_ms=...)`.

It reads rulings by the moment they were given, page by page: nothing is counted over a whole table. One that is held counts
once it has gone out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Sequence

import orjson

from opsrail.errors import Fault, InvalidInput
from opsrail.lab.quality import Quality, Ruled, quality_of
from opsrail.ports import Store
from opsrail.review.ruled import EXPIRY, GONE_OUT, in_parts, ratio_of, ruled_pages, said_by
from opsrail.values.decisions import DecisionRow
from opsrail.values.reviews import UNRULED_STATES, Purpose, ReviewRow, RulingRow
from opsrail.values.rows import Where, equals

MOST_WAITING = 100_000
MOST_NEWEST = 500
"""Reviews that a page looks at. Ours: their decisions and rulings are one read each."""
MOST_SHOWN = 10_000
"""Waiting reviews that a page looks at. Ours: 45 ms, as the page of queues."""


async def quality(
    store: Store,
    *,
    since_ms: int,
    until_ms: int,
    queue: str | None = None,
    automations: Collection[str] | None = None,
    most: int | None = None,
) -> Quality:
    """Return how well people and the machine decided in a span of time.

    Args:
        since_ms, until_ms: The span in which people ruled, epoch ms.
        queue: Only this desk's.
        automations: Only reviews of these; None: all.
        most: Reviews that may be looked at; None: any number.

    Raises:
        InvalidInput: there are more than `most`. Terminal: ask for a shorter span.
    """
    where = () if queue is None else equals(queue=queue)
    if automations is not None:
        where = (*where, Where("automation", "in", tuple(sorted(automations)) or ("",)))
    found: list[Ruled] = []
    looked_at = 0
    async for page in ruled_pages(store, since_ms, until_ms, *where):
        looked_at += len(page)
        if most is not None and looked_at > most:
            fault = Fault(
                "days", f"more than {most:,} rulings; ask for fewer days, or use the command"
            )
            raise InvalidInput("this is too much for one request", [fault])
        found += await ruled(store, page)
    waiting = await store.count(
        ReviewRow, Where("state", "in", UNRULED_STATES), *where, by=("queue", "opened_at_ms")
    )
    ages = [
        (str(name), max(0, until_ms - opened_ms) / 1000)
        for (name, opened_ms), count in waiting.items()
        for _ in range(min(count, MOST_WAITING))
    ]
    span = {"since_ms": since_ms, "until_ms": until_ms}
    return await asyncio.to_thread(quality_of, found, ages, **span, queue=queue)


async def quality_of_newest(
    store: Store,
    *,
    since_ms: int,
    until_ms: int,
    queue: str | None = None,
    automations: Collection[str] | None = None,
) -> tuple[Quality, bool]:
    """Return the figures of the newest reviews that were ruled in a span of time, and whether there were more: four reads.

    Args:
        since_ms, until_ms, queue, automations: As of `quality`.
    """
    where = () if queue is None else equals(queue=queue)
    if automations is not None:
        where = (*where, Where("automation", "in", tuple(sorted(automations)) or ("",)))
    newest = await store.select(
        ReviewRow, Where("ruled_at_ms", ">=", since_ms), Where("ruled_at_ms", "<", until_ms),
        *GONE_OUT, *where,
        order=("ruled_at_ms",), descending=True, limit=MOST_NEWEST + 1,
    )  # fmt: skip
    found = await ruled(store, newest[:MOST_NEWEST])
    waits = Where("state", "in", UNRULED_STATES)
    names, opened = await store.columns(
        ReviewRow, ("queue", "opened_at_ms"), waits, *where, limit=MOST_SHOWN
    )
    ages = [
        (str(name), max(0, until_ms - int(at_ms)) / 1000)
        for name, at_ms in zip(names, opened, strict=True)
    ]
    span = {"since_ms": since_ms, "until_ms": until_ms}
    figures = await asyncio.to_thread(quality_of, found, ages, **span, queue=queue)
    return figures, len(newest) > MOST_NEWEST or len(names) == MOST_SHOWN


async def ruled(store: Store, reviews: Sequence[ReviewRow]) -> list[Ruled]:
    """Return what each person ruled on reviews, with what the machine had said."""
    ids = [row.id for row in reviews]
    decisions = await in_parts(
        store,
        DecisionRow,
        "id",
        [row.decision_id for row in reviews if row.decision_id is not None],
    )
    spoken = {row.id: said_by(row) for row in decisions}
    by_review: dict[str, list[RulingRow]] = {}
    for one in await in_parts(store, RulingRow, "review_id", ids):
        by_review.setdefault(one.review_id, []).append(one)
    found: list[Ruled] = []
    for row in reviews:
        said = spoken.get(row.decision_id or "")
        found += _of_review(row, by_review.get(row.id, []), said)
    return found


def _of_review(row: ReviewRow, rulings: Sequence[RulingRow], said: str | None) -> Iterator[Ruled]:
    """Yield what each person ruled; where nobody is told of one by one, what the review itself says."""
    kept = {} if row.labels is None else orjson.loads(row.labels)
    item = str(kept.get("control") or row.id)
    whole = Ruled(
        item, row.queue, row.ruled_by or "", row.ruling or "", row.ruled_at_ms or 0,
        truth=row.truth if row.purpose == Purpose.CONTROL else None, said=said, ratio=ratio_of(row),
        held_s=None if row.claimed_at_ms is None else ((row.ruled_at_ms or 0) - row.claimed_at_ms) / 1000,
        waited_s=((row.ruled_at_ms or 0) - row.opened_at_ms) / 1000,
    )  # fmt: skip
    if row.ruled_by == EXPIRY:
        return
    spoken = [one for one in rulings if one.verdict]
    for one in spoken:
        yield whole._replace(
            by=one.by, verdict=one.verdict, first=one.first, held_s=one.held_s, at_ms=one.at_ms
        )
    if not spoken:
        yield whole
