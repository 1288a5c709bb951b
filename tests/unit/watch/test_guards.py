"""What a guard and its steps may say: every fault at once, and read back as written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsrail.errors import InvalidInput
from opsrail.values.guarantees import guarantee_of
from opsrail.values.guards import (
    GuardSpec,
    StepPlan,
    checked,
    guard_from,
    guard_of,
    guard_text,
    steps_from,
    steps_of,
    steps_text,
)
from opsrail.watch.evidence import Evidence


def places(found: object) -> set[str]:
    with pytest.raises(InvalidInput) as refused:
        guard_of(found)
    return {fault.place for fault in refused.value.faults}


def test_steps_are_read_as_people_write_them() -> None:
    assert steps_of("5%:10m, 25%:0.5h,50%:1d") == (
        StepPlan(0.05, 600.0),
        StepPlan(0.25, 1800.0),
        StepPlan(0.5, 86_400.0),
    )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "steps"),
        ("5:10m", "steps"),
        ("5%", "steps"),
        ("5%:10", "steps"),
        ("0%:1m", "steps.0.share"),
        ("100%:1m", "steps.0.share"),
        ("50%:1m,20%:1m", "steps.1.share"),
        ("5%:91d", "steps.0.hold_s"),
        (",".join(f"{share}%:1s" for share in range(1, 23)), "steps"),
    ],
)
def test_steps_that_cannot_be_walked_are_refused(text: str, place: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        steps_of(text)
    assert place in {fault.place for fault in refused.value.faults}


@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=20, unique=True), st.floats(0, 1e6))
def test_steps_are_read_back_as_they_were_written(shares: list[float], hold_s: float) -> None:
    steps = checked([StepPlan(share, hold_s) for share in sorted(shares)])

    assert steps_from(steps_text(steps)) == steps


@pytest.mark.parametrize(
    ("found", "place"),
    [
        ({"no_such": 1}, "no_such"),
        ({"false_alarm_ratio": 0.9}, "false_alarm_ratio"),
        ({"no_score": {}}, "no_score"),
        ({"latency": {"p99_ms": -1}}, "latency.p99_ms"),
        ({"latency": {"limit": 0.1}}, "latency.limit"),
        ({"cost": {"most_usd": 1.0}}, "cost"),
        ({"cost": {"most_usd": 1.0, "limit_usd": 2.0}}, "cost"),
        ({"disagreement": {"margin": 0.1}}, "guard"),
        ({"disagreement": {"limit": 0.1, "margin": 0.1}}, "guard"),
        ({"outcomes": [{"name": "fraud"}]}, "outcomes.0"),
        ({"outcomes": [{"name": "Fraud", "limit": 0.1}]}, "outcomes.0.name"),
        ({"outcomes": [{"name": "hours", "low": 5, "high": 1, "limit": 2}]}, "outcomes.0"),
        ({"outcomes": [{"name": "hours", "limit": 2}]}, "outcomes.0"),
        ({"outcomes": [{"name": "hours", "margin": 2}]}, "outcomes.0"),
        ({"outcomes": [{"name": "fraud", "limit": 0.1}] * 2}, "guard"),
        ([], "guard"),
    ],
)
def test_a_guard_that_says_nothing_or_too_much_is_refused(found: object, place: str) -> None:
    assert places(found) == {place}


def test_all_that_is_wrong_with_a_guard_is_told_at_once() -> None:
    assert places({"watch_s": -1, "least_count": 0, "cost": {"most_usd": 0}, "x": 1}) == {
        "watch_s",
        "least_count",
        "cost.most_usd",
        "x",
    }


def test_a_guard_is_read_back_as_it_was_written() -> None:
    spec = guard_of(
        {
            "latency": None,
            "outcomes": [{"name": "hours", "worse": "lower", "high": 9.0, "limit": 2}],
        }
    )

    assert guard_from(guard_text(spec)) == spec
    assert guard_from("{}") == GuardSpec()
    with pytest.raises(InvalidInput):
        guard_from("{")


def test_the_rate_is_split_over_as_many_tests_as_there_are_limits() -> None:
    spec: dict[str, Any] = {
        "no_score": {"limit": 0.1, "margin": 0.01}, "fallback": None, "latency": {"p99_ms": 50, "margin": 0.02},
        "outcomes": [{"name": "fraud", "limit": 0.1}],
    }  # fmt: skip
    evidence = Evidence(guard_of(spec))

    assert len(evidence.readings()) == 5
    assert evidence.needed == pytest.approx(5 / 0.05)


@pytest.mark.parametrize(
    ("found", "place"),
    [
        ({"limit": 0.1}, "outcome"),
        ({"outcome": "fraud"}, "limit"),
        ({"outcome": "fraud", "limit": 1.0}, "limit"),
        ({"outcome": "fraud", "limit": 0.1, "confidence": 0.2}, "confidence"),
    ],
)
def test_a_guarantee_that_cannot_be_watched_is_refused(found: object, place: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        guarantee_of(found)
    assert {fault.place for fault in refused.value.faults} == {place}


def test_a_guarantee_may_say_more_than_is_watched() -> None:
    told = {"outcome": "fraud", "limit": 0.01, "among": "approve", "bound": 0.008, "seed": 1}

    assert guarantee_of(told).label == "fraud among approve <= 0.01"
