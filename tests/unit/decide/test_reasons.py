"""Which features moved a score: recorded with a decision when its point asks, and told on demand."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from opsrail.clock import SystemClock
from opsrail.decide.decider import Decider
from opsrail.decide.explainer import Explainer
from opsrail.decide.policy import Band, Policy
from opsrail.decide.reasons import reason_codes
from opsrail.errors import InvalidInput
from opsrail.values.decisions import Decision
from opsrail.values.explanations import Contributions
from tests.support.decisions import Claim, Road, fraud_point, linear, request

POLICY: Policy[Any] = Policy(bands=[Band("approve", below=0.5), Band("review", below=1.01)])


class Applicant(BaseModel):
    age: Annotated[int, Field(title="Age in years")] = 40
    debts: float = 0.0


def told(**parts: float) -> Contributions:
    return Contributions("exact-tree", "log-odds", "reference", -1.0, parts, {"age": 30})


def codes_of(score: float, most: int = 3, **parts: float) -> list[str]:
    row = {"age": 21, "debts": 0.5}
    found = reason_codes(told(**parts), row, Applicant, POLICY, score, most)
    return [code.code for code in found.codes]


def test_above_the_first_limit_what_raised_the_score_is_named_first_what_weighed_most() -> None:
    assert codes_of(0.7, age=0.5, debts=2.0, other=-3.0) == ["debts-raised", "age-raised"]


def test_below_the_first_limit_what_lowered_it_is_named() -> None:
    assert codes_of(0.2, age=-0.5, debts=2.0) == ["age-lowered"]


def test_no_more_codes_than_asked_for_and_none_that_moved_nothing() -> None:
    assert codes_of(0.7, 1, age=0.5, debts=0.4) == ["age-raised"]
    assert codes_of(0.7, age=0.0, debts=0.0) == []


def test_a_truth_and_what_is_typical_of_it_are_told_as_yes_and_no() -> None:
    typical = {"is_new": 0, "is_paid": 1}
    parts = {"is_new": 0.5, "is_paid": 0.1}
    told = Contributions("exact-tree", "log-odds", "reference", -1.0, parts, typical)
    found = reason_codes(told, {"is_new": True, "is_paid": True}, Applicant, POLICY, 0.7, 3)

    assert [(code.value, code.text) for code in found.codes] == [
        (True, "is_new is yes (typical: no), which raised the score."),
        (True, "is_paid is yes, which raised the score."),
    ]


def test_a_codes_text_can_stand_in_a_notice() -> None:
    row = {"age": 21, "debts": None}
    found = reason_codes(told(age=0.5, debts=0.1), row, Applicant, POLICY, 0.7, 3)

    assert [code.text for code in found.codes] == [
        "Age in years is 21 (typical: 30), which raised the score.",
        "debts is not known, which raised the score.",
    ]
    assert (found.method, found.against, found.codes[0].contribution) == (
        "exact-tree",
        "reference",
        0.5,
    )


async def test_a_point_that_asks_records_reason_codes(road: Road) -> None:
    await road.live(linear(bias=-2.0, amount=0.01, age=0.05))
    point = fraud_point(reason_codes=2)

    decision = await road.decider.decide(request(point, Claim.model_validate({"amount": "400"})))

    codes = decision.reason_codes
    assert codes is not None
    assert codes.baseline is not None
    assert (codes.method, codes.space, codes.against) == ("approximate", "log-odds", "missing")
    assert [(code.code, code.value) for code in codes.codes] == [
        ("amount-raised", 400.0),
        ("age-raised", 40),
    ]
    assert [code.contribution for code in codes.codes] == pytest.approx([4.0, 2.0])
    assert codes.baseline == pytest.approx(-2.0)
    assert "reasons" in decision.latency_ms
    assert Decision.from_record(decision.record()) == decision


async def test_a_point_that_does_not_ask_pays_nothing(road: Road) -> None:
    await road.live()

    decision = await road.decider.decide(request(fraud_point()))

    assert decision.reason_codes is None
    assert road.runtime.batches == [1]
    assert "opsrail-reasons" not in {thread.name for thread in threading.enumerate()}


async def test_without_a_score_there_are_no_reason_codes(road: Road) -> None:
    decision = await road.decider.decide(request(fraud_point(reason_codes=3)))

    assert decision.reason_codes is not None
    assert (decision.reason_codes.absent, decision.reason_codes.codes) == ("no-score", ())


async def test_reason_codes_that_come_too_late_are_marked_absent() -> None:
    road = Road()
    await road.store.open()
    road.decider = Decider(road.store, road.registry, road.features, SystemClock())
    await road.live()
    await road.registry.warm()
    release = threading.Event()

    def hang_on_walks(rows: Sequence[Mapping[str, object]]) -> None:
        if len(rows) > 1:
            release.wait(60)

    road.runtime.before = hang_on_walks
    decision = await road.decider.decide(request(fraud_point(reason_codes=3, deadline_ms=1_500)))
    release.set()

    assert decision.reason_codes is not None
    assert decision.reason_codes.absent == "deadline-passed"
    assert (decision.verdict, decision.degraded) == ("approve", False)
    road.decider.close()
    await road.store.close()


@pytest.mark.parametrize("count", [-1, 11])
def test_a_number_of_reason_codes_out_of_bounds_is_refused(count: int) -> None:
    with pytest.raises(InvalidInput, match="reason_codes"):
        fraud_point(reason_codes=count)


async def test_contributions_are_told_of_a_recorded_decision(road: Road) -> None:
    await road.live(linear(bias=-2.0, amount=0.01, age=0.05))
    point = fraud_point()
    decision = await road.decider.decide(request(point))
    explainer = Explainer(road.registry, SystemClock(), budget_ms=60_000)

    found = await explainer.contributions(decision, point)
    explainer.close()

    assert found.absent is None
    assert found.contributions is not None
    assert found.contributions.score == pytest.approx(decision.score)
    assert [code.feature for code in found.codes] == ["age", "amount"]
    assert found.record()["contributions"]["method"] == "approximate"


async def test_without_the_code_a_request_whose_types_matter_is_not_explained(road: Road) -> None:
    await road.live(linear(bias=-2.0, amount=0.01))
    decision = await road.decider.decide(request(fraud_point()))
    explainer = Explainer(road.registry, SystemClock(), budget_ms=60_000)

    found = await explainer.contributions(decision)
    explainer.close()

    assert found.contributions is None
    assert found.absent is not None
    assert found.absent[0] == "not-explainable"
    assert "give the automation's file" in found.absent[1]


async def test_a_decision_without_a_score_has_no_contributions(road: Road) -> None:
    point = fraud_point()
    decision = await road.decider.decide(request(point))
    explainer = Explainer(road.registry, SystemClock(), budget_ms=60_000)

    found = await explainer.contributions(decision, point)
    explainer.close()

    assert found.absent is not None
    assert "rests on no score (model-unavailable)" in found.absent[1]
    assert found.record()["contributions"] is None
