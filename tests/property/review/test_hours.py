"""Working hours hold through changes of the clock: spans add up, and as much time passes as was asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from opsrail.review.hours import hours_of

HOUR_MS = 3_600_000
YEAR_MS = 365 * 24 * HOUR_MS
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC")
STRETCHES = ("Mon-Fri 08:00-18:00", "Sun 01:00-04:00", "Sat-Mon 22:00-06:00", "Mon-Sun 00:00-24:00")
STARTS = st.integers(1_767_225_600_000, 1_767_225_600_000 + YEAR_MS)  # 2026, through both changes
SPANS = st.integers(0, 30 * HOUR_MS)
TEXTS = st.builds(
    lambda parts, zone: f"{', '.join(parts)} {zone}",
    st.lists(st.sampled_from(STRETCHES), min_size=1, max_size=2, unique=True),
    st.sampled_from(ZONES),
)


@given(TEXTS, STARTS, SPANS, SPANS)
@settings(max_examples=150, deadline=None)
def test_spans_add_up_and_measure_what_was_asked(text: str, start: int, a: int, b: int) -> None:
    hours = hours_of(text)
    end = hours.after_ms(start, a)

    assert end >= start
    assert hours.between_ms(start, end) == a
    assert hours.after_ms(end, b) == hours.after_ms(start, a + b) or b == 0


def test_a_day_when_the_clock_is_put_back_has_an_hour_more() -> None:
    night = hours_of("Sun 01:00-04:00 Europe/Berlin")
    lengths = []
    for day in ("2026-03-22", "2026-03-29", "2026-10-25"):
        begins = round(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
        lengths.append(night.between_ms(begins - 12 * HOUR_MS, begins + 12 * HOUR_MS) // HOUR_MS)

    assert lengths == [3, 2, 4]


def test_times_that_a_change_of_the_clock_skips_count_from_where_it_went_on() -> None:
    """In Berlin 02:00 was 03:00 on 2026-03-29, in Cairo 00:00 was 01:00 on 2026-04-24."""
    spring = round(datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp() * 1000)
    cairo = round(datetime(2026, 4, 23, 22, tzinfo=UTC).timestamp() * 1000)
    lengths = {
        "Sun 02:30-04:00 Europe/Berlin": 60,
        "Sun 02:15-02:45 Europe/Berlin": 0,
        "Sat 22:00-02:30 Europe/Berlin": 4 * 60,
        "Sun 01:00-04:00 Europe/Berlin": 2 * 60,
    }

    for text, minutes in lengths.items():
        span_ms = hours_of(text).between_ms(spring - 12 * HOUR_MS, spring + 12 * HOUR_MS)
        assert (text, span_ms) == (text, minutes * 60_000)
    assert hours_of("Sun 02:30-04:00 Europe/Berlin").after_ms(spring - 60_000, 1) == spring + 1
    assert hours_of("Fri 00:30-02:00 Africa/Cairo").after_ms(cairo - 60_000, 1) == cairo + 1


@given(STARTS, st.sampled_from(ZONES), st.integers(0, 1439), st.integers(1, 1439))
@settings(max_examples=150, deadline=None)
def test_a_stretch_holds_what_the_wall_shows_but_for_hours_that_come_twice(
    at_ms: int, zone: str, begins: int, length: int
) -> None:
    ends = (begins + length) % 1440
    text = f"Mon-Sun {begins // 60:02d}:{begins % 60:02d}-{ends // 60:02d}:{ends % 60:02d} {zone}"
    wall = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone))
    is_twice = wall.replace(fold=0).utcoffset() != wall.replace(fold=1).utcoffset()
    minute = wall.hour * 60 + wall.minute
    is_inside = (minute - begins) % 1440 < length

    assert is_twice or (hours_of(text).closes_ms(at_ms) is not None) == is_inside
