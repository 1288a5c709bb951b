"""Working hours hold through changes of the clock: spans add up, and as much time passes as was asked for."""

from __future__ import annotations

from datetime import UTC, datetime

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
