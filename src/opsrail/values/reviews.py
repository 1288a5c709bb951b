"""What the store keeps of a review: the question a case puts to a person, and the ruling."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class ReviewState(StrEnum):
    """Where a review stands."""

    OPEN = "open"
    CLAIMED = "claimed"
    RULED = "ruled"
    WITHDRAWN = "withdrawn"  # its case was cancelled


class ReviewRow(NamedTuple):
    """One question to a person.

    Attributes:
        queue: Desk that rules on it.
        decision_id: The decision it is about, if any.
        subject: JSON shown to the person: the case's input, the decision's score, verdict and reasons.
        verdict: What policy said; a ruling that differs is an override. NULL: nothing, or the person is not to know.
        priority: Smaller first; 0..9, 5 is normal.
        due_at_ms: When the desk should have ruled; NULL: no limit.
        assignee: Who holds it now.
        lease_until_ms: Until when the assignee holds it; then it is open again.
        claimed_at_ms: When who holds it, or ruled, began to hold it; NULL: nobody did.
        version: Grows with each change, for compare and set.
        ruling: The person's verdict.
        ruling_reason: Why; mandatory for an override.
        ruled_by: Who; `simulated-desk` where no person was.
        salt: Random bytes as hex; the ledger commits to sha256(salt || reason).
        labels: JSON: which outcomes a ruling tells, how they were sampled; NULL: none. See `review/labels.py`. Reviewers do
            not see it: who knows that a case is a spot check looks at it with other eyes.
    """

    id: str
    case_id: str
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


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a person decided.

    Attributes:
        verdict: E.g. `approve` or `decline`.
        reason: Why; empty where the person agreed with the policy.
        ruled_by: Who.
        is_override: Whether it differs from the policy's verdict.
        ruled_at_ms: Epoch ms.
    """

    verdict: str
    reason: str
    ruled_by: str
    is_override: bool
    ruled_at_ms: int
