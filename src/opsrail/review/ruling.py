"""What a ruling changes: whether it ends the review, what of it is held, and the writes that take it to its case. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from opsrail.clock import Clock
from opsrail.errors import Conflict, Fault, InvalidInput
from opsrail.ledger.commitment import record_commitment
from opsrail.ledger.entries import entry
from opsrail.review import labels
from opsrail.review.forms import fields_faults, values_of
from opsrail.review.terms import Terms, terms_of
from opsrail.values.cases import InboxRow
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.reviews import EXPIRY, ReviewRow, ReviewState, RulingRow
from opsrail.values.rows import Append, Insert, Write

REASON_CHARACTERS = 4_000
VERDICT_CHARACTERS = 64
FREE: Mapping[str, Any] = {
    "state": ReviewState.OPEN,
    "assignee": None,
    "lease_until_ms": None,
    "claimed_at_ms": None,
}
"""Columns of a review that goes back to its queue."""
UNSAID: Mapping[str, Any] = dict.fromkeys(
    ("ruling", "ruling_reason", "ruled_by", "ruled_at_ms", "fields")
)


class Wish(NamedTuple):
    """A ruling as a person gives it.

    Attributes:
        fields: What they filled in; None: what stood in the form.
    """

    verdict: str
    by: str
    reason: str = ""
    fields: Mapping[str, object] | None = None


def is_override(row: ReviewRow, verdict: str) -> bool:
    """Return whether a verdict goes against what policy said."""
    return row.verdict not in (None, "review", verdict)


def verdict_faults(row: ReviewRow, verdict: str) -> Iterator[Fault]:
    """Yield what keeps a verdict from being one of this review."""
    allowed = terms_of(row.terms).verdicts
    if not verdict or len(verdict) > VERDICT_CHARACTERS or verdict == "review":
        given = f"1..{VERDICT_CHARACTERS} characters, e.g. approve or decline"
        yield Fault("verdict", f"give the ruling in {given}")
    elif allowed and verdict not in allowed:
        yield Fault("verdict", f"{verdict!r}: queue {row.queue} knows {', '.join(allowed)}")


def refuse_unless_sound(row: ReviewRow, wish: Wish) -> str | None:
    """Return a ruling's fields as the row keeps them.

    Raises:
        Conflict: fields were given, and the review has no form.
        InvalidInput: every fault. Terminal.
    """
    if wish.fields and row.form is None:
        raise Conflict(f"review {row.id} has no form: rule without fields")
    found = list(verdict_faults(row, wish.verdict))
    if is_override(row, wish.verdict) and not wish.reason.strip():
        found.append(Fault("reason", f"policy said {row.verdict!r}: say why you rule otherwise"))
    if len(wish.reason) > REASON_CHARACTERS:
        length = len(wish.reason)
        found.append(Fault("reason", f"{length} characters; at most {REASON_CHARACTERS}"))
    fields = values_of(row.form) if wish.fields is None else wish.fields
    found += fields_faults(row.form, fields)
    if found:
        raise InvalidInput(f"review {row.id} was not ruled", found)
    return None if row.form is None else orjson.dumps(dict(fields or {})).decode()


def said_by(row: ReviewRow, wish: Wish, fields: str | None, mine: RulingRow | None, now_ms: int) -> RulingRow:  # fmt: skip
    """Return what a person says of a review, for good unless they reconsider.

    Args:
        mine: What they said before.
    """
    held_s = held_s_of(row, wish.by, now_ms)
    if mine is None:
        return RulingRow(
            row.id, wish.by, wish.verdict, wish.reason, fields, None, False, held_s, now_ms
        )
    is_changed = wish.verdict != (mine.verdict or mine.first)
    return mine._replace(
        verdict=wish.verdict,
        reason=wish.reason,
        fields=fields,
        is_reconsidered=mine.is_reconsidered or is_changed,
        held_s=mine.held_s if held_s is None else held_s,
        at_ms=now_ms,
    )


def held_s_of(row: ReviewRow, by: str, now_ms: int) -> float | None:
    """Return how long a person has held a review; None: they do not."""
    if row.assignee != by or row.claimed_at_ms is None:
        return None
    return max(0, now_ms - row.claimed_at_ms) / 1000


def is_same(said: RulingRow, verdict: str | None, fields: str | None) -> bool:
    """Return whether what a person ruled is that verdict with those fields, in whatever order they were filled in."""
    mine, theirs = (None if text is None else orjson.loads(text) for text in (said.fields, fields))
    return said.verdict == verdict and bool(mine == theirs)


def changed_by(row: ReviewRow, said: RulingRow, others: Sequence[RulingRow], now_ms: int) -> dict[str, Any]:  # fmt: skip
    """Return how a ruling changes the review's row.

    Args:
        others: What other people ruled.
    """
    terms = terms_of(row.terms)
    alike = [one for one in others if is_same(said, one.verdict, one.fields)]
    if len(alike) + 1 >= row.eyes:
        is_held = terms.undo_ms > 0
        return {
            "state": ReviewState.RULED,
            "ruling": said.verdict,
            "ruling_reason": said.reason,
            "ruled_by": said.by,
            "ruled_at_ms": now_ms,
            "fields": said.fields,
            "assignee": said.by,
            "lease_until_ms": None,
            "claimed_at_ms": row.claimed_at_ms if row.assignee == said.by else None,
            "wake_at_ms": now_ms + terms.undo_ms if is_held else None,
            "delivered_at_ms": None if is_held else now_ms,
        }
    back = {**FREE, **UNSAID, "wake_at_ms": terms.wake_ms(row.level)}
    return back | escalated(row, terms) if others else back


def moved(row: ReviewRow, queue: str) -> dict[str, Any]:
    """Return the columns of a review that another queue has now; with its due time, which that is told of."""
    return {"queue": queue, "due_at_ms": row.due_at_ms}


def escalated(row: ReviewRow, terms: Terms) -> dict[str, Any]:
    """Return the columns of the next step of a review's chain; none at its end."""
    for step in terms.escalate[row.level : row.level + 1]:
        level = row.level + 1
        return {**moved(row, step.to), "level": level, "wake_at_ms": terms.wake_ms(level)}
    return {}


