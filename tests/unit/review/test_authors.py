"""What an author's function sees of its queues: typed fields, defaults, rulings that were held."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel, Field, field_validator

from opsrail import Automation, Case, Expiry, Queue
from opsrail.cases.intake import Submission
from opsrail.cases.loader import collect
from opsrail.errors import Denied, InvalidInput
from opsrail.testing import Rehearsal
from opsrail.values.cases import CaseState


class Claim(BaseModel):
    amount: Decimal = Decimal("12.50")
    queue: str = "declared"


class Correction(BaseModel):
    amount: Decimal = Field(ge=0)
    paid_on: date | None = None

    @field_validator("amount")
    @classmethod
    def is_even(cls, amount: Decimal) -> Decimal:
        if amount == 13:
            raise ValueError("thirteen brings bad luck")
        return amount


class Settlement(BaseModel):
    told: str


def rehearsal() -> Rehearsal:
    module = ModuleType("authors")
    module.__file__ = __file__
    declared = Queue("declared", form=Correction, undo="1h", expire=Expiry("3d", "decline"))
    automation = Automation("claims", case=Claim, outcome=Settlement)

    @automation.run
    async def carry(case: Case, claim: Claim) -> Settlement:
        values = {"amount": claim.amount} if claim.queue == "declared" else None
        ruling = await case.review(claim.queue, values=values)
        return Settlement(told=f"{ruling.verdict} {dict(ruling.fields)!r} {ruling.ruled_by}")

    for value in (declared, automation):
        setattr(module, getattr(value, "name"), value)  # noqa: B009 - of either type
    return Rehearsal(collect(module))


def told(case: Any) -> str:
    return Settlement.model_validate_json(case.outcome).told


def test_a_declared_queue_is_found_by_its_name_and_its_fields_come_typed() -> None:
    with rehearsal() as author:
        waiting = author.submit("claims", {})
        form = author.reviews(waiting)[0].form
        fields = {"amount": 9.25, "paid_on": "2026-02-01"}
        settled = author.rule(waiting, "approve", by="ann", fields=fields)
        as_it_stood = author.rule(author.submit("claims", {}), "approve", by="ann")

        assert '"values":{"amount":12.5}' in str(form)
        assert told(settled) == (
            "approve {'amount': Decimal('9.25'), 'paid_on': datetime.date(2026, 2, 1)} ann"
        )
        assert told(as_it_stood) == "approve {'amount': Decimal('12.5'), 'paid_on': None} ann"


def test_a_queue_that_nobody_declared_rules_at_once() -> None:
    with rehearsal() as author:
        settled = author.rule(author.submit("claims", {"queue": "other"}), "approve", by="ann")

        assert told(settled) == "approve {} ann"


def test_a_held_ruling_outlives_the_process_and_the_default_comes_by_itself() -> None:
    with rehearsal() as author:
        first, second = author.submit("claims", {}), author.submit("claims", {})
        (review,) = author.reviews(first)
        author._do(author.app.desk.rule(review.id, "approve", by="ann"))
        author.restart()
        author.advance("59m")
        held = author.case(first.id)
        author.advance("2m")
        out = author.case(first.id)
        author.advance("3d")

        assert held.state == CaseState.WAITING
        assert told(out).endswith("ann")
        assert told(author.case(second.id)) == (
            "decline {'amount': Decimal('12.5'), 'paid_on': None} expiry"
        )


def test_fields_that_only_the_model_refuses_set_the_case_aside() -> None:
    with rehearsal() as author:
        waiting = author.submit("claims", {})
        with pytest.raises(InvalidInput, match=r"fields\.amount"):
            author.rule(waiting, "approve", fields={"amount": -1})
        aside = author.rule(waiting, "approve", fields={"amount": 13})

        assert aside.state == CaseState.SET_ASIDE
        assert "Correction refuses what was filled in at declared" in str(aside.reason)


def test_who_hands_a_case_in_does_not_rule_on_it() -> None:
    with rehearsal() as author:
        given = Submission("claims", {}, "http", caller="user:ann")
        row, _ = author._do(author.app.intake.accept(given))
        waiting = author.case(row.id)
        with pytest.raises(Denied, match="handed in"):
            author.rule(waiting, "approve", by="user:ann")

        assert waiting.requested_by == author.reviews(waiting)[0].requester == "user:ann"
