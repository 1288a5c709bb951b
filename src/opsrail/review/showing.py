"""A review as people see it: plain values, without what must not be known yet. Pure.

Nobody who looks sees what a review is for, what its right ruling is known to be, or what its ruling tells of the
decision. In a blind queue nobody sees what the machine said before they said theirs, and where two people must say the same
nobody sees what another said before the ruling has gone out. Of a document people see its name, not where it lies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from opsrail.clock import rfc3339, rfc3339_or_none
from opsrail.review.machine import Standing, standing_of
from opsrail.review.opening import HIDDEN
from opsrail.review.reading import content_of, shows_ruling, untold
from opsrail.review.terms import terms_of
from opsrail.review.unasked import case_shown, decision_shown
from opsrail.review.wording import facts_in_words, words
from opsrail.values.document_names import without_paths
from opsrail.values.reviews import ReviewEventRow, ReviewRow

BLIND = (*HIDDEN, "verdict", "guarantee", "degraded_why")
LISTS = ("reasons", "unknown", "fallback")
"""Parts of a decision's record that tell what the machine said."""
MOMENTS = ("due", "lease_until", "opened", "ruled", "delivered")


def record_of(row: ReviewRow, *, sees: bool, now_ms: int, viewer: str | None = None) -> dict[str, Any]:  # fmt: skip
    """Return a review as plain JSON values; moments are RFC 3339.

    Args:
        sees: Whether the viewer may see what the machine said (`Reading.sees`).
        viewer: Who looks, as records name them.
    """
    subject = subject_of(row, sees=sees)
    asks = question_of(row)
    terms, standing = terms_of(row.terms), standing_of(row, now_ms)
    ruled = untold(row, viewer)
    may_undo = standing == Standing.HELD and row.wake_at_ms is not None
    return {
        "id": row.id,
        "case_id": case_shown(row),
        "automation": row.automation,
        "queue": row.queue,
        "question": asks,
        "decision_id": decision_shown(row),
        "subject": subject,
        "verdict": row.verdict if sees else None,
        "verdicts": list(terms.verdicts),
        "state": str(row.state),
        "standing": str(standing),
        "priority": row.priority,
        "assignee": row.assignee,
        "ruling": ruled.ruling,
        "ruling_reason": ruled.ruling_reason,
        "ruled_by": ruled.ruled_by,
        "form": None if row.form is None else orjson.loads(row.form),
        "fields": orjson.loads(row.fields) if row.fields and shows_ruling(row, viewer) else None,
        "skills": row.skills.split(),
        "eyes": row.eyes,
        "is_blind": row.blind,
        "is_shown": sees,
        "level": row.level,
        "version": row.version,
        "may_undo_until": rfc3339(row.wake_at_ms) if may_undo and row.wake_at_ms else None,
        **{name if name == "lease_until" else f"{name}_at": _moment(row, name) for name in MOMENTS},
    }


def subject_of(row: ReviewRow, *, sees: bool) -> dict[str, Any]:
    """Return what a person is shown of what they judge."""
    subject: dict[str, Any] = without_paths(orjson.loads(row.subject))
    subject.pop("question", None)  # it stands beside
    decision = subject.get("decision")
    if sees or not isinstance(decision, Mapping):
        return subject
    hidden = dict.fromkeys(name for name in BLIND if name in decision)
    empty: dict[str, Any] = {name: [] for name in LISTS if name in decision}
    return {**subject, "decision": {**decision, **hidden, **empty}}


def question_of(row: ReviewRow) -> str:
    """Return what is asked of whoever rules: in the call's words, in the queue's, or made of what anybody may see.

    The last names no id, which tells people nothing: it says what is asked about, and what tells this case from another.
    """
    subject, terms = orjson.loads(row.subject), terms_of(row.terms)
    if given := subject.get("question") or terms.question:
        return str(given)
    decision = subject.get("decision")
    point = decision.get("point") if isinstance(decision, Mapping) else None
    verdicts = " or ".join(terms.verdicts)
    begin = f"{verdicts[:1].upper()}{verdicts[1:]}" if verdicts else "How do you rule"
    about, whole = words(str(point or row.automation)), words(row.automation)
    about = about if whole in about else f"{about} of {whole}"
    return f"{begin}: {', '.join([about, *facts_in_words(without_paths(subject.get('input')))])}?"


def gist_of(subject: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a review is about in a line, the decision point that sent it, and why it did: of lists.

    Args:
        subject: As `subject_of` returns it: where the machine's word is hidden, why it was sent is too.
    """
    decision = subject.get("decision")
    told = decision if isinstance(decision, Mapping) else {}
    why = [str(each["text"]) for each in told.get("reasons") or ()]
    degraded = told.get("degraded_why")
    return {
        "point": told.get("point"),
        "about": ", ".join(facts_in_words(subject.get("input"))) or None,
        "why": why or ([str(degraded)] if degraded else []),
    }


def event_record(event: ReviewEventRow) -> dict[str, Any]:
    """Return one thing that happened, as plain JSON values."""
    return {
        "seq": event.seq,
        "kind": event.kind,
        "by": event.by,
        "at": rfc3339(event.at_ms),
        "content": content_of(event),
    }


def _moment(row: ReviewRow, name: str) -> str | None:
    at_ms: int | None = getattr(row, f"{name}_ms" if name == "lease_until" else f"{name}_at_ms")
    return rfc3339_or_none(at_ms)
