"""The desk: what people do with reviews. Every change is compare-and-set on the review's version.

A claim is a lease: whoever claims holds the review until it lapses, so that a reviewer who vanishes blocks nobody. A ruling
is held as long as its queue lets it be taken back; then it goes to its case in one commit (`clockwork.py`). Each step is an
event and a ledger entry in the commit that makes it; of two people at once one wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from opsrail import faults
from opsrail.access.api_keys import person_behind
from opsrail.errors import (
    AlreadyRuled,
    Conflict,
    Contradictory,
    Denied,
    Fault,
    InvalidInput,
    OpsrailError,
)
from opsrail.review.events import event_of
from opsrail.review.forms import is_same_form
from opsrail.review.machine import REFUSALS, Event, Standing, refuse_unless
from opsrail.review.moving import Moving
from opsrail.review.ruling import REASON_CHARACTERS as REASON_CHARACTERS
from opsrail.review.ruling import (
    UNSAID,
    Wish,
    changed_by,
    is_same,
    refuse_unless_sound,
    ruled_entry,
    said_by,
    sent,
    verdict_faults,
)
from opsrail.review.terms import LEASE_MS as LEASE_MS
from opsrail.review.terms import terms_of
from opsrail.values.reviews import ReviewRow, ReviewState, RulingRow
from opsrail.values.rows import Delete, Insert, Update, Write

MOST_ALIKE = 200
"""Reviews ruled on at once. Ours: what fits on a page that a person has read."""


class Batch(NamedTuple):
    """What came of ruling on several reviews.

    Attributes:
        failed: Review id -> why it was not ruled.
    """

    ruled: list[ReviewRow]
    failed: dict[str, OpsrailError]


class Desk(Moving):
    """What people do with reviews, over a store."""

    # -- ruling --------------------------------------------------------------------------------------------------------

    async def say(self, review_id: str, verdict: str, *, by: str) -> ReviewRow:
        """Note a person's own verdict before they see what the machine said; from then on they see it, and hold the review.

        Raises:
            InvalidInput: the queue knows no such verdict. Terminal.
            Conflict: the queue is not blind; nothing is hidden.
            AlreadyRuled: it has its ruling, or another person holds it, or they said theirs already. Conflict.
            Denied: they handed it in, or lack a skill.
        """
        by, row, now_ms = await self._opened(review_id, by)
        self._refuse_unless_free(row, by, Event.SAY, now_ms)
        if not row.blind:
            raise Conflict(f"review {row.id} is not of a blind queue: rule on it at once")
        if found := list(verdict_faults(row, verdict)):
            raise InvalidInput(f"review {row.id}: nothing was noted", found)
        await self._refuse_unless_fit(row, by)
        if await self._said(row, by) is not None:
            raise AlreadyRuled(f"{by} has said what they think of review {row.id}: rule on it")
        first = RulingRow(row.id, by, "", "", None, verdict, False, None, now_ms)
        is_theirs = row.assignee == by and row.claimed_at_ms is not None
        held = {
            "state": ReviewState.CLAIMED,
            "assignee": by,
            "claimed_at_ms": row.claimed_at_ms if is_theirs else now_ms,
            "lease_until_ms": now_ms + terms_of(row.terms).lease_ms,
        }
        return await self._step(row, "said", by, held, {"verdict": verdict}, now_ms, Insert(first))

    async def rule(
        self,
        review_id: str,
        verdict: str,
        *,
        by: str,
        reason: str = "",
        fields: Mapping[str, object] | None = None,
    ) -> ReviewRow:
        """Record a person's ruling; unless its queue holds it, it wakes the case in the same commit.

        Where two people must say the same, the first ruling leaves the review open for another. In a blind queue a ruling
        without `say` before it notes the verdict as theirs first.

        Args:
            verdict: What the person says, e.g. `approve`.
            reason: Mandatory where it differs from the policy's verdict and that verdict was not `review`; <= 4,000
                characters.
            fields: What they filled in of the form, whole; None: what stood there.

        Raises:
            InvalidInput: no verdict of this queue, an override without a reason, fields that the form refuses; all faults at
                once. Terminal.
            AlreadyRuled: it has its ruling, or another person holds it. Conflict: nothing changed.
            Denied: they handed it in, ruled on it already, or lack a skill.
        """
        by, row, now_ms = await self._opened(review_id, by)
        wish = Wish(verdict, by, reason, fields)
        self._refuse_unless_free(row, by, Event.RULE, now_ms)
        mine = await self._said(row, by)
        if mine is not None and mine.verdict:
            raise Denied(f"{by} has ruled on review {row.id}; the other pair of eyes is another's")
        if mine is None:
            await self._refuse_unless_fit(row, by)
            if row.blind:
                row = await self.say(review_id, verdict, by=by)
                mine = await self._said(row, by)
        return await self._rule(row, wish, mine, "ruled")

    async def reconsider(
        self,
        review_id: str,
        verdict: str,
        *,
        by: str,
        reason: str = "",
        fields: Mapping[str, object] | None = None,
    ) -> ReviewRow:
        """Change what a person said or ruled, now that they have seen more; both are kept.

        Raises:
            AlreadyRuled: they said nothing yet, the ruling went to its case, or one that is not theirs is held. Conflict.
            InvalidInput, Denied: as `rule`.
        """
        by, row, now_ms = await self._opened(review_id, by)
        standing = refuse_unless(row, Event.RECONSIDER, now_ms)
        mine = await self._said(row, by)
        if mine is None:
            raise AlreadyRuled(f"{by} has said nothing of review {row.id} that could be changed")
        if standing == Standing.CLAIMED and row.assignee != by:
            raise AlreadyRuled(f"review {row.id} is held by {row.assignee}")
        if standing == Standing.HELD and not is_same(mine, row.ruling, row.fields):
            raise AlreadyRuled(f"review {row.id} {REFUSALS[standing].format(row=row)}")
        return await self._rule(row, Wish(verdict, by, reason, fields), mine, "reconsidered")

    async def undo(self, review_id: str, *, by: str) -> ReviewRow:
        """Take one's own ruling back before it goes to its case; the person holds the review again.

        Raises:
            AlreadyRuled: it went out, or somebody else looks at the review now. Conflict.
            Denied: it is another's ruling.
        """
        by, row, now_ms = await self._opened(review_id, by)
        standing = refuse_unless(row, Event.UNDO, now_ms)
        mine = await self._said(row, by)
        if mine is None or not mine.verdict:
            raise Denied(f"no ruling of {by} stands on review {row.id}: only its own is taken back")
        if standing == Standing.HELD and row.ruled_by != by:
            raise Denied(f"review {row.id} was ruled by {row.ruled_by}: only they take it back")
        terms = terms_of(row.terms)
        back = {
            **UNSAID,
            "state": ReviewState.CLAIMED,
            "assignee": by,
            "claimed_at_ms": now_ms,
            "lease_until_ms": now_ms + terms.lease_ms,
            "wake_at_ms": terms.wake_ms(row.level),
        }
        gone: Write = Delete(RulingRow, {"review_id": row.id, "by": by})
        if mine.first is not None:
            gone = Update(RulingRow, (row.id, by), {"verdict": "", "reason": "", "fields": None})
        return await self._step(row, "undone", by, back, {"verdict": mine.verdict}, now_ms, gone)

    async def rule_alike(
        self,
        review_ids: Sequence[str],
        verdict: str,
        *,
        by: str,
        reason: str = "",
        fields: Mapping[str, object] | None = None,
    ) -> Batch:
        """Rule alike on several reviews of one queue and one form; each has its own ruling and ledger entry.

        Raises:
            InvalidInput: there are too few, too many, or one twice; all faults at once, nothing was ruled. Terminal.
            Contradictory: there are none of these ids, they are not alike, or blind; likewise.
        """
        rows = [await self._store.get(ReviewRow, review_id) for review_id in review_ids]
        found = list(_unlike(review_ids, rows))
        if any(fault.place == "ids" for fault in found):
            raise InvalidInput("nothing was ruled", found)
        if found:
            raise Contradictory("nothing was ruled", found)
        batch = Batch([], {})
        for review_id in review_ids:
            try:
                ruled = await self.rule(review_id, verdict, by=by, reason=reason, fields=fields)
                batch.ruled.append(ruled)
            except (InvalidInput, Conflict, Denied) as refused:
                batch.failed[review_id] = refused
        return batch

    # -- how it works ----------------------------------------------------------------------------------------------------

    async def _rule(self, row: ReviewRow, wish: Wish, mine: RulingRow | None, kind: str) -> ReviewRow:  # fmt: skip
        now_ms = self._clock.now_ms()
        fields = refuse_unless_sound(row, wish)
        said = said_by(row, wish, fields, mine, now_ms)
        others = [
            one
            for one in (await self.rulings(row.id) if row.eyes > 1 else [])
            if one.by != wish.by and one.verdict
        ]
        if others:
            mind = await person_behind(self._store, wish.by)
            if mind in [await person_behind(self._store, one.by) for one in others]:
                raise Denied(f"{mind} has ruled on review {row.id} under another name")
        change = changed_by(row, said, others, now_ms)
        after = row._replace(**change, version=row.version + 1)
        content = {"verdict": said.verdict, "reason": said.reason, "fields": fields}
        writes: list[Write] = [
            Insert(event_of(after, kind, wish.by, content, now_ms)),
            ruled_entry(row, said, kind, now_ms),
        ]
        if mine is None:
            writes.append(Insert(said))
        else:
            kept = said._asdict()
            key = (kept.pop("review_id"), kept.pop("by"))
            writes.append(Update(RulingRow, key, kept))
        if after.delivered_at_ms is not None:
            writes += sent(after, self._clock, now_ms)
        faults.point("review.before_ruling")
        ruled = await self._change(row, change, *writes)
        faults.point("review.after_ruling")
        return ruled


def _unlike(review_ids: Sequence[str], rows: Sequence[ReviewRow | None]) -> list[Fault]:
    """Return what keeps reviews from being ruled on alike."""
    found = []
    if not 1 <= len(review_ids) <= MOST_ALIKE:
        found.append(Fault("ids", f"{len(review_ids)} reviews; 1 to {MOST_ALIKE}"))
    if len(set(review_ids)) < len(review_ids):
        found.append(Fault("ids", "one stands there twice"))
    first = next((row for row in rows if row is not None), None)
    for at, (review_id, row) in enumerate(zip(review_ids, rows, strict=True)):
        if row is None or first is None:
            found.append(Fault(f"ids.{at}", f"no review {review_id}"))
        elif row.queue != first.queue:
            found.append(Fault(f"ids.{at}", f"is of queue {row.queue}, the first of {first.queue}"))
        elif not is_same_form(row.form, first.form):
            found.append(Fault(f"ids.{at}", "has another form than the first"))
        elif row.blind:
            found.append(Fault(f"ids.{at}", "is blind: each is ruled on by itself"))
    return found
