"""What is looked up of reviews: lists, queues, history, and who may see what the machine said."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import orjson

from opsrail.clock import Clock
from opsrail.errors import NotFound
from opsrail.ports import Store
from opsrail.review import known
from opsrail.review.queue import Queue
from opsrail.values.access import UserRow
from opsrail.values.reviews import (
    UNRULED_STATES,
    ReviewEventRow,
    ReviewRow,
    ReviewState,
    RulingRow,
)
from opsrail.values.rows import Where, equals

MOST_EVENTS = 1_000
OLDEST_COUNT = 50
"""Reviews looked through for the oldest of each queue at once; queues that are not among them are asked one by one. Ours."""
NONE: Mapping[str, Queue] = {}
TELLING = ("said", "ruled", "reconsidered", "undone", "delivered", "expired")
"""Kinds of events that tell what somebody thinks of the review."""


class QueueCount(NamedTuple):
    """How a queue stands.

    Attributes:
        waiting: Reviews without a ruling, held ones among them.
        claimed: Of them, how many somebody holds.
        overdue: Of them, how many are past their due time.
        oldest_at_ms: When the oldest was opened.
    """

    queue: str
    waiting: int
    claimed: int
    overdue: int
    oldest_at_ms: int | None


class Reading:
    """Looks reviews up, over a store; changes nothing.

    Args:
        queues: Those that the loaded files declare, by name.

    Attributes:
        moments: Set when a review was given a moment at which something happens by itself; `Clockwork` clears it.
    """

    def __init__(self, store: Store, clock: Clock, queues: Mapping[str, Queue] = NONE) -> None:
        self._store = store
        self._clock = clock
        self._declared = known.declared_names(queues)
        self.moments = asyncio.Event()

    async def get(self, review_id: str) -> ReviewRow:
        """Return a review.

        Raises:
            NotFound: no review has that id. Terminal.
        """
        row = await self._store.get(ReviewRow, review_id)
        if row is None:
            raise NotFound(f"no review {review_id}; list them with `opsrail reviews list`")
        return row

    async def named(self, name: str) -> str:
        """Return what records call a person: a user is `user:NAME`, by whatever door their name comes in.

        Otherwise who signs in and types their name elsewhere would be two people: two pairs of eyes, and neither would hold
        what is passed to the other.
        """
        bare = name.strip().lower()
        if ":" in bare:
            return name
        user = await self._store.get(UserRow, bare)
        return name if user is None else f"user:{user.name}"

    async def waiting(self, queue: str | None = None, *, limit: int = 100) -> list[ReviewRow]:
        """Return reviews without a ruling, most urgent first: by priority, then age."""
        of_queue = () if queue is None else equals(queue=queue)
        order = ("priority", "opened_at_ms", "id")
        rows: list[ReviewRow] = []
        for state in UNRULED_STATES:  # one at a time: each has its index
            rows += await self._store.select(
                ReviewRow, *equals(state=state), *of_queue, order=order, limit=limit
            )
        return sorted(rows, key=lambda row: (row.priority, row.opened_at_ms, row.id))[:limit]

    async def page(
        self,
        *,
        state: str | None = None,
        queue: str | None = None,
        mine: str | None = None,
        automations: Collection[str] | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> list[ReviewRow]:
        """Return a page of reviews: what waits by priority and age, what is ruled or withdrawn from the newest on.

        Args:
            state: None: all that wait.
            mine: Only what this person holds, was asked or ruled.
            automations: Only of these; None: of all.
            after: Id of the last row of the page before.
        """
        where: list[Where] = [Where("state", "in", UNRULED_STATES if state is None else (state,))]
        where += () if queue is None else equals(queue=queue)
        where += () if mine is None else equals(assignee=await self.named(mine))
        if automations is not None:
            where.append(Where("automation", "in", tuple(sorted(automations))))
        if state in (ReviewState.RULED, ReviewState.WITHDRAWN):
            where += () if after is None else (Where("id", "<", after),)
            return await self._store.select(
                ReviewRow, *where, order=("id",), descending=True, limit=limit
            )
        if after is None:
            return await self._store.select(
                ReviewRow, *where, order=("priority", "id"), limit=limit
            )
        last = await self.get(after)
        same = (*equals(priority=last.priority), Where("id", ">", last.id))
        rows = await self._store.select(ReviewRow, *where, *same, order=("id",), limit=limit)
        if (left := limit - len(rows)) > 0:
            later = Where("priority", ">", last.priority)
            rows += await self._store.select(
                ReviewRow, *where, later, order=("priority", "id"), limit=left
            )
        return rows

    async def queues(self, automations: Collection[str] | None = None) -> list[QueueCount]:
        """Return how each queue stands that has something waiting, by name.

        Args:
            automations: Count only reviews of these; None: of all.
        """
        waits = [Where("state", "in", UNRULED_STATES)]
        if automations is not None:
            waits.append(Where("automation", "in", tuple(sorted(automations))))
        counts = await self._store.count(ReviewRow, *waits, by=("queue", "state"))
        late = Where("due_at_ms", "<=", self._clock.now_ms())
        overdue = await self._store.count(ReviewRow, *waits, late, by=("queue",))
        by_age = ("opened_at_ms", "id")
        oldest: dict[str, int] = {}
        for row in await self._store.select(ReviewRow, *waits, order=by_age, limit=OLDEST_COUNT):
            oldest.setdefault(row.queue, row.opened_at_ms)
        names = sorted({str(queue) for queue, _ in counts})
        for name in [name for name in names if name not in oldest]:
            for row in await self._store.select(
                ReviewRow, *waits, *equals(queue=name), order=by_age, limit=1
            ):
                oldest[name] = row.opened_at_ms
        return [
            QueueCount(
                name,
                sum(count for (queue, _), count in counts.items() if queue == name),
                counts.get((name, ReviewState.CLAIMED), 0),
                overdue.get((name,), 0),
                oldest.get(name),
            )
            for name in names
        ]

    async def keep_queues(self) -> None:
        """Keep which queues the loaded files declare, so that processes without them know these queues."""
        await known.keep(self._store, self._declared)

    async def refuse_unless_known(self, *queues: str | None) -> None:
        """Refuse queues that nobody declared and that have no reviews; None names none. Raises Contradictory."""
        named = [queue for queue in queues if queue is not None]
        await known.refuse_unless_known(self._store, self._declared, named)

    async def rulings(self, review_id: str) -> list[RulingRow]:
        """Return what people said of a review, by name; reviewers must not see those of others before their own."""
        return await self._store.select(RulingRow, *equals(review_id=review_id), order=("by",))

    async def sees(self, rows: Sequence[ReviewRow], viewer: str | None) -> set[str]:
        """Return the ids of reviews of which a person may see what the machine said.

        Args:
            viewer: As records name them; None: nobody in particular.
        """
        seen = {row.id for row in rows if is_plain(row)}
        blind = tuple(row.id for row in rows if row.id not in seen)
        if blind and viewer is not None:
            viewer = await self.named(viewer)
            said = await self._store.select(
                RulingRow, Where("review_id", "in", blind), *equals(by=viewer), limit=len(blind)
            )
            seen |= {one.review_id for one in said}
        return seen

    async def history(self, review_id: str, *, viewer: str | None = None) -> list[ReviewEventRow]:
        """Return what happened to a review, first to last.

        What others said stays out until the ruling has gone to its case: who is still to say theirs must not know it.

        Args:
            viewer: Whose own words are theirs to see at any time; None: nobody's.
        """
        row = await self.get(review_id)
        events = await self._store.select(
            ReviewEventRow, *equals(review_id=review_id), order=("seq",), limit=MOST_EVENTS
        )
        return told_to(row, events, None if viewer is None else await self.named(viewer))


def told_to(
    row: ReviewRow, events: Sequence[ReviewEventRow], viewer: str | None
) -> list[ReviewEventRow]:
    """Return a review's events as a person may know them: without what others said, until the ruling has gone out.

    Args:
        viewer: As records name them; None: nobody in particular.
    """
    if is_over(row) or (row.eyes == 1 and not row.blind):
        return list(events)
    return [
        event._replace(content="{}") if event.kind in TELLING and event.by != viewer else event
        for event in events
    ]


def is_over(row: ReviewRow) -> bool:
    """Return whether nothing can happen to a review any more."""
    if row.state == ReviewState.RULED:
        return row.delivered_at_ms is not None or row.wake_at_ms is None
    return row.state == ReviewState.WITHDRAWN


def shows_ruling(row: ReviewRow, viewer: str | None) -> bool:
    """Return whether a person may see what was ruled: who is still to say theirs may not, and a ruling may be taken back.

    Args:
        viewer: As records name them; None: nobody in particular.
    """
    return is_over(row) or (row.eyes == 1 and not row.blind) or row.ruled_by == viewer is not None


def untold(row: ReviewRow, viewer: str | None) -> ReviewRow:
    """Return a review as a person may see it: without a ruling that they must not know yet."""
    if shows_ruling(row, viewer):
        return row
    return row._replace(ruling=None, ruling_reason=None, ruled_by=None)


def is_plain(row: ReviewRow) -> bool:
    """Return whether anybody who may see a review may see all of it."""
    return not row.blind or is_over(row)


def content_of(event: ReviewEventRow) -> dict[str, object]:
    """Return what belongs to an event."""
    content: dict[str, object] = orjson.loads(event.content)
    return content
