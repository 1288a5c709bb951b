"""Who holds a review: claims, leases, and who gets which next. Every change is compare-and-set on the review's version."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from opsrail.access.api_keys import person_behind
from opsrail.errors import AlreadyRuled, Denied, StaleWrite
from opsrail.review.assignment import Person, lacks
from opsrail.review.events import noted
from opsrail.review.finding import Finding, Seat
from opsrail.review.machine import Event, Standing, refuse_unless, standing_of
from opsrail.review.ruling import FREE
from opsrail.review.terms import terms_of
from opsrail.values.access import UserRow
from opsrail.values.reviews import ReviewRow, ReviewState, RulingRow
from opsrail.values.rows import Update, Where, Write


class Holding(Finding):
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
        if standing == Standing.OPEN or row.claimed_at_ms is None:
            await self._refuse_unless_fit(row, by)
        return await self._take(row, by, lease_ms, now_ms)

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
            Denied: they handed it in.
        """
        by, row, now_ms = await self._opened(review_id, by)
        await self._refuse_requester(row, by)
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
        person = await self._person(by, skills)
        among = [] if not queues else [Where("queue", "in", tuple(queues))]
        if automations is not None:
            among.append(Where("automation", "in", tuple(sorted(automations))))
        lost: set[tuple[str, int]] = set()
        while True:
            seat = Seat(person, among, lost, self._clock.now_ms())
            if (row := await self._most_urgent(seat)) is None:
                return None
            try:
                return await self._take(row, person.name, None, seat.now_ms)
            except AlreadyRuled:  # another was first: look again
                lost.add((row.id, row.version))

    # -- how it works ------------------------------------------------------------------------------------

    async def _take(self, row: ReviewRow, by: str, lease_ms: int | None, now_ms: int) -> ReviewRow:
        """Hold a review that a person may have, or renew the lease of one that they claimed."""
        lease_ms = terms_of(row.terms).lease_ms if lease_ms is None else lease_ms
        until = {"lease_until_ms": now_ms + lease_ms}
        if standing_of(row, now_ms) == Standing.CLAIMED and row.claimed_at_ms is not None:
            return await self._renewed(row, until)
        held = {**until, "state": ReviewState.CLAIMED, "assignee": by, "claimed_at_ms": now_ms}
        with self._giving(row, by):
            return await self._step(row, "claimed", by, held, {}, now_ms)

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
        behind = await self._refuse_requester(row, by)
        await self._refuse_unless_other_eyes(row, by, behind)

    async def _refuse_requester(self, row: ReviewRow, by: str) -> str:
        """Refuse who handed in what a review is about, be it by a key that they gave out; return who is behind `by`."""
        behind = await person_behind(self._store, by)
        if row.requester == by:
            raise Denied(f"{by} handed in what review {row.id} is about; it is another's")
        if row.requester == behind:
            raise Denied(f"{behind} handed in what review {row.id} is about, and gave out {by}")
        return behind

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
