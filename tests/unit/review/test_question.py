"""What is asked of whoever rules: in the call's words, in the queue's, or made of what anybody may see."""

from __future__ import annotations

from types import ModuleType

import pytest
from pydantic import BaseModel
from pydantic_core import to_json

from opsrail import Automation, Case, Queue
from opsrail.cases.loader import collect
from opsrail.errors import InvalidInput
from opsrail.review.showing import question_of, record_of
from opsrail.testing import Rehearsal
from opsrail.values.cases import CaseState
from opsrail.values.reviews import Purpose
from tests.unit.review.conftest import review


class Claim(BaseModel):
    queue: str = "worded"
    question: str = ""


def rehearsal() -> Rehearsal:
    module = ModuleType("questions")
    module.__file__ = __file__
    automation = Automation("claims", case=Claim, outcome=Claim)

    @automation.run
    async def carry(case: Case, claim: Claim) -> Claim:
        await case.review(claim.queue, question=claim.question)
        return claim

    vars(module)["worded"] = Queue("worded", question="Do we pay this claim?")
    vars(module)["plain"] = Queue("plain", verdicts=("approve", "decline"))
    vars(module)["claims"] = automation
    return Rehearsal(collect(module))


def test_a_call_words_it_for_one_review_and_a_queue_for_all() -> None:
    with rehearsal() as author:
        by_queue, by_call, by_nobody, undeclared = (
            author.submit("claims", given)
            for given in (
                {},
                {"question": "Is c-7 paid twice?"},
                {"queue": "plain"},
                {"queue": "other"},
            )
        )
        asked = [
            question_of(author.reviews(case)[0])
            for case in (by_queue, by_call, by_nobody, undeclared)
        ]
        row = author.reviews(by_call)[0]

    assert asked == [
        "Do we pay this claim?",
        "Is c-7 paid twice?",
        "Approve or decline: claims, queue plain?",
        "How do you rule: claims, queue other?",
    ]
    shown = record_of(row, sees=True, now_ms=row.opened_at_ms)
    assert shown["question"] == "Is c-7 paid twice?"
    assert set(shown["subject"]) == {"input", "decision", "show"}


def test_a_question_names_the_point_that_asked_the_first_facts_and_no_id() -> None:
    row = review(Queue("desk", verdicts=("approve", "decline")), 0, automation="claims-intake")
    subject = row.subject.replace('"id":"d-1"', '"id":"d-1","point":"fraud-risk"')
    control = row._replace(case_id=None, id="DISGUISED-1", purpose=Purpose.CONTROL, subject=subject)

    asked = "Approve or decline: fraud risk of claims intake, amount 9?"
    assert question_of(control) == question_of(row._replace(subject=subject)) == asked
    assert "fraud risk, amount 9?" in question_of(control._replace(automation="fraud-risk"))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"number": "C-1", "has_report": True, "amount_usd": 20_000},
            "number C-1, amount 20,000 USD",
        ),
        (
            {"id": 7, "holder": "Zoë", "city": "Rome", "total": "1234.5"},
            "id 7, holder Zoë, total 1,234.50",
        ),
        ({"claim_eur": -3.0, "year": 2024}, "claim -3 EUR, year 2024"),
        ({"note": "two\nlines \u202eof", "long": "x" * 90}, f"note two lines of, long {'x' * 39}…"),
        ({"receipt": "/srv/claims/7.png"}, "receipt 7.png"),
        ({"name": "مرحبا", "mood": "👩‍⚕️"}, "name مرحبا, mood 👩‍⚕️"),
        ({"amount": 1e300, "empty": " "}, "amount 1e+300"),
        ({"parts": [1], "address": {"city": "Rome"}}, ""),
        ([1, 2], ""),
        ("a text", ""),
    ],
)
def test_facts_that_tell_one_case_from_another_are_named(given: object, told: str) -> None:
    row = review(Queue("desk"), 0, subject=to_json({"input": given}).decode())
    asked = f"How do you rule: claims, {told}?" if told else "How do you rule: claims?"

    assert question_of(row) == asked


@pytest.mark.parametrize("question", [" ", "two\nlines", "x" * 201])
def test_a_question_that_is_no_line_is_refused(question: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Queue("desk", question=question, eyes=3)
    with rehearsal() as author:
        waiting = author.submit("claims", {"question": question})

    assert [fault.place for fault in refused.value.faults] == ["question", "eyes"]
    assert waiting.state == CaseState.SET_ASIDE
    assert "question" in str(waiting)
