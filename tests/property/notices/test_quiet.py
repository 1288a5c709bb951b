"""Quiet hours on every day of years in which clocks are put forward and back."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from opsrail.errors import InvalidInput
from opsrail.notices.quiet import quiet_until

ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "America/Sao_Paulo",
    "UTC",
]
MOMENTS = some.integers(1_577_836_800_000, 1_893_456_000_000)
"""2020 to 2029, epoch ms."""


def wall(at_ms: int, zone: str) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(zone))


@given(MOMENTS, some.sampled_from(ZONES))
def test_a_night_is_quiet_by_the_clock_on_the_wall_and_ends_when_it_says_so(
    now_ms: int, zone: str
) -> None:
    until_ms = quiet_until("22:00-07:00", now_ms, zone)
    now = wall(now_ms, zone)
    is_night = now.time() >= time(22) or now.time() < time(7)

    assert (until_ms is not None) == is_night
    if until_ms is not None:
        assert now_ms < until_ms <= now_ms + 10 * 3_600_000 + 3_600_000
        assert wall(until_ms, zone).time() == time(7)
        assert quiet_until(f"22:00-07:00 {zone}", until_ms) is None


@given(MOMENTS, some.sampled_from(ZONES), some.integers(0, 1439), some.integers(0, 1439))
def test_quiet_ends_after_it_began_and_is_over_then(
    now_ms: int, zone: str, begins: int, ends: int
) -> None:
    if begins == ends:
        return
    text = f"{begins // 60:02d}:{begins % 60:02d}-{ends // 60:02d}:{ends % 60:02d}"
    until_ms = quiet_until(text, now_ms, zone)
    if until_ms is None:
        return
    assert now_ms < until_ms <= now_ms + int(timedelta(hours=26).total_seconds() * 1000)
    assert quiet_until(text, until_ms, zone) is None


def test_weekends_that_follow_one_another_are_one_quiet_and_silence_without_end_is_none() -> None:
    friday_ms = round(datetime(2026, 1, 2, 23, tzinfo=UTC).timestamp() * 1000)
    text = "22:00-07:00, Sat-Sun 00:00-24:00 UTC"
    until_ms = quiet_until(text, friday_ms)

    assert until_ms is not None
    assert wall(until_ms, "UTC") == datetime(2026, 1, 5, 7, tzinfo=UTC)
    assert quiet_until("00:00-24:00 UTC", friday_ms) is None
    assert quiet_until("", friday_ms) is None


@pytest.mark.parametrize(
    "text", ["22:00-07:00", "at night UTC", "22:00-07:00 Mars/Olympus", "25:00-07:00 UTC"]
)
def test_what_tells_no_hours_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        quiet_until(text, 0)
