"""Live figures: what is counted, how exactly, and what is forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsrail.decide.figures import (
    MOST_US,
    PLACES,
    SLICE_S,
    TOGETHER,
    Figures,
    middle_us,
    place_of,
    spent_of,
)
from opsrail.values.decisions import Decision
from tests.support.decisions import Road, fraud_point, request

STAGES = {"route": 0.002, "features": 0.02, "score": 3.0, "verdict": 0.004}


@pytest.fixture
async def decision(road: Road) -> Decision:
    await road.live()
    made = await road.decider.decide(request(fraud_point()))
    return replace(made, latency_ms={**STAGES, "total": 4.0}, cost_usd=0.25)


@given(st.integers(0, MOST_US))
def test_a_bucket_is_within_seven_percent_of_what_fell_into_it(us: int) -> None:
    place = place_of(us)

    assert 0 <= place < PLACES
    assert abs(middle_us(place) - us) <= 0.07 * us


@given(st.integers(0, MOST_US - 1))
def test_longer_times_never_fall_into_lower_buckets(us: int) -> None:
    assert place_of(us) <= place_of(us + 1) <= place_of(us) + 1


@pytest.mark.parametrize("us", [-1, MOST_US + 1, 10**18])
def test_a_time_beyond_all_bounds_still_has_a_bucket(us: int) -> None:
    assert 0 <= place_of(us) < PLACES


@settings(max_examples=50)
@given(st.lists(st.integers(1, 10_000_000), min_size=1, max_size=300))
def test_percentiles_are_those_of_the_sorted_times(times: list[int]) -> None:
    counts: dict[int, int] = {}
    for us in times:
        counts[place_of(us)] = counts.get(place_of(us), 0) + 1
    ordered = sorted(times)

    told = spent_of(counts)

    ranks = [-(-len(times) * percent // 100) - 1 for percent in (50, 95, 99)]
    truth = [ordered[rank] / 1000 for rank in ranks]
    assert [told.p50, told.p95, told.p99] == pytest.approx(truth, rel=0.07)


async def test_what_a_record_does_not_tell_is_reckoned_from_the_clock(decision: Decision) -> None:
    figures = Figures(100.0)
    figures.add(decision, 100.0, 100.010)

    spent = figures.windows(101.0)[10].latency_ms

    assert spent["score"].p50 == pytest.approx(3.0, rel=0.07)
    assert spent["request"].p50 == pytest.approx(4.0 - sum(STAGES.values()), rel=0.07)
    assert spent["record"].p50 == pytest.approx(6.0, rel=0.07)
    assert spent["total"].p99 == pytest.approx(10.0, rel=0.07)


async def test_a_window_holds_its_seconds_and_no_more(decision: Decision) -> None:
    figures = Figures(0.0)
    for second in range(400):
        figures.add(decision, float(second), second + 0.5)

    told = figures.windows(400.0)

    assert [told[length].decisions for length in (10, 60, 300)] == [8, 58, 298]
    assert [told[length].seconds for length in (10, 60, 300)] == [8, 58, 298]
    assert {round(window.per_s, 6) for window in told.values()} == {1.0}
    assert told[60].cost_usd == pytest.approx(58 * 0.25)


async def test_decisions_counted_together_come_to_the_same_as_one_by_one(
    decision: Decision,
) -> None:
    together, alone = Figures(0.0), Figures(0.0)
    for number in range(2 * TOGETHER + 3):
        whole_s = number % 7 / 1000
        made = replace(decision, point=f"point-{number % 2}", cost_usd=number / 8)
        for figures in (together, alone):
            figures.add(made, 0.0, whole_s)
        alone.windows(whole_s)

    assert together.windows(1.0) == alone.windows(1.0)
    assert together.windows(1.0)[10].decisions == 2 * TOGETHER + 3


async def test_what_is_older_than_the_longest_window_is_forgotten_whole(decision: Decision) -> None:
    figures = Figures(0.0)
    figures.add(decision, 0.0, 1.0)

    assert figures.windows(299.0, "fraud-risk")[300].decisions == 1
    gone = figures.windows(301.0)[300]
    assert (gone.decisions, gone.latency_ms, gone.verdicts, figures.points) == (0, {}, {}, ())


async def test_points_are_told_apart_and_together(decision: Decision) -> None:
    figures = Figures(0.0)
    late = replace(
        decision, point="other", verdict="review", degraded=True, degraded_why="deadline-passed"
    )
    for cache in ("hit", "miss", "shared", "off"):
        figures.add(replace(decision, cache=cache), 0.0, 0.1)
    figures.add(late, SLICE_S, SLICE_S + 0.1)

    together = figures.windows(3.0)[10]
    other = figures.windows(3.0, "other")[10]

    assert figures.points == ("fraud-risk", "other")
    assert together.verdicts == {"approve": 4, "review": 1}
    assert together.degraded == other.degraded == {"deadline-passed": 1}
    assert together.cache == {"off": 2, "hit": 1, "miss": 1, "shared": 1}
    assert together.hit_ratio == pytest.approx(2 / 3)
    assert other.hit_ratio is None


async def test_a_process_that_is_young_tells_its_rate_by_its_age(decision: Decision) -> None:
    figures = Figures(1_000.0)
    for _ in range(30):
        figures.add(decision, 1_000.0, 1_000.5)

    window = figures.windows(1_003.0)[300]

    assert (window.seconds, window.per_s) == (3.0, 10.0)


async def test_no_time_whatever_it_is_stops_a_decision(decision: Decision) -> None:
    figures = Figures(0.0)
    for spent_ms in (-1e9, -0.001, 0.0, 1e12):
        odd = replace(decision, latency_ms={"route": spent_ms, "new-stage": 1.0})
        figures.add(odd, 5.0, spent_ms)

    assert figures.windows(1e10)[10].decisions == 1


async def test_the_road_counts_what_it_records_once(road: Road) -> None:
    await road.live()
    for _ in range(3):
        await road.decider.decide(request(fraud_point(), idempotency_key="k"))

    window = road.decider.figures.windows(road.clock.monotonic_s())[10]

    assert (window.decisions, window.verdicts) == (1, {"approve": 1})
    assert set(window.latency_ms) == {*STAGES, "request", "record", "total"}
