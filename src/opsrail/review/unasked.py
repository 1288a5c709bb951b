"""Reviews that no case asked for: spot checks of what was decided without a person, and control cases. Pure.

Whoever rules must not know which is which, so both are made after a review of the same queue that a case asked for: the same
times, priority, skills and columns. Their ids are shaped as those of cases' reviews, and what a person is shown names them
consistently. That no case stands behind one can only be seen by who may look cases up.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from opsrail.clock import ulid_text
from opsrail.errors import Fault, InvalidInput
from opsrail.ledger.entries import entry
from opsrail.review.assignment import urgent_ms
from opsrail.review.forms import plain_values
from opsrail.review.hours import hours_of
from opsrail.review.labels import Labels, Sampled, is_ratio
from opsrail.review.opening import HIDDEN, UNRULED, Asked, requester_of
from opsrail.review.queue import Queue
from opsrail.review.terms import Expires, Step, Terms, terms_of
from opsrail.values.cases import CaseRow
from opsrail.values.decisions import DecisionRow
from opsrail.values.reviews import (
    ControlRow,
    Purpose,
    ReviewEventRow,
    ReviewRow,
    ReviewState,
)
from opsrail.values.rows import Insert, Write

QUEUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,98}[\x21-\x7e])?")
ASKED = "review"
"""Verdict of a review that asks a person without having said anything: a ruling overrides nothing."""
NEWEST_MS = 600_000
"""Age up to which a spot check says it was opened with its decision. Ours: older ones would be overdue when they appear."""
RANDOM_BITS = 80
SILENT: Mapping[str, Any] = {
    **dict.fromkeys(HIDDEN),
    "verdict": ASKED,
    "reasons": [],
    "unknown": [],
    "fallback": [],
}
"""What a decision's record says where nobody is to know what the machine said."""


@dataclass(frozen=True, slots=True)
class Audit:
    """Spot checks of a decision point: which share of what no person saw goes to people, unmarked.

    Attributes:
        ratio: Share, in (0, 1]. Drawn by chance, so that it speaks for all.
        queue: Desk that rules on them.
        show: What `case.review(show=)` would give of such a request, e.g. `lambda facts: facts.receipt`: a plain function to
            a model or plain values. None: nothing.
        values: What `case.review(values=)` would give, as `show`. None: what the input has under the form's names.

    Raises:
        InvalidInput: all faults at once. Terminal.
    """

    ratio: float
    queue: str
    show: Callable[[Any], object] | None = None
    values: Callable[[Any], object] | None = None

    def __post_init__(self) -> None:
        found = []
        if not is_ratio(self.ratio):
            found.append(Fault("ratio", f"{self.ratio!r} is no share above 0 and up to 1"))
        if not is_queue(self.queue):
            found.append(Fault("queue", f"{self.queue!r}: 1 to 100 printable ASCII characters"))
        found += [
            Fault(name, "is no plain function; write e.g. lambda facts: facts.receipt")
            for name, given in (("show", self.show), ("values", self.values))
            if not _is_plain(given)
        ]
        if found:
            raise InvalidInput("spot checks cannot be defined", found)


def _is_plain(given: object) -> bool:
    """Return whether something may be an author's function here."""
    return given is None or (callable(given) and not inspect.iscoroutinefunction(given))


class Shown(NamedTuple):
    """What an author's functions give a spot check beside the input.

    Attributes:
        values: Of the form; None: those that the input has.
    """

    show: object = None
    values: Mapping[str, Any] | None = None


NOTHING_SHOWN = Shown()


def shown_by(audit: Audit, facts: object) -> Shown:
    """Return what the author's functions give of a request. Whatever they raise passes through."""
    show = None if audit.show is None else from_json(to_json(audit.show(facts)))
    values = None if audit.values is None else plain_values(audit.values(facts), {})
    return Shown(show, values)


def is_queue(value: object) -> bool:
    """Return whether a value may name a queue."""
    return isinstance(value, str) and QUEUE.fullmatch(value) is not None


