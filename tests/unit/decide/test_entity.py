"""Whose request it is: one entity meets one arm of a canary, and keeps it while the share grows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsrail.errors import InvalidInput
from opsrail.registry.rollout import Stage, is_in_canary
from tests.support.decisions import Claim, Road, fraud_point, linear, request


def by_make(facts: Claim) -> str:
    return facts.make


async def arms(road: Road, point: Any, makes: range) -> dict[int, set[int]]:
    """Return the versions that answered each make, asked five times by five callers."""
    met: dict[int, set[int]] = {number: set() for number in makes}
    for caller in range(5):
        for number in makes:
            asked = request(
                point, Claim(make=f"make {number}"), correlation_id=f"{caller:016x}{number:016x}"
            )
            decision = await road.decider.decide(asked)
            assert decision.model is not None
            met[number].add(decision.model.number)
    return met


async def test_one_entity_meets_one_arm_and_stays_in_the_canary_when_its_share_grows() -> None:
    road = Road()
    point = fraud_point(entity=by_make)
    await road.store.open()
    await road.live()
    canary = await road.registered(linear(bias=2.0))
    before: set[int] = set()
    for share in (0.1, 0.3, 0.7, 1.0):
        await road.promoted(canary, Stage.CANARY, share=share)
        met = await arms(road, point, range(60))

        assert all(len(numbers) == 1 for numbers in met.values())
        inside = {number for number, numbers in met.items() if canary.number in numbers}
        assert before <= inside
        assert abs(len(inside) - 60 * share) <= 15
        before = inside


async def test_without_an_entity_each_request_is_drawn_by_itself() -> None:
    road = Road()
    await road.store.open()
    await road.live()
    await road.promoted(await road.registered(linear(bias=2.0)), Stage.CANARY, share=0.5)

    met = await arms(road, fraud_point(), range(20))

    assert any(len(numbers) == 2 for numbers in met.values())


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_who_is_in_a_small_canary_is_in_a_larger_one(key: str, one: float, other: float) -> None:
    small, large = sorted((one, other))

    assert not is_in_canary("p", key, small) or is_in_canary("p", key, large)


def test_a_key_that_is_no_proper_text_has_an_arm_too() -> None:
    assert is_in_canary("p", "\ud800", 1.0)
    assert not is_in_canary("p", "\ud800", 0.0)


@pytest.mark.parametrize(
    "entity",
    [lambda facts: facts.nothing, lambda facts: "", lambda facts: None, lambda facts: True],
)
async def test_an_entity_that_cannot_be_told_falls_back_and_says_so(entity: Any) -> None:
    road = Road()
    await road.store.open()
    await road.live()
    point = fraud_point(entity=entity, fallback=lambda facts: "review")

    decision = await road.decider.decide(request(point))

    assert (decision.score, decision.verdict) == (None, "review")
    assert decision.degraded_why == "author-error"


async def test_a_number_is_an_entity() -> None:
    assert fraud_point(entity=lambda facts: facts.age).entity_of(Claim(age=40), "c") == "40"


def test_who_is_asked_is_no_part_of_what_a_score_means() -> None:
    with_entity = fraud_point(entity=by_make, labels={"fraud": {"decline": 1}})

    assert with_entity.policy_version == fraud_point().policy_version


async def no_function(facts: Claim) -> str:
    return facts.make


def test_faults_of_entity_and_labels_are_told_at_once() -> None:
    labels: Any = {"Fraud!": {"decline": 1}, "empty": {}, "paid": {"review": 1, "late": "x"}}
    with pytest.raises(InvalidInput) as refused:
        fraud_point(entity=no_function, labels=labels)

    assert [fault.place for fault in refused.value.faults] == [
        "entity",
        "labels",
        "labels.empty",
        "labels.paid",
        "labels.paid.late",
    ]
