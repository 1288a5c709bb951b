"""Where a review goes besides its ruling: a question and its answer, another desk or person, and what time alone does."""

from __future__ import annotations

from typing import Any

from opsrail import faults
from opsrail.access.roles import grants_of
from opsrail.errors import AlreadyRuled, Conflict, Contradictory, Denied, Fault, InvalidInput
from opsrail.ledger.commitment import record_commitment
from opsrail.ledger.entries import entry
from opsrail.review.events import event_of
from opsrail.review.forms import standing_fields
from opsrail.review.holding import Holding
from opsrail.review.known import unknown_faults
from opsrail.review.machine import Event, Standing, refuse_unless, standing_of
from opsrail.review.queue import NAME
from opsrail.review.ruling import FREE, REASON_CHARACTERS, escalated, is_override, moved, sent
from opsrail.review.terms import terms_of
from opsrail.values.access import GrantRow, UserRow, UserState
from opsrail.values.reviews import EXPIRY, ReviewEventRow, ReviewRow, ReviewState
from opsrail.values.rows import Insert, Update, equals

PASSED_LEASE_MS = 8 * 3_600_000
"""How long a review waits for whom it was passed to, before it is anybody's again. Ours: a working day."""
NAME_CHARACTERS = 200


class Moving(Holding):
    """Moves reviews between people and queues, over a store."""

    async def ask(
        self, review_id: str, question: str, *, by: str, to: str | None = None
    ) -> ReviewRow:
        """Ask for more; the review waits for the answer, then it is the asker's again.

        Args:
            to: Whom; None: who handed the case in.

        Raises:
            InvalidInput: no question, or no name; all faults at once. Terminal.
            Conflict: nobody is known to ask.
            AlreadyRuled: it has its ruling, or another person holds it. Conflict.
            Denied: they would ask themselves.
        """
        by, row, now_ms = await self._opened(review_id, by)
        self._refuse_unless_free(row, by, Event.ASK, now_ms)
        asked = row.requester if to is None else await self.named(to)
        found = _text_faults("question", question) + _name_faults("to", asked)
        if asked is None:
            raise Conflict(f"review {row.id}: who handed it in is not known; say whom to ask")
        if asked == by:
            raise Denied(f"{by} asks about review {row.id}: another must answer")
        if found:
            raise InvalidInput(f"review {row.id}: nobody was asked", found)
        await self._refuse_unless_fit(row, by)
        waits = {**FREE, "state": ReviewState.ASKED, "assignee": asked}
        return await self._step(
            row, "asked", by, waits, {"question": question, "to": asked, "queue": row.queue}, now_ms
        )

    async def answer(self, review_id: str, answer: str, *, by: str) -> ReviewRow:
        """Answer the question that a review waits for; who asked holds it again.

        Raises:
            InvalidInput: no answer. Terminal.
            AlreadyRuled: it waits for none. Conflict.
            Denied: they asked themselves.
        """
        by, row, now_ms = await self._opened(review_id, by)
        if standing_of(row, now_ms) != Standing.ASKED:
            refuse_unless(row, Event.ANSWER, now_ms)
        if found := _text_faults("answer", answer):
            raise InvalidInput(f"review {row.id}: nothing was answered", found)
        asked = await self._last(row.id, "asked")
        asker = None if asked is None else asked.by
        if asker == by:
            raise Denied(f"{by} asked this of review {row.id}: another must answer")
        back = dict(FREE) if asker is None else self._kept_for(asker, now_ms)
        return await self._step(row, "answered", by, back, {"answer": answer}, now_ms)

    async def pass_on(
        self,
        review_id: str,
        *,
        by: str,
        queue: str | None = None,
        person: str | None = None,
        reason: str = "",
    ) -> ReviewRow:
        """Give a review to another queue, to a person, or to a person of another queue.

        A person has it for a working day; then it is anybody's again. Where there are users, it is one of them.

        Raises:
            InvalidInput: neither is named, or wrongly; all faults at once. Terminal.
            Contradictory: there is no such queue or user, or a user who may not rule there; all faults at once. Terminal.
            AlreadyRuled: it has its ruling, or another person holds it. Conflict.
            Denied: who passes it on, or the person, handed it in; or the person ruled on it already, or lacks a skill.
        """
        by, row, now_ms = await self._opened(review_id, by)
        await self._refuse_requester(row, by)
        standing = refuse_unless(row, Event.HAND_ON, now_ms)
        if standing == Standing.CLAIMED and row.assignee != by:
            raise AlreadyRuled(f"review {row.id} is held by {row.assignee}")
        person = None if person is None else await self.named(person)
        found = _long_faults("reason", reason) + _name_faults("person", person)
        unknown = await self._stranger_faults(person, row)
        if queue is None and person is None:
            found.append(Fault("queue", "name a queue or a person"))
        if queue is not None and not NAME.fullmatch(queue):
            found.append(Fault("queue", "1 to 100 printable ASCII characters"))
        elif queue is not None:
            unknown += await unknown_faults(self._store, self._near(row), [queue])
        if found:
            raise InvalidInput(f"review {row.id} was not passed on", found + unknown)
        if unknown:
            raise Contradictory(f"review {row.id} was not passed on", unknown)
        if person is not None:
            if person in (row.requester, by):
                handed = "handed in what it is about" if person == row.requester else "has it now"
                raise Denied(f"review {row.id} cannot go to {person}, who {handed}")
            await self._refuse_unless_fit(row, person)
        change = dict(FREE) if person is None else self._kept_for(person, now_ms)
        change |= {} if queue is None or queue == row.queue else moved(row, queue)
        content = {"from": row.queue, "queue": queue, "person": person, "reason": reason}
        return await self._step(row, "passed", by, change, content, now_ms)

    async def escalate(self, review_id: str, *, by: str, reason: str = "") -> ReviewRow:
        """Send a review to the next queue of its chain.

        Raises:
            Conflict: its queue has no chain, or it is at the end.
            AlreadyRuled: it has its ruling, or another person holds it. Conflict.
            Denied: they handed it in.
        """
        by, row, now_ms = await self._opened(review_id, by)
        await self._refuse_requester(row, by)
        standing = refuse_unless(row, Event.ESCALATE, now_ms)
        if standing == Standing.CLAIMED and row.assignee != by:
            raise AlreadyRuled(f"review {row.id} is held by {row.assignee}")
        change = escalated(row, terms_of(row.terms))
        if not change:
            raise Conflict(f"review {row.id}: {row.queue} escalates no further; pass it on instead")
        if found := _long_faults("reason", reason):
            raise InvalidInput(f"review {row.id} was not escalated", found)
        content = {"from": row.queue, "queue": change["queue"], "reason": reason}
        return await self._step(row, "escalated", by, {**FREE, **change}, content, now_ms)

    # -- what time alone does ------------------------------------------------------------------------------------------

    async def wake(self, row: ReviewRow) -> ReviewRow:
        """Do what a review's moment has come for: send its held ruling, escalate it, or let it expire.

        Raises:
            AlreadyRuled: somebody was first. Conflict: nothing changed.
        """
        now_ms = self._clock.now_ms()
        terms, standing = terms_of(row.terms), standing_of(row, now_ms)
        if (row.wake_at_ms or 0) > now_ms:
            return row
        if standing == Standing.HELD:
            return await self._deliver(row, now_ms)
        if standing in (Standing.RULED, Standing.WITHDRAWN):
            return await self._waiting_until(row, None)
        if terms.expire is not None and terms.expire.at_ms <= now_ms:
            return await self._expire(row, terms.expire.verdict, now_ms)
        step = next(iter(terms.escalate[row.level : row.level + 1]), None)
        if step is None or step.at_ms > now_ms:
            return await self._waiting_until(row, terms.wake_ms(row.level))
        if standing == Standing.CLAIMED:  # whoever is at it may finish
            ends = [row.lease_until_ms or now_ms] + ([terms.expire.at_ms] if terms.expire else [])
            return await self._waiting_until(row, min(ends))
        change = {**FREE, **escalated(row, terms)}
        content = {"from": row.queue, "queue": step.to, "reason": "nobody ruled in time"}
        return await self._step(row, "escalated", None, change, content, now_ms)

    async def _deliver(self, row: ReviewRow, now_ms: int) -> ReviewRow:
        change = {"delivered_at_ms": now_ms, "wake_at_ms": None}
        after = row._replace(delivered_at_ms=now_ms, wake_at_ms=None)
        content = {"verdict": row.ruling}
        faults.point("review.before_delivery")
        effects = sent(after, self._clock, now_ms)
        done = await self._step(row, "delivered", None, change, content, now_ms, *effects)
        faults.point("review.after_delivery")
        return done

    async def _expire(self, row: ReviewRow, verdict: str, now_ms: int) -> ReviewRow:
        reason = "Nobody ruled in time; this is the default that the queue states."
        change: dict[str, Any] = {
            **FREE,
            "state": ReviewState.RULED,
            "ruling": verdict,
            "ruling_reason": reason,
            "ruled_by": EXPIRY,
            "ruled_at_ms": now_ms,
            "fields": standing_fields(row.form),
            "delivered_at_ms": now_ms,
            "wake_at_ms": None,
        }
        after = row._replace(**change, version=row.version + 1)
        fields = {
            "by": EXPIRY,
            "case": row.case_id,
            "decision": row.decision_id,
            "override": is_override(row, verdict),
            "commitment": record_commitment(row.salt, reason.encode()),
            "verdict": verdict,
        }
        event = event_of(after, "expired", None, {"queue": row.queue, "verdict": verdict}, now_ms)
        noted = entry("review.expired", row.id, now_ms, fields)
        effects = sent(after, self._clock, now_ms)
        return await self._change(row, change, Insert(event), noted, *effects)

    async def _waiting_until(self, row: ReviewRow, wake_at_ms: int | None) -> ReviewRow:
        """Set when a review is looked at again; no step."""
        change: dict[str, Any] = {"wake_at_ms": wake_at_ms}
        await self._commit(row, [Update(ReviewRow, (row.id,), change, {"version": row.version})])
        return row._replace(**change)

    async def _last(self, review_id: str, kind: str) -> ReviewEventRow | None:
        rows = await self._store.select(
            ReviewEventRow,
            *equals(review_id=review_id, kind=kind),
            order=("seq",),
            descending=True,
            limit=1,
        )
        return rows[0] if rows else None

    def _near(self, row: ReviewRow) -> frozenset[str]:
        """Return the queues that are known beside a review: the declared ones, and those of its chain."""
        return self._declared | {step.to for step in terms_of(row.terms).escalate}

    async def _stranger_faults(self, person: str | None, row: ReviewRow) -> list[Fault]:
        """Return why nobody of a name could rule: people sign in here, and it is no user's, or of one who may not."""
        kind, _, name = (person or "").rpartition(":")
        if kind == "user" and (user := await self._store.get(UserRow, name)) is not None:
            held = await self._store.select(GrantRow, *equals(holder=person))
            grants = grants_of((grant.scope, grant.role) for grant in held)
            if user.state != UserState.ACTIVE:
                return [Fault("person", f"{name} is disabled")]
            if not grants.may("reviews.rule", row.automation):
                return [Fault("person", f"{name} may not rule in {row.automation}")]
            return []
        if person is None or kind or not await self._store.select(UserRow, limit=1):
            return []
        return [Fault("person", f"there is no user {person[:80]!r}")]

    @staticmethod
    def _kept_for(person: str, now_ms: int) -> dict[str, Any]:
        """Return the columns of a review that waits for one person, who has not begun with it."""
        until_ms = now_ms + PASSED_LEASE_MS
        held = {"state": ReviewState.CLAIMED, "assignee": person, "lease_until_ms": until_ms}
        return {**FREE, **held}


def _text_faults(place: str, text: str) -> list[Fault]:
    return _long_faults(place, text) if text.strip() else [Fault(place, "say something")]


def _name_faults(place: str, name: str | None) -> list[Fault]:
    if name is None or 1 <= len(name) <= NAME_CHARACTERS:
        return []
    return [Fault(place, f"a name of 1 to {NAME_CHARACTERS} characters")]


def _long_faults(place: str, text: str) -> list[Fault]:
    if len(text) > REASON_CHARACTERS:
        return [Fault(place, f"{len(text)} characters; at most {REASON_CHARACTERS}")]
    return []