def is_drawn(subject_id: str, salt: str, ratio: float) -> bool:
    """Return whether chance draws something: with probability `ratio`, and always the same for the same row.

    The row's salt is part of it and no reviewer knows that one, so an id does not tell that it was drawn.

    Args:
        salt: Random bytes of the row, as hex.

    Source:
        Ours: the first 64 bits of SHA-256 as a fraction, as canaries are chosen; here with a secret.
    """
    if ratio >= 1:
        return True
    return _bits(f"drawn {salt} {subject_id}", 64) / 2**64 < ratio


def spot_check(
    decision: DecisionRow,
    case: CaseRow | None,
    audit: Audit,
    labels: Labels,
    model: ReviewRow | None,
    queue: Queue,
    now_ms: int,
    shown: Shown = NOTHING_SHOWN,
) -> list[Write]:
    """Return the writes that put a decision to a person who cannot tell why.

    Args:
        case: The case that it was made in; None: it was asked for from outside.
        labels: Which outcomes its ruling tells, as its point declares.
        model: Some review of that queue that a case asked for; None: there is none yet.
        queue: It, as declared.
        shown: What its author wants shown beside.
    """
    is_blind = queue.blind if model is None else model.blind
    name = _disguise(f"{decision.id} {decision.salt}", decision.at_ms - 5)
    record = from_json(decision.record)
    subject = {
        "input": record["features"][0]["values"] if case is None else from_json(case.input),
        "decision": _shown(record, name, is_blind=is_blind),
        "show": shown.show,
    }
    asked_ms = decision.at_ms + round(decision.latency_us / 1000) + 1
    opened_ms = asked_ms if now_ms - asked_ms < NEWEST_MS else now_ms
    row = _alike(model, queue, name, subject, opened_ms, shown.values)
    row = row._replace(
        automation=_automation(case, model, decision.point),
        decision_id=decision.id,
        purpose=Purpose.AUDIT,
        requester=row.requester if case is None else requester_of(case.requested_by),
        salt=hashlib.sha256(f"spot check {decision.salt}".encode()).hexdigest(),
        labels=Sampled(labels, audit.ratio).text(),
    )
    fields = {
        "case": decision.case_id,
        "decision": decision.id,
        "queue": audit.queue,
        "sampled": audit.ratio,
    }
    return [Insert(row), _opening(row), entry("review.opened", row.id, now_ms, fields)]


def control(
    known: ControlRow, model: ReviewRow, name: str, salt: str, opened_ms: int, now_ms: int
) -> list[Write]:
    """Return the writes that put a control case to a person who cannot tell that it is one.

    Args:
        model: The review of that queue beside which it appears.
        name: ULID that stands where a case's id would.
        salt: Random bytes as hex.
    """
    subject = from_json(known.subject)
    if isinstance(record := subject.get("decision"), dict):
        decision_id = _disguise(f"{known.id} {salt}", opened_ms - 1)
        same = {"id": decision_id, "case_id": name, "at_ms": opened_ms - 1}
        subject["decision"] = record | {key: same[key] for key in same if key in record}
    row = _alike(model, Queue(known.queue), name, subject, opened_ms)._replace(
        automation=model.automation,
        purpose=Purpose.CONTROL,
        salt=salt,
        truth=known.truth,
        labels=to_json({"labels": {}, "sampled": None, "control": known.id}).decode(),
    )
    fields = {"case": None, "control": known.id, "decision": None, "queue": known.queue}
    return [Insert(row), _opening(row), entry("review.opened", row.id, now_ms, fields)]


def _opening(row: ReviewRow) -> Insert:
    """Return the write of its first event, told as of a case's review."""
    told = to_json({"queue": row.queue}).decode()
    return Insert(ReviewEventRow(row.id, 0, "opened", None, told, row.opened_at_ms))


def case_shown(row: ReviewRow) -> str:
    """Return the case that a person is told: the real one, or what stands in its place."""
    return row.case_id or row.id.rpartition("-")[0]


def decision_shown(row: ReviewRow) -> str | None:
    """Return the decision that a person is told: the real one, or what a control case shows."""
    if row.decision_id is not None or row.purpose != Purpose.CONTROL:
        return row.decision_id
    record = from_json(row.subject).get("decision")
    return record.get("id") if isinstance(record, dict) else None


