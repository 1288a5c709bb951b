"""Who holds a review: claims, leases, and who gets which next. Every change is compare-and-set on the review's version."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from opsrail.access.api_keys import person_behind
from opsrail.errors import AlreadyRuled, Denied, StaleWrite
from opsrail.review.assignment import Person, lacks, may_have, next_for
from opsrail.review.events import noted
from opsrail.review.machine import Event, Standing, refuse_unless, standing_of
from opsrail.review.reading import Reading
from opsrail.review.ruling import FREE
from opsrail.review.terms import terms_of
from opsrail.values.access import UserRow
from opsrail.values.reviews import ReviewRow, ReviewState, RulingRow
from opsrail.values.rows import Update, Where, Write, equals

WINDOWS = (16, 512, 16_384)
"""Reviews that are looked through for the next one, in ever wider windows. Ours: the first holds it nearly always."""
OLDEST = ("priority", "id")


class Holding(Reading):
    """Claims, renews and gives back, over a store."""

    async def claim(self, review_id: str, by: str, *, lease_ms: int | None = None) -> ReviewRow:
        """Hold a review for its queue's lease; claiming again renews.

        Args:
            lease_ms: None: as its queue says.

        Raises:
            AlreadyRuled: it has its ruling, or another person holds it. Conflict.
            Denied: they handed it in, ruled on it already, or lack a skill.
        """
        by, row, now_ms = await self._opened(review_id, by)
        standing = self._refuse_unless_free(row, by, Event.CLAIM, now_ms)
        lease_ms = terms_of(row.terms).lease_ms if lease_ms is None else lease_ms
        until = {"lease_until_ms": now_ms + lease_ms}
        if standing == Standing.CLAIMED and row.claimed_at_ms is not None:
            return await self._renewed(row, until)
        await self._refuse_unless_fit(row, by)
        held = {**until, "state": ReviewState.CLAIMED, "assignee": by, "claimed_at_ms": now_ms}
        return await self._step(row, "claimed", by, held, {}, now_ms)

    async def heartbeat(self, review_id: str, by: str) -> ReviewRow:
        """Give a sign of life: the lease begins anew. One that lasts longer, as after `pass_on`, stays.

        Raises:
            AlreadyRuled: `by` does not hold it any more. Conflict.
        """
        by, row, now_ms = await self._opened(review_id, by)
        self._refuse_unless_held(row, by, now_ms)
        until_ms = now_ms + terms_of(row.terms).lease_ms
        return await self._renewed(row, {"lease_until_ms": max(until_ms, row.lease_until_ms or 0)})

    async def release(self, review_id: str, by: str) -> ReviewRow:
        """Give a held review back to its queue.

        Raises:
            AlreadyRuled: `by` does not hold it. Conflict.
        """
        by, row, now_ms = await self._opened(review_id, by)
        self._refuse_unless_held(row, by, now_ms)
        return await self._step(row, "released", by, dict(FREE), {}, now_ms)

    async def next(
        self,
        by: str,
        queues: Sequence[str] = (),
        *,
        skills: Collection[str] | None = None,
        automations: Collection[str] | None = None,
    ) -> ReviewRow | None:
        """Claim the review that a person should look at next; two people never get the same one.

        Args:
            queues: Of these alone; empty: of all.
            skills: What they may be asked, of what the users' list says where they are in it; None: all of that.
            automations: Of these alone; None: of all.

        Returns:
            What they hold already, else the most urgent one that they may rule on; None: there is none.
        """
        by = await self.named(by)
        known = await self._skills(by)
        if skills is None:
            skills = known or ()
        person = Person(by, frozenset(skills) if known is None else known.intersection(skills))
        lost: set[str] = set()
        while (row := await self._most_urgent(person, queues, automations, lost)) is not None:
            try:
                return await self.claim(row.id, by)
            except (AlreadyRuled, Denied):  # another was first: look again
                lost.add(row.id)
        return None

    # -- how it works ------------------------------------------------------------------------------------

    async def _opened(self, review_id: str, by: str) -> tuple[str, ReviewRow, int]:
        """Return who acts, as records name them, on which review, and when."""
        return await self.named(by), await self.get(review_id), self._clock.now_ms()

    async def _step(
        self,
        row: ReviewRow,
        kind: str,
        by: str | None,
        change: Mapping[str, Any],
        content: Mapping[str, Any],
        now_ms: int,
        *also: Write,
    ) -> ReviewRow:
        """Change a review, with the event and the ledger entry that say so."""
        after = row._replace(**change, version=row.version + 1)
        return await self._change(row, change, *noted(after, kind, by, content, now_ms), *also)

    async def _change(self, row: ReviewRow, change: Mapping[str, Any], *also: Write) -> ReviewRow:
        change = {**change, "version": row.version + 1}
        same: dict[str, Any] = {"version": row.version}
        if standing_of(row, self._clock.now_ms()) == Standing.OPEN:
            same["lease_until_ms"] = (
                row.lease_until_ms
            )  # one that was renewed at the last moment runs
        await self._commit(row, [Update(ReviewRow, (row.id,), change, same), *also])
        if change.get("wake_at_ms") is not None:
            self.moments.set()
        return row._replace(**change)

    async def _renewed(self, row: ReviewRow, until: Mapping[str, Any]) -> ReviewRow:
        """Renew a lease; no step, so that a sign of life never gets in the way of a ruling."""
        held = {"assignee": row.assignee, "state": row.state, "version": row.version}
        await self._commit(row, [Update(ReviewRow, (row.id,), until, held)])
        return row._replace(**until)

    async def _commit(self, row: ReviewRow, writes: Sequence[Write]) -> None:
        try:
            await self._store.commit(writes)
        except StaleWrite as lost:
            raise AlreadyRuled(
                f"review {row.id} was changed by another person a moment ago; look at it again"
            ) from lost

    async def _said(self, row: ReviewRow, by: str) -> RulingRow | None:
        return await self._store.get(RulingRow, row.id, by)

    @staticmethod
    def _refuse_unless_free(row: ReviewRow, by: str, event: Event, now_ms: int) -> Standing:
        standing = refuse_unless(row, event, now_ms)
        if row.requester == by:
            raise Denied(f"{by} handed in what review {row.id} is about; another must rule on it")
        if standing == Standing.CLAIMED and row.assignee != by:
            raise AlreadyRuled(
                f"review {row.id} is held by {row.assignee}; wait for the lease to lapse or ask them"
            )
        return standing

    @staticmethod
    def _refuse_unless_held(row: ReviewRow, by: str, now_ms: int) -> None:
        if standing_of(row, now_ms) != Standing.CLAIMED or row.assignee != by:
            raise AlreadyRuled(f"review {row.id} is not held by {by}")

    async def _refuse_unless_fit(self, row: ReviewRow, by: str) -> None:
        """Refuse who ruled already, and who is known not to have a skill that is asked for."""
        skills = await self._skills(by) if row.skills else None
        if skills is not None and (lacking := lacks(Person(by, skills), row)):
            raise Denied(f"review {row.id} asks for {', '.join(lacking)}, which {by} lacks")
        behind = await person_behind(self._store, by)
        if row.requester == behind:
            raise Denied(f"{behind} handed in what review {row.id} is about, and gave out {by}")
        await self._refuse_unless_other_eyes(row, by, behind)

    async def _refuse_unless_other_eyes(self, row: ReviewRow, by: str, behind: str) -> None:
        """Refuse who ruled already, be it by a key that they gave out, where two people must look.

        Args:
            behind: The person behind `by`.
        """
        for one in await self.rulings(row.id) if row.eyes > 1 else ():
            if one.verdict and (await person_behind(self._store, one.by)) == behind:
                told = by if one.by == by else f"{behind}, who is behind {by} and {one.by},"
                raise Denied(
                    f"{told} has ruled on review {row.id}; the other pair of eyes is another's"
                )

    async def _skills(self, by: str) -> frozenset[str] | None:
        """Return what a person may be asked; None: nobody of that name is known."""
        user = await self._store.get(UserRow, by.removeprefix("user:"))
        return None if user is None else frozenset(user.skills.split())

    async def _ruled_ids(self, rows: Sequence[ReviewRow], by: str) -> set[str]:
        ids = tuple(row.id for row in rows if row.eyes > 1)
        if not ids:
            return set()
        mine = await self._store.select(
            RulingRow, Where("review_id", "in", ids), *equals(by=by), limit=len(ids)
        )
        return {one.review_id for one in mine if one.verdict}

    async def _most_urgent(
        self,
        person: Person,
        queues: Sequence[str],
        automations: Collection[str] | None,
        lost: Collection[str],
    ) -> ReviewRow | None:
        """Return what a person holds, else the most urgent review that they may have.

        Args:
            lost: Ids of reviews that others were given a moment ago.
        """
        among = [] if not queues else [Where("queue", "in", tuple(queues))]
        if automations is not None:
            among.append(Where("automation", "in", tuple(sorted(automations))))
        now_ms = self._clock.now_ms()
        claimed = equals(state=ReviewState.CLAIMED)
        runs = Where("lease_until_ms", ">", now_ms)
        held = [*equals(assignee=person.name), *claimed, runs, *among]
        if mine := await self._fit(person, held, ("id",), lost, now_ms):
            return next_for(person, mine, now_ms)
        lapsed = [*claimed, Where("lease_until_ms", "<=", now_ms), *among]
        lists = list(_by_urgency([*equals(state=ReviewState.OPEN), *among]))
        some = await self._store.select(ReviewRow, *lapsed, order=OLDEST, limit=WINDOWS[0])
        if len(some) == WINDOWS[0]:  # so many that their order matters
            lists += _by_urgency(lapsed)
        elif some:
            lists.append((lapsed, OLDEST))
        found: dict[str, ReviewRow] = {}
        for where, order in lists:
            rows = await self._fit(person, where, order, lost, now_ms)
            found |= {row.id: row for row in rows}
        return next_for(person, found.values(), now_ms)

    async def _fit(
        self,
        person: Person,
        where: Sequence[Where],
        order: Sequence[str],
        lost: Collection[str],
        now_ms: int,
    ) -> list[ReviewRow]:
        """Return what a person may have of a list: the first of it, and what comes with that."""
        for window in WINDOWS:
            rows = await self._store.select(ReviewRow, *where, order=order, limit=window)
            ruled = {*lost, *await self._ruled_ids(rows, person.name)}
            fit = [row for row in rows if may_have(person, row, now_ms, ruled)]
            if fit or len(rows) < window:
                return fit
        return []


def _by_urgency(where: Sequence[Where]) -> Iterator[tuple[list[Where], tuple[str, ...]]]:
    """Yield conditions and order of lists; whoever may have what, the most urgent of that is the first in one of them."""
    dated = [*where, Where("due_at_ms", "null", False)]
    undated = [*where, Where("due_at_ms", "null", True)]
    yield dated, ("priority", "due_at_ms", "opened_at_ms", "id")
    yield dated, ("due_at_ms", "opened_at_ms", "id")
    yield undated, ("priority", "opened_at_ms", "id")
    yield undated, ("opened_at_ms", "id")
