"""How a review comes to be: the rows that a case writes when it parks for a person. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from opsrail.ledger.entries import entry
from opsrail.review.assignment import urgent_ms
from opsrail.review.events import event_of
from opsrail.review.forms import form_text
from opsrail.review.labels import Sampled
from opsrail.review.queue import Queue
from opsrail.values.canonical import canonical
from opsrail.values.cases import CaseRow
from opsrail.values.decisions import Decision
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.values.rows import Insert, Write
from opsrail.values.spans import Span

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
SHARED = ("http:", "file:")
"""Doors that several people come through: they name nobody."""
HIDDEN = ("score", "confidence", "proposed", "reason_codes")
"""What a person who decides without the machine does not see."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a case asks of people.

    Attributes:
        due: Time the desk has; None: as the queue says.
        show: Further facts for the person.
        sampled: What its ruling will tell of the decision.
        form: Of what is filled in beside the verdict; None: the queue's.
        values: What stands in the form at first.
        skills: Besides those of the queue.
        question: What is asked; empty: as the queue says.
    """

    queue: Queue
    decision: Decision | None = None
    due: Span | None = None
    priority: int = 5
    show: object = None
    sampled: Sampled = Sampled({})  # noqa: RUF009 - immutable
    form: type[BaseModel] | None = None
    values: object = None
    skills: Sequence[str] = ()
    question: str = ""

    @property
    def fields_model(self) -> type[BaseModel] | None:
        """Return the form's model."""
        return self.form or self.queue.form

    def columns(self, now_ms: int) -> dict[str, Any]:
        """Return what queue and call say, as columns of a review that is opened now."""
        queue = self.queue
        terms = queue.terms(now_ms)
        due = queue.due if self.due is None else self.due
        due_at_ms = None if due is None else queue.after_ms(now_ms, due)
        return {
            "queue": queue.name,
            "priority": self.priority,
            "due_at_ms": due_at_ms,
            "urgent_at_ms": urgent_ms(due_at_ms, now_ms),
            "form": form_text(self.fields_model, self.values),
            "skills": " ".join(sorted({*queue.skills, *self.skills})),
            "eyes": queue.eyes,
            "blind": queue.blind,
            "terms": terms.text(),
            "wake_at_ms": terms.wake_ms(0),
        }


def requester_of(requested_by: str | None) -> str | None:
    """Return who may not rule on a case because they handed it in: a person or key of their own, no shared door."""
    if requested_by is None or requested_by.startswith(SHARED):
        return None
    return requested_by


def opened(case: CaseRow, review_id: str, asked: Asked, now_ms: int) -> list[Write]:
    """Return the review's row, the first of its events and its ledger entry."""
    decision = asked.decision
    subject: dict[str, Any] = {
        "input": from_json(case.input),
        "decision": None if decision is None else shown_of(decision),
        "show": asked.show,
    }
    if asked.question:
        subject["question"] = asked.question
    row = ReviewRow(
        review_id,
        case.id,
        case.automation,
        decision_id=None if decision is None else decision.id,
        subject=to_json(subject, inf_nan_mode="null").decode(),
        verdict=None if decision is None else asked_about(decision),
        state=ReviewState.OPEN,
        version=0,
        salt=case.salt,
        opened_at_ms=now_ms,
        labels=None if decision is None else asked.sampled.text(),
        requester=requester_of(case.requested_by),
        **asked.columns(now_ms),
        **UNRULED,
    )
    fields: dict[str, Any] = {"case": case.id, "decision": row.decision_id, "queue": row.queue}
    if asked.sampled.ratio is not None:
        fields["sampled"] = asked.sampled.ratio
    noted = entry("review.opened", review_id, now_ms, fields)
    return [Insert(row), Insert(event_of(row, "opened", None, {"queue": row.queue}, now_ms)), noted]


def asked_about(decision: Decision) -> str | None:
    """Return the verdict that a ruling may override; None where people decide without being told one."""
    if decision.autonomy == "observe":
        return None
    if decision.proposed is None:
        return decision.verdict
    return "review" if decision.proposed == decision.verdict else decision.proposed


def shown_of(decision: Decision) -> dict[str, Any]:
    """Return what the person sees of a decision: where people decide for themselves, nothing that was predicted.

    It is written as decisions are kept, so that order and numbers do not tell it from a spot check.
    """
    record: dict[str, Any] = from_json(canonical(decision.record()))
    if decision.autonomy == "observe":
        reasons = [each for each in record["reasons"] if each["source"] == "autonomy"]
        record |= {**dict.fromkeys(HIDDEN), "reasons": reasons, "unknown": [], "fallback": []}
    return record
