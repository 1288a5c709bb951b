"""Finds the review that a person should look at next: of lists that an index has in order, the first that they may have.

Of what waits, the list by due time tells nearly always: what is overdue goes first, and a short list is there as a whole.
Only of a longer one, of which nothing is overdue, the list by priority is read as well. Each is read in a window, and in
wider ones only as far as nothing before was for who asks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from opsrail.access.api_keys import PERSON, person_behind
from opsrail.clock import Clock
from opsrail.ports import Store
from opsrail.review.assignment import Person, due_ms, may_have, next_for
from opsrail.review.queue import Queue
from opsrail.review.reading import NONE, Reading
from opsrail.review.ruled import in_parts
from opsrail.values.access import UserRow
from opsrail.values.reviews import ReviewRow, ReviewState, RulingRow
from opsrail.values.rows import Where, equals

WINDOWS = (16, 128, 16, 1_024, 16_384)
"""Reviews that are looked through for the next one, window by window. Ours: the first holds it nearly always."""
SORTED_OUT = 2
"""From which window on what asks for skills that a person lacks is not read. Ours: to see which skills there are costs as
much as a few hundred reviews do."""
MOST_GIVEN = 1_000
"""Reviews that are known to have been given out here, at most. Ours: far more than are asked for at the same time."""
BY_DUE = ("urgent_at_ms", "opened_at_ms", "id")
BY_PRIORITY = ("priority", *BY_DUE)


class Seat(NamedTuple):
    """Who asks for work, and of what they are given some.

    Attributes:
        among: What all reviews must be besides.
        lost: Reviews, by id and version, that others were given a moment ago.
    """

    person: Person
    among: Sequence[Where]
    lost: Collection[tuple[str, int]]
    now_ms: int


class Finding(Reading):
    """Finds what is next, over a store; changes nothing.

    People who ask at the same time read the same list; so each passes over what another is given here just now, as it stood
    in the list, instead of losing the race for it.
    """

    def __init__(self, store: Store, clock: Clock, queues: Mapping[str, Queue] = NONE) -> None:
        super().__init__(store, clock, queues)
        self._given: dict[tuple[str, int], str] = {}

    async def _most_urgent(self, seat: Seat) -> ReviewRow | None:
        """Return what a person holds, else the most urgent review that they may have."""
        claimed = equals(state=ReviewState.CLAIMED)
        runs = Where("lease_until_ms", ">", seat.now_ms)
        mine = [*equals(assignee=seat.person.name), *claimed, runs]
        held, is_all = await self._first_fit(seat, mine, ("id",))
        if held and not is_all:  # so many that their order matters
            held = await self._head(seat, mine)
        if held:
            return next_for(seat.person, held, seat.now_ms)
        lapsed = [*claimed, Where("lease_until_ms", "<=", seat.now_ms)]
        while True:
            heads = [
                await self._head(seat, equals(state=ReviewState.OPEN)),
                await self._head(seat, lapsed),
            ]
            free = [[row for row in head if not self._is_gone(seat, row)] for head in heads]
            if all(left or not head for left, head in zip(free, heads, strict=True)):
                return next_for(seat.person, [*free[0], *free[1]], seat.now_ms)

    async def _head(self, seat: Seat, where: Sequence[Where]) -> list[ReviewRow]:
        """Return the most urgent of the reviews of a kind that a person may have: none that is left out goes before them."""
        by_due, is_all = await self._first_fit(seat, where, BY_DUE)
        if is_all or not by_due:
            return by_due
        if overdue := [row for row in by_due if due_ms(row) <= seat.now_ms]:
            return overdue
        by_priority, _ = await self._first_fit(seat, where, BY_PRIORITY)
        return by_priority

    async def _first_fit(
        self, seat: Seat, where: Sequence[Where], order: Sequence[str]
    ) -> tuple[list[ReviewRow], bool]:
        """Return what a person may have of a list: the first of it and what comes with that, and whether that is all."""
        where = [*where, *seat.among]
        for at, window in enumerate(WINDOWS):
            if at == SORTED_OUT:
                where.append(await self._askable(seat.person, where))
            rows = await self._store.select(ReviewRow, *where, order=order, limit=window)
            rows, is_all = [row for row in rows if self._may_have(seat, row)], len(rows) < window
            ruled = await self._ruled_ids(rows, seat.person)
            if (fit := [row for row in rows if row.id not in ruled]) or is_all:
                return fit, is_all
        return [], False

    async def _askable(self, person: Person, where: Sequence[Where]) -> Where:
        """Return what leaves out the reviews of a list that ask for skills which a person lacks."""
        there = await self._store.count(ReviewRow, *where, by=("skills",))
        texts = [text for (text,) in there if person.skills.issuperset(text.split())]
        return Where("skills", "in", tuple(sorted(texts)))

    def _may_have(self, seat: Seat, row: ReviewRow) -> bool:
        return not self._is_gone(seat, row) and may_have(seat.person, row, seat.now_ms, ())

    def _is_gone(self, seat: Seat, row: ReviewRow) -> bool:
        """Return whether another is given a review as it stands in the list; a later one of it is looked at anew."""
        at = (row.id, row.version)
        return at in seat.lost or self._given.get(at, seat.person.name) != seat.person.name

    @contextmanager
    def _giving(self, row: ReviewRow, by: str) -> Iterator[None]:
        """Have others here pass over a review while it is given to a person, and afterwards the row that it was."""
        at = (row.id, row.version)
        self._given[at] = by
        try:
            yield
        except BaseException:
            self._given.pop(at, None)
            raise
        if len(self._given) > MOST_GIVEN:
            del self._given[next(iter(self._given))]

    async def _ruled_ids(self, rows: Sequence[ReviewRow], person: Person) -> set[str]:
        """Return which of some reviews a person ruled on, be it by a key that they gave out."""
        ids = [row.id for row in rows if row.eyes > 1]
        said = [
            one for one in await in_parts(self._store, RulingRow, "review_id", ids) if one.verdict
        ]
        names = {one.by for one in said}
        theirs = {name for name in names if await person_behind(self._store, name) == person.behind}
        return {one.review_id for one in said if one.by in theirs}

    async def _person(self, name: str, skills: Collection[str] | None) -> Person:
        """Return who asks, as records name them, with what they may be asked.

        Args:
            skills: What they may be asked, of what the users' list says where they are in it; None: all of that.
        """
        user = await self._user(name)
        by = name if user is None or ":" in name else PERSON + user.name
        known = None if user is None else frozenset(user.skills.split())
        if skills is None:
            skills = known or ()
        given = frozenset(skills) if known is None else known.intersection(skills)
        return Person(by, given, await person_behind(self._store, by))

    async def _user(self, name: str) -> UserRow | None:
        """Return the user that a name stands for: `user:NAME`, or as they type it."""
        bare = name.removeprefix(PERSON) if ":" in name else name.strip().lower()
        return None if ":" in bare else await self._store.get(UserRow, bare)
