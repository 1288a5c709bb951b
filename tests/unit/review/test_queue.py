"""A queue is checked whole when it is declared, and writes on each review how that is ruled."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, Field

from opsrail import Escalation, Expiry, Queue
from opsrail.cases.asking import asked_of
from opsrail.errors import AuthorError, InvalidInput
from opsrail.review.forms import fields_faults, form_text
from opsrail.review.hours import hours_of
from opsrail.review.labels import Sampled
from opsrail.review.opening import Asked, requester_of
from opsrail.review.terms import LEASE_MS, PLAIN, Step, Terms, terms_of

HOUR_MS = 3_600_000
NOW_MS = 1_767_258_000_000  # a Thursday, 09:00 UTC


class Correction(BaseModel):
    """What a person may change."""

    amount_usd: Decimal = Field(ge=0, max_digits=9, decimal_places=2)
    paid_on: date | None = None


class Noted(BaseModel):
    amount_usd: Decimal
    note: str


def test_all_faults_of_a_queue_are_told_at_once() -> None:
    class Free(BaseModel):
        at: Any = object

    with pytest.raises(InvalidInput) as refused:
        Queue(
            "",
            verdicts=("approve", "approve", "review"),
            form=int,  # type: ignore[arg-type]
            due="soon",
            eyes=3,
            undo="2d",
            lease=0,
            skills="German",
            hours="Mon 08:00",
            escalate=[Escalation("2h", "seniors"), Escalation("1h", "")],
            expire=Expiry("30m", "burn"),
        )
    places = {fault.place for fault in refused.value.faults}

    assert places == {
        *("name", "verdicts", "form", "due", "eyes", "undo", "lease", "skills", "hours"),
        *("escalate", "escalate[1]", "expire"),
    }


def test_what_a_queue_says_stands_on_the_review_and_is_read_back() -> None:
    queue = Queue(
        "claims-desk",
        verdicts=("approve", "decline"),
        form=Correction,
        due="4h",
        blind=True,
        eyes=2,
        undo="10s",
        lease="5m",
        skills=("german",),
        escalate=[Escalation("2h", "seniors")],
        expire=Expiry("3d", "decline"),
    )
    columns = Asked(queue, skills=("motor",), values={"amount_usd": 12}).columns(NOW_MS)
    terms = terms_of(columns["terms"])

    assert columns["due_at_ms"] == NOW_MS + 4 * HOUR_MS
    assert columns["wake_at_ms"] == NOW_MS + 2 * HOUR_MS
    assert (columns["eyes"], columns["blind"], columns["skills"]) == (2, True, "german motor")
    assert terms == queue.terms(NOW_MS)
    assert (terms.undo_ms, terms.lease_ms) == (10_000, 300_000)
    assert terms.escalate == (Step(NOW_MS + 2 * HOUR_MS, "seniors"),)
    assert terms.wake_ms(1) == NOW_MS + 72 * HOUR_MS
    assert fields_faults(columns["form"], {"amount_usd": 3}) == []


def test_a_queue_that_says_nothing_rules_as_one_that_nobody_declared() -> None:
    columns = Asked(Queue("desk")).columns(NOW_MS)

    assert terms_of(columns["terms"]) == PLAIN == Terms(lease_ms=LEASE_MS)
    assert [columns[name] for name in ("terms", "due_at_ms", "form", "wake_at_ms")] == [None] * 4


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-01-02 16:00", 4, "2026-01-05 10:00"),  # Friday afternoon to Monday morning
        ("2026-01-03 12:00", 1, "2026-01-05 09:00"),  # begun on a Saturday
        ("2026-01-05 08:00", 10, "2026-01-05 18:00"),
        ("2026-01-05 08:00", 0, "2026-01-05 08:00"),
    ],
)
def test_working_hours_skip_nights_and_weekends(start: str, hours: int, end: str) -> None:
    desk = hours_of("Mon-Fri 08:00-18:00 UTC")
    begins, ends = (
        round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
        for text in (start, end)
    )

    assert desk.after_ms(begins, hours * HOUR_MS) == ends


@pytest.mark.parametrize(
    "text",
    [
        *("", "Mon-Fri", "Mon 08:00-18:00", "Mon 08:00-18:00 Nowhere/Town", "Foo 08:00-18:00 UTC"),
        *("Mon 08:00-25:00 UTC", "Mon 08:00-08:00 UTC", "Mon 08:00-18:00 ../../etc/passwd"),
    ],
)
def test_what_tells_no_working_hours_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        hours_of(text)


def test_every_fault_of_a_form_is_told_at_its_field() -> None:
    form = form_text(Correction, None)
    found = fields_faults(form, {"paid_on": "tomorrow", "why": "?"})

    assert [fault.place for fault in found] == ["fields.amount_usd", "fields.paid_on", "fields.why"]
    assert [fault.message for fault in found] == [
        "is missing",
        'the value is not a "date"',
        "is not a field",
    ]
    assert fields_faults(None, None) == []
    assert [fault.place for fault in fields_faults(None, {"a": 1})] == ["fields"]
    assert [fault.place for fault in fields_faults(form, {"a": object()})] == ["fields"]
    assert [fault.place for fault in fields_faults(form, {"a": "x" * 70_000})] == ["fields"]
    assert [fault.place for fault in fields_faults(form, {"amount_usd": 2**53})] == ["fields"]


@pytest.mark.parametrize(
    ("requested_by", "requester"),
    [
        *((None, None), ("http:local", None), ("http:key", None), ("file:claims.csv", None)),
        *(("user:ann", "user:ann"), ("key:ab12", "key:ab12"), ("ann", "ann")),
    ],
)
def test_a_shared_door_is_nobodys_name(requested_by: str | None, requester: str | None) -> None:
    assert requester_of(requested_by) == requester


def test_a_moment_too_far_away_to_be_written_is_refused_where_it_is_declared() -> None:
    with pytest.raises(InvalidInput) as refused:
        Queue("desk", due="9999999d", expire=Expiry("4000d", "decline"))
    with pytest.raises(InvalidInput) as unstaffed:
        Queue("desk", due="5000h", hours="Mon 08:00-09:00 UTC", lease="600h")
    Queue("desk", due="3660d")

    assert {fault.place for fault in refused.value.faults} == {"due", "expire"}
    assert [(fault.place, fault.message) for fault in unstaffed.value.faults] == [
        ("due", "5000 working hours end more than ten years ahead")
    ]


@pytest.mark.parametrize("due", ["9999999d", "soon"])
def test_so_is_one_that_a_call_asks_for(due: str) -> None:
    with pytest.raises(AuthorError, match="due"):
        asked_of("c", {}, "desk", None, due, 5, None, Sampled({}), None, None, (), "")


def test_a_number_that_an_author_wrote_as_text_stands_in_the_form_as_one() -> None:
    values = {"amount_usd": "12.50", "note": "12.50"}
    form = json.loads(form_text(Noted, values) or "")

    assert form["values"] == {"amount_usd": 12.5, "note": "12.50"}
    assert list(fields_faults(form_text(Noted, values) or "", form["values"])) == []
