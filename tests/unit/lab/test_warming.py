"""Warm in time: the forecast against the other policies, on real arrivals, and how devices are shared out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsrail.lab import Devices, Line, Model, Point, Policy, Replay, Report, Scenario, simulate
from opsrail.lab.warming import Reactive, apportioned, capacity_per_s

CODE = (
    Path(__file__).parents[3]
    / "bench/data/arrivals_azure_llm_2023/AzureLLMInferenceTrace_code.csv.gz"
)


def judged(prewarm: str) -> Report:
    """Return what a policy makes of the bursty trace, an hour of it."""
    return simulate(
        Scenario.model_validate(
            {
                "duration_s": 3_400.0,
                "arrivals": Replay(file=CODE),
                "points": (Point(name="ask", model="m", deadline_ms=2_000, slo_ms=1_000),),
                "models": (
                    Model(name="m", load_s=10, service={"cpu": Line(fixed_ms=20, row_ms=20)}),
                ),
                "devices": (Devices(name="cpu", count=20, cost_usd_per_s=1e-5),),
                "policy": Policy.model_validate({"max_batch": 8, "prewarm": prewarm}),
            }
        )
    )


def test_on_bursty_real_arrivals_the_forecast_spares_most_cold_starts_for_a_fifth_more_cost() -> (
    None
):
    reactive, forecast = judged("reactive"), judged("forecast")

    assert forecast.whole.cold < reactive.whole.cold / 10
    assert forecast.whole.good_ratio > 0.98 > 0.95 > reactive.whole.good_ratio
    assert forecast.cost_usd < 1.3 * reactive.cost_usd


def test_the_reactive_policy_counts_the_last_half_minute_and_keeps_one_for_a_while() -> None:
    reactive = Reactive(10.0, keep_s=60.0)

    assert reactive.wanted(0.0, 1.0) == 0
    for second in range(60):
        reactive.observe(float(second), 35)
    assert reactive.wanted(60.0, 1.0) == 4
    assert reactive.wanted(100.0, 1.0) == 1
    assert reactive.wanted(120.0, 1.0) == 0


def test_the_capacity_of_a_device_is_that_of_the_batch_that_leaves_time() -> None:
    line = Line(fixed_ms=10, row_ms=1, noise_ratio=0)

    assert capacity_per_s(line, 64, 1.0) == pytest.approx(64 / 0.074)
    assert capacity_per_s(line, 64, 0.04) == pytest.approx(10 / 0.02)
    assert capacity_per_s(line, 64, 0.001) == pytest.approx(1 / 0.011)


@given(
    st.lists(st.none() | st.floats(0.0, 100.0), min_size=1, max_size=8),
    st.integers(0, 40),
    st.integers(1, 20),
)
def test_seats_are_given_to_who_can_use_them_and_everyone_gets_one_first(
    demand: list[float | None], seats: int, most: int
) -> None:
    given_seats = apportioned(demand, seats, most)
    able = [place for place, worth in enumerate(demand) if worth is not None]

    assert sum(given_seats) == min(seats, most * len(able))
    assert all(given_seats[place] == 0 for place in range(len(demand)) if place not in able)
    assert all(count <= most for count in given_seats)
    if seats >= len(able):
        assert all(given_seats[place] >= 1 for place in able)
