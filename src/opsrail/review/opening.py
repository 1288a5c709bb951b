"""How a review comes to be: the rows that a case writes when it parks for a person. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json, to_json

from opsrail.ledger.entries import entry
from opsrail.review.labels import Sampled
from opsrail.values.cases import CaseRow
from opsrail.values.decisions import Decision
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.values.rows import Insert, Write

UNRULED: Mapping[str, Any] = dict.fromkeys(
    (
        "assignee",
        "lease_until_ms",
        "claimed_at_ms",
        "ruling",
        "ruling_reason",
        "ruled_by",
        "ruled_at_ms",
    )
)
"""Columns that a person fills."""
HIDDEN = ("score", "confidence", "proposed", "reason_codes")
"""What a person who decides without the machine does not see."""


def opened(
    case: CaseRow,
    review_id: str,
    queue: str,
    decision: Decision | None,
    due_ms: int | None,
    priority: int,
    show: object,
    now_ms: int,
    sampled: Sampled,
) -> list[Write]:
    """Return the review's row and its ledger entry.

    Args:
        due_ms: Time the desk has, milliseconds from now; None: no limit.
        show: Further facts for the person.
        sampled: What its ruling will tell of the decision.
    """
    subject: dict[str, Any] = {
        "input": from_json(case.input),
        "decision": None if decision is None else shown_of(decision),
        "show": show,
    }
    row = ReviewRow(
        review_id,
        case.id,
        case.automation,
        queue,
        decision_id=None if decision is None else decision.id,
        subject=to_json(subject).decode(),
        verdict=None if decision is None else asked_about(decision),
        state=ReviewState.OPEN,
        priority=priority,
        due_at_ms=None if due_ms is None else now_ms + due_ms,
        version=0,
        salt=case.salt,
        opened_at_ms=now_ms,
        labels=None if decision is None else sampled.text(),
        **UNRULED,
    )
    fields: dict[str, Any] = {"case": case.id, "decision": row.decision_id, "queue": queue}
    if sampled.ratio is not None:
        fields["sampled"] = sampled.ratio
    return [Insert(row), entry("review.opened", review_id, now_ms, fields)]


def asked_about(decision: Decision) -> str | None:
    """Return the verdict that a ruling may override; None where people decide without being told one."""
    if decision.autonomy == "observe":
        return None
    if decision.proposed is None:
        return decision.verdict
    return "review" if decision.proposed == decision.verdict else decision.proposed


def shown_of(decision: Decision) -> dict[str, Any]:
    """Return what the person sees of a decision: where people decide for themselves, nothing that was predicted."""
    record = decision.record()
    if decision.autonomy == "observe":
        reasons = [each for each in record["reasons"] if each["source"] == "autonomy"]
        record |= {**dict.fromkeys(HIDDEN), "reasons": reasons, "unknown": [], "fallback": []}
    return record