def _shown(record: dict[str, Any], name: str, *, is_blind: bool) -> dict[str, Any]:
    """Return a decision's record as the person sees it; in a blind queue the desk hides what is to be hidden."""
    seen = record if is_blind else {**record, **SILENT}
    return seen | {"case_id": name, "seq": record["seq"] or 0}


def _alike(
    model: ReviewRow | None,
    queue: Queue,
    name: str,
    subject: Mapping[str, Any],
    opened_ms: int,
    values: object = None,
) -> ReviewRow:
    """Return an open review as the queue's others are: as one of them is, or as the queue is declared."""
    if model is not None:
        like = from_json(model.subject)
        alike = {part: _in_order(subject.get(part), like.get(part)) for part in ("input", "show")}
        subject = {**subject, **alike}
    fresh: dict[str, Any] = {
        **UNRULED, "case_id": None, "decision_id": None, "queue": queue.name,
        "subject": to_json(subject, inf_nan_mode="null").decode(),
        "verdict": ASKED, "state": ReviewState.OPEN, "version": 0, "opened_at_ms": opened_ms,
    }  # fmt: skip
    if model is None:
        columns = Asked(queue).columns(opened_ms) | fresh
        columns["form"] = _form(columns["form"], subject, values)
        return ReviewRow(id=f"{name}-1", automation="", salt="", **columns)
    terms = _moved(model, opened_ms)
    due_at_ms = _shifted(model, model.due_at_ms, opened_ms)
    later: dict[str, Any] = {
        "id": f"{name}-{model.id.rpartition('-')[2]}",
        "due_at_ms": due_at_ms, "urgent_at_ms": urgent_ms(due_at_ms, opened_ms),
        "form": _form(model.form, subject, values), "fields": None, "level": 0,
        "terms": terms.text(), "wake_at_ms": terms.wake_ms(0), "delivered_at_ms": None,
    }  # fmt: skip
    return model._replace(**fresh, **later)


def _in_order(value: Any, like: Any) -> Any:
    """Return plain values with names in the order of others; those that the others lack come last."""
    if not isinstance(value, dict) or not isinstance(like, dict):
        return value
    names = [name for name in like if name in value]
    names += [name for name in value if name not in like]
    return {name: _in_order(value[name], like.get(name)) for name in names}


def _moved(model: ReviewRow, opened_ms: int) -> Terms:
    """Return the terms of a review for one that is opened at another moment."""
    terms = terms_of(model.terms)
    steps = [
        Step(_shifted(model, step.at_ms, opened_ms) or opened_ms, step.to)
        for step in terms.escalate
    ]
    expire = terms.expire
    if expire is not None:
        at_ms = _shifted(model, expire.at_ms, opened_ms) or opened_ms
        expire = Expires(at_ms, expire.verdict)
    return replace(terms, escalate=tuple(steps), expire=expire)


def _shifted(model: ReviewRow, at_ms: int | None, opened_ms: int) -> int | None:
    """Return the moment that is as far, in working time, from another opening."""
    if at_ms is None:
        return None
    text = terms_of(model.terms).hours
    if text is None:
        return opened_ms + at_ms - model.opened_at_ms
    hours = hours_of(text)
    return hours.after_ms(opened_ms, hours.between_ms(model.opened_at_ms, at_ms))


def _form(text: str | None, subject: Mapping[str, Any], values: object) -> str | None:
    """Return the form of a queue, filled in as its author says, or with what the input has under the same names."""
    if text is None:
        return None
    form, given = from_json(text), subject["input"]
    if values is not None:
        filled = plain_values(values, form.get("schema", {}))
        return to_json({**form, "values": filled}).decode()
    names = form.get("schema", {}).get("properties", {}) if isinstance(given, dict) else {}
    values = {name: given[name] for name in names if name in given}
    return to_json({**form, "values": values}).decode()


def _automation(case: CaseRow | None, model: ReviewRow | None, point: str) -> str:
    if case is not None:
        return case.automation
    return point if model is None else model.automation


def _disguise(seed: str, at_ms: int) -> str:
    """Return a ULID of a moment that is always the same for the same seed."""
    return ulid_text((max(0, at_ms) << RANDOM_BITS) | _bits(f"name {seed}", RANDOM_BITS))


def _bits(text: str, count: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[: count // 8])
