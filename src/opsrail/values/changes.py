"""What the store keeps of changes: proposals to alter live behaviour, who approved them, and what is live since when."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class ChangeState(StrEnum):
    """Where a change stands."""

    PLANNED = "planned"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    APPLIED = "applied"
    ROLLED_BACK = "rolled-back"


class ChangeRow(NamedTuple):
    """One proposal to alter what a decision point does.

    Attributes:
        id: ULID.
        kind: `promote`, `bands`, `deadline` or `autonomy`.
        tier: How many must agree, from what a wrong verdict costs: `low`, `medium` or `high`.
        plan: JSON: what is to change, from what it stands at, and what was found out before.
        base_revision: Of the point's rollout, or settings, when it was planned; applied only while that still holds.
        version: Grows with each change of the row, for compare and set.
        applied_at_ms, ended_at_ms: Epoch ms; NULL before.
        why: Why it ended: a rejection's or roll-back's reason.
    """

    id: str
    point: str
    kind: str
    state: str
    tier: str
    plan: str
    author: str
    reason: str
    base_revision: int
    version: int
    created_at_ms: int
    applied_by: str | None
    applied_at_ms: int | None
    ended_by: str | None
    ended_at_ms: int | None
    why: str | None


class ApprovalRow(NamedTuple):
    """What one person said to one change; the same person speaks once.

    Attributes:
        by: Who, as `registry.change.key_of` names people: two ways to write a name leave room for one row.
        verdict: `approve` or `reject`; `author` of who planned it, whose row leaves no room for their approval.
    """

    change_id: str
    by: str
    verdict: str
    reason: str
    at_ms: int


class SettingsRow(NamedTuple):
    """What holds for a decision point now instead of what its code says.

    Attributes:
        revision: Of the point's last change of settings, for compare and set.
        content: JSON: `bands`, `deadline_ms`, `autonomy`; what is not named holds as in the code.
    """

    point: str
    revision: int
    content: str
    at_ms: int


class SettingsChangeRow(NamedTuple):
    """One change of a point's settings: what held when, for ever.

    Attributes:
        content: JSON, whole, as of this revision.
        change_id: The change that was applied or rolled back; NULL when there was none.
    """

    point: str
    revision: int
    content: str
    change_id: str | None
    changed_by: str
    reason: str
    at_ms: int
