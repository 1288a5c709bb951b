"""What would have had to be otherwise: asked of recorded decisions, with rules, types and history."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Self

import pytest
from pydantic import BaseModel, Field, field_validator, model_validator

from opsrail.clock import SystemClock
from opsrail.decide.decider import Request
from opsrail.decide.explainer import Explainer
from opsrail.decide.point import DecisionPoint
from opsrail.decide.policy import Band, Policy, Rule
from opsrail.decide.turning import Nearest
from opsrail.errors import InvalidInput
from opsrail.values.explanations import Fixed
from tests.support.decisions import Claim, Road, fraud_point, linear, request

BANDS = [Band("approve", below=0.5), Band("review", below=1.01)]


class Tenure(StrEnum):
    RENTS = "rents"
    OWNS = "owns"


class Loan(BaseModel):
    debts: Annotated[float, Field(ge=0, le=100)] = 10.0
    savings: Annotated[int, Field(ge=0, le=50, multiple_of=5)] = 0
    age: Annotated[int, Fixed("Nobody can change their age.")] = 30
    tenure: Tenure = Tenure.RENTS
    is_known: bool = False
    note: str = ""

    @field_validator("debts")
    @classmethod
    def not_thirteen(cls, debts: float) -> float:
        if debts == 13:
            raise ValueError("thirteen is no number")
        return debts

    @model_validator(mode="after")
    def owners_save(self) -> Self:
        if self.tenure == Tenure.OWNS and not self.savings:
            raise ValueError("owners have savings")
        return self


class Settled(BaseModel):
    age: Annotated[int, Fixed("Nobody can change their age.")] = 30


class Applicant(BaseModel):
    debts: float = 900.0
    age: int | None = None


@pytest.fixture
async def explainer(road: Road) -> AsyncIterator[Explainer]:
    explainer = Explainer(road.registry, SystemClock(), road.features, budget_ms=60_000)
    yield explainer
    explainer.close()


def loan_point(*rules: Rule[Loan], **options: Any) -> DecisionPoint[Loan]:
    return DecisionPoint("loans", request=Loan, policy=Policy(BANDS, rules, **options))


async def asked(
    road: Road,
    explainer: Explainer,
    point: DecisionPoint[Loan],
    loan: Loan,
    artifact: bytes,
    towards: str | None = None,
) -> Nearest:
    await road.live(artifact, point="loans")
    decision = await road.decider.decide(Request(point, loan, "0" * 31 + "1", "tester"))
    return await explainer.nearest(decision, point, towards)


def told(found: Nearest) -> dict[str, object]:
    return {change.fact: change.after for change in found.changes}


async def test_one_number_is_brought_just_over_the_limit(road: Road, explainer: Explainer) -> None:
    found = await asked(
        road, explainer, loan_point(), Loan(debts=40), linear(bias=-2.0, debts=0.1), "approve"
    )

    assert found.verdict == "approve"
    assert found.changes[0].before == 40.0
    assert 19.8 < float(str(told(found)["debts"])) < 20.0
    assert found.distance == pytest.approx(0.2, abs=2e-3)
    assert not found.is_proven  # a black box has no cells
    assert found.sentences()[1] == f"debts had been {told(found)['debts']} instead of 40.0."


async def test_a_number_that_takes_steps_takes_the_first_step_that_turns_it(
    road: Road, explainer: Explainer
) -> None:
    found = await asked(
        road, explainer, loan_point(), Loan(debts=0), linear(bias=1.1, savings=-0.1)
    )

    assert told(found) == {"savings": 15}


async def test_a_fixed_fact_is_never_named_and_why_is_told(
    road: Road, explainer: Explainer
) -> None:
    found = await asked(
        road, explainer, loan_point(), Loan(age=90), linear(bias=-2.0, age=0.1), "approve"
    )

    assert found.absent is not None
    assert found.absent[0] == "no-change"
    assert ("age", "Nobody can change their age.") in found.held
    assert "age was not changed: Nobody can change their age." in found.sentences()


async def test_a_rule_that_stands_above_the_score_is_told_and_made_not_to_match(
    road: Road, explainer: Explainer
) -> None:
    rule = Rule[Loan]("too-deep", lambda loan: loan.debts >= 50, "review", "Debts are 50 or more.")
    found = await asked(
        road, explainer, loan_point(rule), Loan(debts=60), linear(bias=-9.0, debts=0.01)
    )

    assert found.ruled == ("too-deep", "Debts are 50 or more.")
    assert 49.7 < float(str(told(found)["debts"])) < 50
    assert found.sentences()[0].startswith("Rule 'too-deep' gives the verdict, whatever the score")


async def test_a_rule_that_no_fact_can_undo_leaves_nothing_to_tell(
    road: Road, explainer: Explainer
) -> None:
    rule = Rule[Loan]("by-note", lambda loan: bool(loan.note), "review", "Somebody wrote a note.")
    found = await asked(
        road, explainer, loan_point(rule), Loan(note="x"), linear(bias=-9.0, debts=0.01), "approve"
    )

    assert found.ruled == ("by-note", "Somebody wrote a note.")
    assert found.absent is not None
    assert found.record()["change"] is None
    assert "note" in {held.fact for held in found.held}


async def test_a_rule_and_the_score_are_turned_together(road: Road, explainer: Explainer) -> None:
    rule = Rule[Loan]("unknown", lambda loan: not loan.is_known, "review", "Nobody knows them.")
    found = await asked(
        road, explainer, loan_point(rule), Loan(debts=40), linear(bias=-2.0, debts=0.1), "approve"
    )

    assert told(found).keys() == {"is_known", "debts"}
    assert found.verdict == "approve"


async def test_a_verdict_that_only_a_rule_gives_is_found_by_its_rule(
    road: Road, explainer: Explainer
) -> None:
    rule = Rule[Loan]("known", lambda loan: loan.is_known, "decline", "We know them.")
    found = await asked(
        road, explainer, loan_point(rule), Loan(), linear(bias=-2.0, debts=0.1), "decline"
    )

    assert told(found) == {"is_known": True}


async def test_what_the_requests_model_refuses_is_never_told(
    road: Road, explainer: Explainer
) -> None:
    rule = Rule[Loan]("rents", lambda loan: loan.tenure == "rents", "review", "They rent.")
    found = await asked(
        road, explainer, loan_point(rule), Loan(), linear(bias=-9.0, debts=0.1), "approve"
    )

    assert told(found).keys() == {"tenure", "savings"}  # owners have savings
    assert (told(found)["tenure"], told(found)["savings"]) == ("owns", 5)


async def test_facts_on_which_a_history_hangs_stay(road: Road, explainer: Explainer) -> None:
    await road.live(linear(bias=-2.0, amount=0.01))
    point = fraud_point(features=["make-history@1"])
    rule = Rule[Claim]("honda", lambda claim: claim.make == "Honda", "review", "A Honda.")
    point.policy = Policy(BANDS, [rule])
    decision = await road.decider.decide(request(point, Claim(amount=Decimal(400))))

    found = await explainer.nearest(decision, point, "approve")

    assert "make" in {held.fact for held in found.held}
    assert "make" not in told(found)


async def test_a_decimal_is_told_as_the_request_has_it(road: Road, explainer: Explainer) -> None:
    await road.live(linear(bias=-2.0, amount=0.01))
    point = fraud_point(policy=Policy(BANDS))
    decision = await road.decider.decide(request(point, Claim(amount=Decimal(400))))

    found = await explainer.nearest(decision, point)

    assert found.changes[0].before == "400"
    assert isinstance(found.changes[0].after, str)
    assert Claim(amount=Decimal(found.changes[0].after)).amount < 200


async def test_a_view_whose_code_is_not_at_hand_leaves_nothing_to_tell(road: Road) -> None:
    await road.live(linear(bias=-2.0, amount=0.01))
    point = fraud_point(features=["make-history@1"])
    decision = await road.decider.decide(request(point))
    explainer = Explainer(road.registry, SystemClock(), budget_ms=60_000)

    found = await explainer.nearest(decision, point)
    explainer.close()

    assert found.absent is not None
    assert found.absent[0] == "not-explainable"


async def test_a_decision_without_a_score_cannot_be_turned(
    road: Road, explainer: Explainer
) -> None:
    point = fraud_point()
    decision = await road.decider.decide(request(point))

    found = await explainer.nearest(decision, point)

    assert found.absent is not None
    assert "rests on no score" in found.absent[1]


async def test_a_verdict_that_the_policy_never_gives_is_refused(
    road: Road, explainer: Explainer
) -> None:
    await road.live()
    point = fraud_point()
    decision = await road.decider.decide(request(point))

    with pytest.raises(InvalidInput, match="'declined' is none of approve, review"):
        await explainer.nearest(decision, point, "declined")


async def test_the_policy_of_today_is_asked(road: Road, explainer: Explainer) -> None:
    await road.live(linear(bias=-1.0, amount=0.001))
    decision = await road.decider.decide(request(fraud_point()))
    stricter = fraud_point(policy=Policy([Band("approve", below=0.1), Band("review", below=1.01)]))

    found = await explainer.nearest(decision, stricter, "review")

    assert (found.verdict, found.changes, found.is_proven) == ("review", (), True)
    assert found.sentences() == ["Under the policy of today the verdict is 'review' as it is."]


class Hasty(SystemClock):
    """Each look at it finds a second gone."""

    def __init__(self) -> None:
        super().__init__()
        self._looks = itertools.count()

    def monotonic_s(self) -> float:
        return float(next(self._looks))


async def test_a_search_ends_with_its_time(road: Road) -> None:
    explainer = Explainer(road.registry, Hasty(), road.features, budget_ms=20_000)
    point = loan_point()
    await road.live(linear(bias=40.0, debts=0.001, savings=0.001), point="loans")
    decision = await road.decider.decide(Request(point, Loan(), "0" * 31 + "1", "tester"))

    found = await explainer.nearest(decision, point, "approve")
    explainer.close()

    assert found.absent is not None
    assert (found.absent[0], "the time was over" in found.absent[1]) == ("not-found", True)
    assert not found.is_proven


async def test_a_search_ends_when_the_process_does(road: Road) -> None:
    explainer = Explainer(road.registry, SystemClock(), road.features, budget_ms=60_000)
    point = loan_point()
    await road.live(linear(bias=40.0, debts=0.001, savings=0.001), point="loans")
    decision = await road.decider.decide(Request(point, Loan(), "0" * 31 + "1", "tester"))
    explainer.close()

    found = await explainer.nearest(decision, point, "approve")
    explainer.close()

    assert found.absent is not None
    assert found.absent[0] == "not-found"


async def test_a_whole_number_that_is_not_known_keeps_no_change_from_being_found(
    road: Road, explainer: Explainer
) -> None:
    point = DecisionPoint("loans", request=Applicant, policy=Policy(BANDS))

    await road.live(linear(bias=-0.5, debts=0.001), point="loans")
    decision = await road.decider.decide(Request(point, Applicant(), "0" * 31 + "1", "tester"))

    nearest = await explainer.nearest(decision, point, "approve")

    assert nearest.absent is None
    assert [change.fact for change in nearest.changes] == ["debts"]


async def test_where_nothing_can_be_otherwise_that_is_told(
    road: Road, explainer: Explainer
) -> None:
    point = DecisionPoint("loans", request=Settled, policy=Policy(BANDS))
    await road.live(linear(bias=0.5, age=0.001), point="loans")
    decision = await road.decider.decide(Request(point, Settled(), "0" * 31 + "1", "tester"))

    nearest = await explainer.nearest(decision, point, "approve")

    assert nearest.absent is not None
    assert nearest.absent[0] in ("no-change", "not-found")
    assert [held.fact for held in nearest.held] == ["age"]
