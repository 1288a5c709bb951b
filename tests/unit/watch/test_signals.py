"""What a decision, a ruling and an outcome say of the version that made it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsrail.registry.rollout import is_in_canary
from opsrail.values.guards import Outcome
from opsrail.values.outcomes import OutcomeRow
from opsrail.watch.entities import arm_key_of
from opsrail.watch.signals import (
    CANDIDATE,
    CHAMPION,
    Arms,
    Quantile,
    arm_of,
    is_drawn,
    is_override,
    scaled,
    seen,
)
from tests.support.decided import POINT, START_MS, decision
from tests.support.decisions import fraud_point
from tests.support.rulings import ruled

ARMS = Arms(("fraud", 1), ("fraud", 2), 0.3)
BY_LIVE = [{"what": "live", "model": "fraud/1", "why": "breaker-open"}]
BY_STANDBY = [{"what": "standby", "model": "fraud/3", "why": "breaker-open"}]
BY_POOL = [{"what": "pool", "model": "fraud/2 in gpu", "why": "bulkhead-full"}]
BY_FALLBACK = [{"what": "fallback", "model": None, "why": "deadline-passed"}]


def whose(number: int | None, arms: Arms = ARMS, **given: Any) -> int | None:
    row = decision(START_MS, 7, model=None if number is None else ("fraud", number), **given)
    return arm_of(row, json.loads(row.record), arms)


@pytest.mark.parametrize(
    ("number", "given", "arm"),
    [
        (1, {}, CHAMPION),
        (2, {}, CANDIDATE),
        (9, {}, None),
        (None, {}, None),
        (1, {"steps": BY_LIVE}, CANDIDATE),
        (2, {"steps": BY_POOL}, CANDIDATE),
        (2, {"steps": BY_FALLBACK, "score": None}, CANDIDATE),
        (2, {"steps": [*BY_LIVE, *BY_FALLBACK], "score": None}, CANDIDATE),
        (1, {"steps": [*BY_STANDBY, *BY_FALLBACK], "score": None}, CHAMPION),
    ],
)
def test_a_decision_is_of_the_version_that_was_asked_first(
    number: int | None, given: dict[str, Any], arm: int | None
) -> None:
    assert whose(number, **given) == arm


@pytest.mark.parametrize("case_id", [f"case-{number}" for number in range(6)])
def test_where_a_third_version_stood_in_the_canary_s_choice_is_made_again(case_id: str) -> None:
    chosen = is_in_canary(POINT, case_id, ARMS.share)

    assert whose(3, steps=BY_STANDBY, case_id=case_id) == (CANDIDATE if chosen else CHAMPION)


def test_once_live_every_stand_in_stood_in_for_the_candidate() -> None:
    assert whose(3, ARMS._replace(share=1.0), steps=BY_STANDBY) == CANDIDATE


def test_a_kept_score_says_nothing_of_latency_and_cost() -> None:
    kept = seen(decision(START_MS, 1, model=("fraud", 2), cache="hit"), ARMS)
    asked = seen(decision(START_MS, 1, model=("fraud", 2), cache="miss", cost_usd=0.5), ARMS)

    assert kept is not None
    assert asked is not None
    assert (kept.latency_us, kept.cost_usd) == (None, None)
    assert (asked.latency_us, asked.cost_usd) == (5_000, 0.5)


@pytest.mark.parametrize(
    ("verdict", "ruling", "record", "found"),
    [
        ("decline", "decline", {}, False),
        ("decline", "approve", {}, True),
        ("review", "approve", {"verdict": "review"}, None),
        ("review", "approve", {"proposed": "decline", "verdict": "review"}, True),
        ("review", "decline", {"proposed": "decline", "verdict": "review"}, False),
    ],
)
def test_an_override_is_a_ruling_against_what_policy_said(
    verdict: str, ruling: str, record: dict[str, str], found: bool | None
) -> None:
    assert is_override(ruled("d", verdict, ruling, 1), record) is found
    assert is_override(ruled("d", verdict, ruling, 1)._replace(ruled_by="expiry"), record) is None


@given(st.floats(-100, 100))
def test_an_outcome_is_worst_at_one_whichever_way_it_counts(value: float) -> None:
    higher = Outcome(name="hours", low=0, high=10, limit=5)
    lower = Outcome(name="hours", low=0, high=10, limit=5, worse="lower")

    assert 0 <= scaled(higher, value) <= 1
    assert scaled(higher, value) + scaled(lower, value) == pytest.approx(1)


def test_outcomes_are_drawn_so_that_every_decision_had_the_same_chance() -> None:
    def drawn(ratio: float, floor: float) -> int:
        rows = [
            OutcomeRow("", f"d{n}", "fraud", 1.0, "audit", ratio, "ann", 1, 1) for n in range(4_000)
        ]
        return sum(is_drawn(row, floor) for row in rows)

    assert drawn(0.1, 0.1) == 4_000
    assert drawn(1.0, 0.1) == pytest.approx(400, abs=80)
    assert drawn(0.2, 0.1) == pytest.approx(2_000, abs=150)


@given(st.lists(st.integers(1, 10**7), min_size=200, max_size=600))
def test_the_quantile_is_at_most_a_bin_above_the_true_one(numbers: list[int]) -> None:
    quantile = Quantile()
    quantile.add(numbers)
    read = Quantile(quantile.state()).read()

    assert read is not None
    beyond = sum(number > read for number in numbers)
    assert beyond <= len(numbers) / 100
    true = sorted(numbers)[-(len(numbers) // 100) - 1]
    assert read <= true * 2 ** (1 / 8) + 1e-9


def test_there_is_no_quantile_before_there_are_enough_numbers() -> None:
    quantile = Quantile()
    quantile.add([5] * 199)

    assert quantile.read() is None


@pytest.mark.parametrize("make", [f"make-{number}" for number in range(5)])
def test_the_choice_is_made_again_by_the_entity_that_the_point_names(make: str) -> None:
    point = fraud_point(entity=lambda claim: claim.make)
    facts = {"make": make, "amount": "1", "age": 3}
    row = decision(START_MS, 7, model=("fraud", 3), steps=BY_STANDBY, features=[{"values": facts}])
    chosen = is_in_canary(POINT, make, ARMS.share)

    found = arm_of(row, json.loads(row.record), ARMS, arm_key_of({POINT: point}))

    assert found == (CANDIDATE if chosen else CHAMPION)


@pytest.mark.parametrize("features", [[], [{"values": {"make": 7}}]])
def test_a_record_that_the_code_cannot_read_any_more_goes_by_its_case(features: list[Any]) -> None:
    point = fraud_point(entity=lambda claim: claim.make)
    record = {"case_id": "case-1", "correlation_id": "c", "features": features}

    assert arm_key_of({POINT: point})(POINT, record) == "case-1"
    assert arm_key_of({})(POINT, record) == "case-1"
