"""The forecast of arrivals, second by second."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsrail.registry.forecast import Forecast, ForecastLimits

SHORT_DAY = ForecastLimits(season_s=2_400.0, season_bins=24, memory_s=100.0, longest_keep_s=300.0)


def asked(forecast: Forecast, begin_s: int, end_s: int, per_s: int) -> None:
    for second in range(begin_s, end_s):
        forecast.observe(second + 0.5, per_s)


def test_a_model_that_was_never_asked_needs_nothing() -> None:
    assert Forecast(10.0).wanted(0.0, 30.0) == 0


def test_a_steady_rate_needs_its_devices_and_room_for_chance() -> None:
    forecast = Forecast(10.0)
    asked(forecast, 0, 600, 100)

    rate_per_s = forecast.rate_per_s(600.0, 10.0)

    assert rate_per_s == pytest.approx(100 + 2.326 * math.sqrt(100), rel=0.01)
    assert forecast.wanted(600.0, 10.0) == 13


def test_a_burst_is_remembered_between_its_periods_and_then_forgotten() -> None:
    forecast = Forecast(10.0)
    asked(forecast, 0, 60, 1)
    asked(forecast, 60, 80, 50)
    asked(forecast, 80, 300, 1)

    assert forecast.wanted(300.0, 10.0) >= 5
    asked(forecast, 300, 1_000, 1)
    assert forecast.wanted(1_000.0, 10.0) == 1


def test_a_rise_is_followed_within_the_level_s_time() -> None:
    forecast = Forecast(10.0)
    asked(forecast, 0, 100, 10)
    asked(forecast, 100, 160, 100)

    assert forecast.rate_per_s(160.0, 5.0) >= 100


def test_the_morning_is_known_before_it_comes_once_a_day_was_seen() -> None:
    """Silent but for the second half of each day."""
    forecast = Forecast(10.0, SHORT_DAY)
    for day in range(3):
        begin_s = 2_400 * day
        before = forecast.wanted(begin_s + 1_190.0, 5.0), forecast.wanted(begin_s + 1_190.0, 20.0)
        asked(forecast, begin_s + 1_200, begin_s + 2_400, 80)

        assert before == ((0, 0) if day < 1 else (0, before[1]))
    assert before[1] >= 8


def test_the_day_s_pattern_lifts_today_s_own_level() -> None:
    """On a busier day than usual, the evening's rise is expected of that day."""
    forecast = Forecast(1.0, SHORT_DAY)
    for day, busy in ((0, 1), (1, 1), (2, 3)):
        begin_s = 2_400 * day
        asked(forecast, begin_s, begin_s + 1_200, 10 * busy)
        if day == 2:
            break
        asked(forecast, begin_s + 1_200, begin_s + 2_400, 40 * busy)

    assert forecast.rate_per_s(2 * 2_400 + 1_199.0, 30.0) >= 3 * 40


def test_the_last_place_stays_warm_as_long_as_pauses_last() -> None:
    forecast = Forecast(10.0, ForecastLimits(memory_s=60.0))
    for number in range(40):
        forecast.observe(100.0 * number, 1)

    assert forecast.wanted(3_900.0 + 99.0, 5.0) == 1
    assert forecast.wanted(3_900.0 + 400.0, 5.0) == 0


def test_before_pauses_are_known_the_last_place_stays_warm_the_longest_time() -> None:
    forecast = Forecast(10.0)
    forecast.observe(0.0, 1)

    assert forecast.wanted(1_200.0, 5.0) == 1
    assert forecast.wanted(1_201.0, 5.0) == 0


def test_a_silence_of_years_costs_nothing_and_says_nothing() -> None:
    forecast = Forecast(10.0)
    asked(forecast, 0, 60, 100)

    assert forecast.wanted(1e9, 10.0) == 0


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.0, 5_000.0), st.integers(0, 500)), max_size=80),
    st.floats(0.1, 5_000.0),
)
def test_a_forecast_is_finite_and_never_falls_when_it_looks_further(
    steps: list[tuple[float, int]], horizon_s: float
) -> None:
    forecast, now_s = Forecast(7.0, SHORT_DAY), 0.0
    for gap_s, count in steps:
        now_s += gap_s
        forecast.observe(now_s, count)

        near, far = forecast.wanted(now_s, horizon_s), forecast.wanted(now_s, 2 * horizon_s)
        assert 0 <= near <= far
        assert near >= (count > 0)
        assert math.isfinite(forecast.rate_per_s(now_s, horizon_s))
