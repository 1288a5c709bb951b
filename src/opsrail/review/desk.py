"""The desk: what people do with reviews. Every change is compare-and-set on the review's version.

A claim is a lease: whoever claims holds the review until it lapses (`lease_ms`), so that a reviewer who vanishes
    blocks nobody. A ruling writes the review, an inbox row for the case and a ledger entry in one commit; two people
    who rule at once: one wins.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from opsrail import faults
from opsrail.clock import Clock
from opsrail.errors import AlreadyRuled, Fault, InvalidInput, NotFound, StaleWrite
from opsrail.ledger.commitment import record_commitment
from opsrail.ledger.entries import entry
from opsrail.ports import Store
from opsrail.review import labels
from opsrail.values.cases import InboxRow
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.values.rows import Insert, Update, Write, equals

LEASE_MS = 15 * 60_000
REASON_CHARACTERS = 4_000


class Desk:
    """Queues of reviews, over a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def waiting(self, queue: str | None = None, *, limit: int = 100) -> list[ReviewRow]:
        """Return reviews without a ruling, most urgent first: by priority, then age."""
        of_queue = () if queue is None else equals(queue=queue)
        order = ("priority", "opened_at_ms", "id")
        rows: list[ReviewRow] = []
        for state in (ReviewState.OPEN, ReviewState.CLAIMED):  # one at a time: each has its index
            rows += await self._store.select(
                ReviewRow, *equals(state=state), *of_queue, order=order, limit=limit
            )
        return sorted(rows, key=lambda row: (row.priority, row.opened_at_ms, row.id))[:limit]

    async def get(self, review_id: str) -> ReviewRow:
        """Return a review.

        Raises:
            NotFound: no review has that id. Terminal.
        """
        row = await self._store.get(ReviewRow, review_id)
        if row is None:
            raise NotFound(f"no review {review_id}; list them with `opsrail reviews list`")
        return row

    async def claim(self, review_id: str, by: str, *, lease_ms: int = LEASE_MS) -> ReviewRow:
        """Hold a review for `lease_ms`; claiming again renews.

        Raises:
            AlreadyRuled: it has its ruling, or another person holds it. Conflict.
        """
        row = await self.get(review_id)
        now_ms = self._clock.now_ms()
        self._refuse_unless_free(row, by, now_ms)
        is_renewed = row.assignee == by and row.claimed_at_ms is not None
        change: dict[str, Any] = {
            "claimed_at_ms": row.claimed_at_ms if is_renewed else now_ms,
            "state": ReviewState.CLAIMED,
            "assignee": by,
            "lease_until_ms": now_ms + lease_ms,
        }
        return await self._change(row, change)

    async def release(self, review_id: str, by: str) -> ReviewRow:
        """Give a held review back to its queue.

        Raises:
            AlreadyRuled: `by` does not hold it. Conflict.
        """
        row = await self.get(review_id)
        if row.state != ReviewState.CLAIMED or row.assignee != by:
            raise AlreadyRuled(f"review {review_id} is not held by {by}")
        return await self._change(
            row,
            {
                "state": ReviewState.OPEN,
                "assignee": None,
                "lease_until_ms": None,
                "claimed_at_ms": None,
            },
        )

    async def rule(self, review_id: str, verdict: str, *, by: str, reason: str = "") -> ReviewRow:
        """Record a person's ruling and wake the case; what it tells of the decision is an outcome in the same commit.

        Args:
            verdict: What the person says, e.g. `approve`.
            reason: Mandatory where it differs from the policy's verdict and that verdict was not `review`; <= 4,000
                characters.

        Raises:
            InvalidInput: no verdict, or an override without a reason. Terminal.
            AlreadyRuled: it has its ruling, or another person holds it. Conflict: nothing changed.
        """
        row = await self.get(review_id)
        now_ms = self._clock.now_ms()
        self._refuse_unless_free(row, by, now_ms)
        is_override = row.verdict not in (None, "review", verdict)
        self._refuse_unless_sound(row, verdict, reason, is_override)
        ruling = {
            "verdict": verdict,
            "reason": reason,
            "ruled_by": by,
            "is_override": is_override,
            "ruled_at_ms": now_ms,
        }
        fields = {
            "by": by,
            "case": row.case_id,
            "decision": row.decision_id,
            "override": is_override,
            "commitment": record_commitment(row.salt, reason.encode()),
            "verdict": verdict,
        }
        noted = entry("review.ruled", row.id, now_ms, fields)
        change: dict[str, Any] = {
            "state": ReviewState.RULED,
            "ruling": verdict,
            "ruling_reason": reason,
            "ruled_by": by,
            "ruled_at_ms": now_ms,
            "assignee": by,
            "lease_until_ms": None,
            "claimed_at_ms": row.claimed_at_ms if row.assignee == by else None,
        }
        faults.point("review.before_ruling")
        told = self._told(row, verdict, by, now_ms)
        ruled = await self._change(row, change, *_woken(row, ruling, now_ms), noted, *told)
        faults.point("review.after_ruling")
        return ruled

    def _told(self, row: ReviewRow, verdict: str, by: str, now_ms: int) -> list[Write]:
        """Return the writes of the outcomes that a ruling tells."""
        if row.decision_id is None:
            return []
        writes: list[Write] = []
        for name, value, source, ratio in labels.told(row.labels, verdict):
            outcome = OutcomeRow(
                self._clock.new_id(),
                row.decision_id,
                name,
                value,
                source,
                ratio,
                by,
                now_ms,
                now_ms,
            )
            writes += labels.writes(outcome)
        return writes

    async def _change(self, row: ReviewRow, change: dict[str, Any], *also: Write) -> ReviewRow:
        change = {**change, "version": row.version + 1}
        try:
            await self._store.commit(
                [Update(ReviewRow, (row.id,), change, {"version": row.version}), *also]
            )
        except StaleWrite as lost:
            raise AlreadyRuled(
                f"review {row.id} was changed by another person a moment ago; look at it again"
            ) from lost
        return row._replace(**change)

    @staticmethod
    def _refuse_unless_free(row: ReviewRow, by: str, now_ms: int) -> None:
        if row.state == ReviewState.RULED:
            raise AlreadyRuled(f"review {row.id} was ruled {row.ruling!r} by {row.ruled_by}")
        if row.state == ReviewState.WITHDRAWN:
            raise AlreadyRuled(
                f"review {row.id} was withdrawn: its case {row.case_id} ended without it"
            )
        held = row.state == ReviewState.CLAIMED and (row.lease_until_ms or 0) > now_ms
        if held and row.assignee != by:
            raise AlreadyRuled(
                f"review {row.id} is held by {row.assignee}; wait for the lease to lapse or ask them"
            )

    @staticmethod
    def _refuse_unless_sound(row: ReviewRow, verdict: str, reason: str, is_override: bool) -> None:
        found = []
        if not verdict or len(verdict) > 64 or verdict == "review":
            found.append(
                Fault("verdict", "give the ruling in 1..64 characters, e.g. approve or decline")
            )
        if is_override and not reason.strip():
            found.append(
                Fault("reason", f"policy said {row.verdict!r}: say why you rule otherwise")
            )
        if len(reason) > REASON_CHARACTERS:
            found.append(Fault("reason", f"{len(reason)} characters; at most {REASON_CHARACTERS}"))
        if found:
            raise InvalidInput(f"review {row.id} was not ruled", found)


def _woken(row: ReviewRow, ruling: dict[str, Any], now_ms: int) -> list[Write]:
    """Return the write that wakes the case, if one waits."""
    if row.case_id is None:
        return []
    topic, payload = f"review:{row.id}", to_json(ruling).decode()
    return [Insert(InboxRow(f"ruling-{row.id}", row.case_id, topic, payload, now_ms))]