def ruled_entry(row: ReviewRow, said: RulingRow, kind: str, now_ms: int) -> Append:
    """Return the ledger entry of one person's ruling; it commits to the reason and shows none of it.

    Args:
        kind: `ruled`, or `reconsidered`.
    """
    fields = {
        "by": said.by,
        "case": row.case_id,
        "decision": row.decision_id,
        "override": is_override(row, said.verdict),
        "commitment": record_commitment(row.salt, said.reason.encode()),
        "verdict": said.verdict,
    }
    return entry(f"review.{kind}", row.id, now_ms, fields)


def sent(row: ReviewRow, clock: Clock, now_ms: int) -> list[Write]:
    """Return the writes by which a ruling takes effect: its case wakes, and what it tells of the decision is an outcome."""
    writes: list[Write] = []
    if row.case_id is not None:
        ruling = {
            "verdict": row.ruling,
            "reason": row.ruling_reason,
            "ruled_by": row.ruled_by,
            "is_override": is_override(row, row.ruling or ""),
            "ruled_at_ms": row.ruled_at_ms,
            "fields": None if row.fields is None else orjson.loads(row.fields),
        }
        payload = orjson.dumps(ruling).decode()
        arrived = InboxRow(f"ruling-{row.id}", row.case_id, f"review:{row.id}", payload, now_ms)
        writes.append(Insert(arrived))
    if row.decision_id is None or row.ruled_by == EXPIRY:  # nobody looked at what has expired
        return writes
    for name, value, source, ratio in labels.told(row.labels, row.ruling or ""):
        given = (name, value, source, ratio, row.ruled_by or "")
        outcome = OutcomeRow(clock.new_id(), row.decision_id, *given, now_ms, now_ms)
        writes += labels.writes(outcome)
    return writes
