"""What the store keeps of a review: the question a case puts to a person, and the ruling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class ReviewState(StrEnum):
    """Where a review stands."""

    OPEN = "open"
    CLAIMED = "claimed"
    ASKED = "asked"  # somebody was asked for more, and has not answered
    RULED = "ruled"
    WITHDRAWN = "withdrawn"  # its case was cancelled


UNRULED_STATES = (ReviewState.OPEN, ReviewState.CLAIMED, ReviewState.ASKED)


class Purpose(StrEnum):
    """What a review is for."""

    CASE = "case"  # a case waits for its ruling
    AUDIT = "audit"  # drawn by chance from what was decided without a person
    CONTROL = "control"  # its right ruling is known


EXPIRY = "expiry"
"""Who rules when nobody does: the default that a queue states."""


class ReviewRow(NamedTuple):
    """One question to a person.

    Attributes:
        queue: Desk that rules on it.
        case_id: The case that waits for it; NULL: none does, it is a spot check or a control case.
        decision_id: The decision it is about, if any.
        subject: JSON shown to the person: the case's input, the decision's score, verdict and reasons.
        verdict: What policy said; a ruling that differs is an override. NULL: nothing, or the person is not to know.
        priority: Smaller first; 0..9, 5 is normal.
        due_at_ms: When the desk should have ruled; NULL: no limit.
        assignee: Who holds it now; while it is asked, who was asked.
        lease_until_ms: Until when the assignee holds it; then it is open again.
        claimed_at_ms: When who holds it, or ruled, began to hold it; NULL: nobody did.
        version: Grows with each change, for compare and set.
        ruling: The person's verdict.
        ruling_reason: Why; mandatory for an override.
        ruled_by: Who; `simulated-desk` where no person was.
        salt: Random bytes as hex; the ledger commits to sha256(salt || reason).
        labels: JSON: which outcomes a ruling tells, how they were sampled; NULL: none. See `review/labels.py`. Reviewers do
            not see it: who knows that a case is a spot check looks at it with other eyes.
        purpose: A Purpose; reviewers do not see it either.
        form: JSON of what a person may fill in beside the verdict: `{"schema": JSON Schema, "values": {...}}`; NULL: none.
        fields: JSON of what the ruling filled in; NULL: nothing.
        requester: Who let the case in, as records name them; may not rule on it. NULL: a program or nobody known.
        skills: Words joined by a space; who rules must have them all.
        eyes: How many different people must say the same, 1 or 2.
        blind: Whether what the machine said is hidden from each person until they said theirs.
        level: How often it was escalated.
        wake_at_ms: When something is to happen by itself: a held ruling goes out, it escalates, it expires. NULL: never.
        delivered_at_ms: When the ruling went to its case; until then it may be taken back. NULL: it did not yet.
        truth: What the right ruling is known to be, of a control case; reviewers do not see it.
        terms: JSON of how it is ruled, as its queue said when it was opened (`review/terms.py`); NULL: the plain terms.
        urgent_at_ms: From when on it goes before all that is not due: its due time, else some time after it was opened
            (`review/assignment.py`). Never NULL, so that one index has all that wait in that order.
    """

    id: str
    case_id: str | None
    automation: str
    queue: str
    decision_id: str | None
    subject: str
    verdict: str | None
    state: str
    priority: int
    due_at_ms: int | None
    assignee: str | None
    lease_until_ms: int | None
    claimed_at_ms: int | None
    version: int
    ruling: str | None
    ruling_reason: str | None
    ruled_by: str | None
    salt: str
    opened_at_ms: int
    ruled_at_ms: int | None
    labels: str | None = None
    purpose: str = "case"
    form: str | None = None
    fields: str | None = None
    requester: str | None = None
    skills: str = ""
    eyes: int = 1
    blind: bool = False
    level: int = 0
    wake_at_ms: int | None = None
    delivered_at_ms: int | None = None
    truth: str | None = None
    terms: str | None = None
    urgent_at_ms: int = 0


class RulingRow(NamedTuple):
    """What one person says of a review; with four eyes there are several, and never two of one person.

    Attributes:
        verdict: What they say; empty: they said only `first` so far, and have not ruled.
        fields: JSON of what they filled in; NULL: nothing.
        first: What they said before they saw the score, where the queue is blind; NULL: it is not.
        is_reconsidered: Whether they changed it once they had seen the score.
        held_s: How long they held the review before; NULL: they never claimed it.
    """

    review_id: str
    by: str
    verdict: str
    reason: str
    fields: str | None
    first: str | None
    is_reconsidered: bool
    held_s: float | None
    at_ms: int


class ReviewEventRow(NamedTuple):
    """One thing that happened to a review, in order.

    Attributes:
        seq: From 0; the review's `version` that it made.
        kind: `opened`, `claimed`, `released`, `said` (before the score was shown), `ruled`, `reconsidered`, `undone`,
            `asked`, `answered`, `passed`, `escalated`, `expired`, `delivered`, `withdrawn`.
        by: Who; NULL: it happened by itself.
        content: JSON of what belongs to it: verdict, reason, queue and so on.
    """

    review_id: str
    seq: int
    kind: str
    by: str | None
    content: str
    at_ms: int


class NoticeRow(NamedTuple):
    """A message to a person or another system, sent at least once under its id.

    Attributes:
        channel: Name of a channel of the settings, or `mail`.
        address: Whom to; empty: the channel's own.
        kind: `review.opened`, `review.due`, `review.escalated`, `review.expired`, `alarm.raised` and so on.
        subject_id: What it speaks of.
        content: JSON of the message.
        state: `due`, `sent` or `dead`.
        due_at_ms: Not before: quiet hours, a retry.
    """

    id: str
    channel: str
    address: str
    kind: str
    subject_id: str
    content: str
    state: str
    attempts: int
    due_at_ms: int
    last_error: str | None
    created_at_ms: int
    sent_at_ms: int | None


class ControlRow(NamedTuple):
    """A case whose right ruling is known, put among the others to see how people rule.

    Attributes:
        subject: JSON as `ReviewRow.subject`.
        truth: The right ruling.
        used: How often it was put to somebody.
    """

    id: str
    queue: str
    subject: str
    truth: str
    added_by: str
    at_ms: int
    used: int


class CursorRow(NamedTuple):
    """How far a loop has read that goes through rows once, e.g. the one that draws spot checks."""

    name: str
    position: str
    version: int


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a person decided.

    Attributes:
        verdict: E.g. `approve` or `decline`.
        reason: Why; empty where the person agreed with the policy.
        ruled_by: Who.
        is_override: Whether it differs from the policy's verdict.
        ruled_at_ms: Epoch ms.
        fields: What they filled in, in the types of the queue's form; empty without one.
    """

    verdict: str
    reason: str
    ruled_by: str
    is_override: bool
    ruled_at_ms: int
    fields: Mapping[str, object] = field(default_factory=dict)
