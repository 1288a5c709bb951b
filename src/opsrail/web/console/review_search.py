"""Reads reviews for pages: how queues stand, lists in pages, all of one review. Each answer is a few bounded reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pydantic_core import to_json

from opsrail.errors import NotFound
from opsrail.ports import Store
from opsrail.review.reading import MOST_EVENTS, told_to
from opsrail.values.cases import JournalRow
from opsrail.values.decisions import DecisionRow
from opsrail.values.reviews import (
    UNRULED_STATES,
    ReviewEventRow,
    ReviewRow,
    ReviewState,
    RulingRow,
)
from opsrail.values.rows import Where, equals

MOST_WAITING = 10_000
"""Waiting reviews that are counted. Ours: 45 ms; beyond, the page says so."""
MOST_MINE = 20
MOST_ENTRIES = 300
"""Entries of a case's journal that are looked at. Ours."""


class QueueFigures(NamedTuple):
    """How a queue stands.

    Attributes:
        overdue: Waiting behind their due time.
        oldest_ms: When the one that waits longest was opened; None: none waits.
    """

    queue: str
    waiting: int
    held: int
    overdue: int
    oldest_ms: int | None


class Whole(NamedTuple):
    """All of one review.

    Attributes:
        said: What people said of it and of `last`.
    """

    row: ReviewRow
    last: ReviewRow | None
    rulings: Sequence[RulingRow]
    said: Sequence[RulingRow]
    events: Sequence[ReviewEventRow]
    entries: Sequence[JournalRow]


async def queues(
    store: Store, scopes: frozenset[str] | None, known: Sequence[str], now_ms: int
) -> tuple[list[QueueFigures], bool]:
    """Return how queues stand, those with the most waiting first, and whether more wait than were counted.

    Args:
        scopes: Automations that the person may see; None: all.
        known: Queues that are shown though nothing waits there.
    """
    names = ("queue", "state", "opened_at_ms", "due_at_ms", "lease_until_ms")
    waits = [Where("state", "in", UNRULED_STATES)]
    if scopes is not None:  # what others wait for must not fill the room
        waits.append(Where("automation", "in", tuple(sorted(scopes))))
    columns = await store.columns(ReviewRow, names, *waits, limit=MOST_WAITING)
    rows = zip(*columns, strict=True)
    found: dict[str, list[int | None]] = {queue: [0, 0, 0, None] for queue in known}
    for queue, state, opened_ms, due_ms, lease_ms in rows:
        sums = found.setdefault(queue, [0, 0, 0, None])
        is_held = state == ReviewState.CLAIMED and (lease_ms or 0) > now_ms
        place = 1 if is_held else 0
        sums[place] = (sums[place] or 0) + 1
        sums[2] = (sums[2] or 0) + int(due_ms is not None and due_ms < now_ms)
        sums[3] = opened_ms if sums[3] is None else min(sums[3], opened_ms)
    figures = [
        QueueFigures(queue, a or 0, b or 0, c or 0, oldest)
        for queue, (a, b, c, oldest) in found.items()
    ]
    is_cut = len(columns[0]) == MOST_WAITING
    return sorted(figures, key=lambda each: (-each.waiting - each.held, each.queue)), is_cut


async def held_by(
    store: Store, by: str, scopes: frozenset[str] | None, now_ms: int
) -> list[ReviewRow]:
    """Return the reviews that a person holds or was asked about, those that lapse first.

    Args:
        scopes: Automations that the person may see, whoever passes them what; None: all.
    """
    mine = list(equals(assignee=by))
    if scopes is not None:
        mine.append(Where("automation", "in", tuple(sorted(scopes))))
    asked = await store.select(ReviewRow, *equals(state=ReviewState.ASKED), *mine, limit=MOST_MINE)
    runs = Where(
        "lease_until_ms", ">", now_ms
    )  # those that lapsed stay under their name, and may be many
    held = await store.select(
        ReviewRow, *equals(state=ReviewState.CLAIMED), *mine, runs, limit=MOST_MINE
    )
    return [*asked, *sorted(held, key=lambda row: row.lease_until_ms or 0)]


async def whole(store: Store, review_id: str, by: str, last: str = "") -> Whole:
    """Return all of a review that a person may know, and the one that they ruled on before: at most five reads.

    Args:
        last: Id of a review that is only named beside it.

    Raises:
        NotFound: no review has that id. Terminal.
    """
    ids = (review_id, last) if last and last != review_id else (review_id,)
    found = {row.id: row for row in await store.select(ReviewRow, Where("id", "in", ids), limit=2)}
    row = found.get(review_id)
    if row is None:
        raise NotFound(f"no review {review_id}; it may have been pruned")
    rulings = await store.select(RulingRow, Where("review_id", "in", ids), limit=20)
    events = await store.select(ReviewEventRow, *equals(review_id=review_id), limit=MOST_EVENTS)
    entries = await journal(store, row)
    own = [each for each in rulings if each.review_id == review_id]
    return Whole(row, found.get(last), own, rulings, told_to(row, events, by), entries)


async def journal(store: Store, row: ReviewRow) -> Sequence[JournalRow]:
    """Return what the case of a review did up to the decision that it is about.

    Of a spot check, for which no case waits, that is the decision's case: who looks cannot tell it by what is missing, nor
    by what happened later.
    """
    case_id = row.case_id
    if case_id is None and row.decision_id is not None:
        decision = await store.get(DecisionRow, row.decision_id)
        case_id = None if decision is None else decision.case_id
    if case_id is None:
        return ()
    entries = await store.select(JournalRow, *equals(case_id=case_id), limit=MOST_ENTRIES)
    asked = to_json(row.decision_id).decode()
    ends = [at for at, each in enumerate(entries) if each.kind == "decide" and each.result == asked]
    return entries[: ends[0] + 1] if ends else entries
