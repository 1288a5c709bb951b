"""What was decided lately, counted from rows that are read once, late and in pieces."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as some

from opsrail.watch.rollouts import first_id
from opsrail.web.console.recent import ROWS, Limits, Recent, Row, Stretch
from tests.unit.web.console.rows import NOW_MS, case_id_at


def limits(point: str) -> Limits:
    return Limits("review", 100 if point == "fraud-risk" else None)


def row(
    at_ms: int, number: int = 0, verdict: str = "approve", point: str = "fraud-risk", **how: object
) -> Row:
    told = {"proposed": None, "degraded": False, "latency_us": 2_000} | how
    return (
        case_id_at(at_ms, number),
        point,
        verdict,
        told["proposed"],
        told["degraded"],
        told["latency_us"],
        at_ms,
    )  # type: ignore[return-value]


class Rows:
    """A store's decisions, read as the board reads them."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def read(self, stretch: Stretch) -> list[Row]:
        first, end = first_id(stretch.begin_ms), first_id(stretch.end_ms or NOW_MS * 2)
        found = [row for row in self.rows if first <= row[0] < end and row[0] > stretch.after]
        found.sort()
        return found[:ROWS]

    def look(self, recent: Recent, now_ms: int) -> None:
        recent.take(self.read(recent.newest(now_ms)), now_ms)
        if (stretch := recent.earlier(now_ms)) is not None:
            recent.take_earlier(stretch, self.read(stretch), now_ms)


def test_a_row_counts_once_however_often_it_is_read() -> None:
    recent, rows = Recent(NOW_MS, limits), Rows()
    rows.rows = [row(NOW_MS + 100, number) for number in range(3)]

    for second in range(1, 8):
        rows.look(recent, NOW_MS + 1_000 * second)

    assert recent.windows(NOW_MS + 8_000)["minute"].decisions == 3


def test_a_row_that_comes_late_is_counted_by_the_look_further_back() -> None:
    recent, rows = Recent(NOW_MS, limits), Rows()
    for second in range(1, 30):
        rows.look(recent, NOW_MS + 1_000 * second)
    rows.rows = [row(NOW_MS + 2_000)]  # its answer took 28 seconds
    for second in range(30, 70):
        rows.look(recent, NOW_MS + 1_000 * second)

    assert recent.windows(NOW_MS + 70_000)["hour"].decisions == 1


def test_the_past_is_taken_in_until_a_day_is_covered() -> None:
    recent, rows = Recent(NOW_MS, limits), Rows()
    rows.rows = [row(NOW_MS - 60_000 * minute - 10_000) for minute in range(1_430)]

    first = recent.windows(NOW_MS)
    for second in range(1, 30):
        rows.look(recent, NOW_MS + 1_000 * second)
    windows = recent.windows(NOW_MS + 30_000)

    assert (first["day"].is_whole, first["day"].decisions) == (False, 0)
    assert (windows["day"].is_whole, windows["day"].decisions) == (True, 1_430)
    assert 58 <= windows["hour"].decisions <= 61
    assert recent.earlier(NOW_MS + 30_000) is None


def test_a_stretch_with_too_many_rows_is_asked_for_in_shorter_ones() -> None:
    recent, rows = Recent(NOW_MS, limits), Rows()
    rows.rows = [row(NOW_MS - 900_000 + 100 * number) for number in range(8_900)]

    for second in range(1, 25):
        rows.look(recent, NOW_MS + 1_000 * second)

    assert recent.windows(NOW_MS + 25_000)["day"].decisions == 8_900


def test_more_than_one_look_can_read_is_gone_on_with_by_the_next() -> None:
    recent, rows = Recent(NOW_MS, limits), Rows()
    rows.look(recent, NOW_MS)
    rows.rows = [row(NOW_MS + 500, number) for number in range(ROWS + 700)]

    rows.look(recent, NOW_MS + 1_000)
    was_behind = recent.is_behind
    rows.look(recent, NOW_MS + 2_000)

    assert (was_behind, recent.is_behind) == (True, False)
    assert recent.windows(NOW_MS + 2_000)["minute"].decisions == ROWS + 700


def test_what_came_while_nobody_looked_is_made_up_for_and_after_long_it_begins_anew() -> None:
    recent, rows = Recent(NOW_MS, limits), Rows()
    rows.rows = [row(NOW_MS + 60_000 * minute) for minute in range(1, 11)]
    rows.look(recent, NOW_MS)
    rows.look(recent, NOW_MS + 605_000)
    made_up = recent.windows(NOW_MS + 605_000)["hour"].decisions
    later_ms = NOW_MS + 5_000_000
    rows.look(recent, later_ms)

    assert made_up == 10
    assert not recent.windows(later_ms)["day"].is_whole


def test_shares_tell_automation_fallback_and_the_deadline() -> None:
    recent = Recent(NOW_MS, limits)
    recent.take(
        [
            row(NOW_MS, 0),
            row(NOW_MS, 1, "review"),
            row(NOW_MS, 2, "review", proposed="approve"),
            row(NOW_MS, 3, degraded=True, latency_us=100_001),
            row(NOW_MS, 4, point="unknown", latency_us=9_000_000),
        ],
        NOW_MS + 500,
    )

    one = recent.windows(NOW_MS + 1_000)["minute"]
    known = recent.windows(NOW_MS + 1_000, ["fraud-risk"])["minute"]

    assert (one.decisions, one.automation_ratio, one.fallback_ratio, one.kept_ratio) == (
        5,
        0.6,
        0.2,
        0.75,
    )
    assert one.spent is not None
    assert 1.8 <= one.spent.p50 <= 2.2
    assert known.decisions == 4
    assert recent.points() == ["fraud-risk", "unknown"]


def test_the_course_tells_each_slot_and_forgets_what_is_older_than_its_window() -> None:
    recent = Recent(NOW_MS, limits)
    recent.take([row(NOW_MS, 0), row(NOW_MS + 1, 1, "review")], NOW_MS + 10)

    course = recent.course("hour", NOW_MS)
    later = recent.course("hour", NOW_MS + 4_000_000)

    assert len(course) == 61
    assert course[-1][1:] == (2, 1)
    assert sum(decisions for _, decisions, _ in later) == 0


@settings(max_examples=25, deadline=None)
@given(
    some.lists(some.tuples(some.integers(-80_000, 119_000), some.integers(0, 30_000)), max_size=60),
    some.lists(some.integers(200, 7_000), min_size=20, max_size=40),
)
def test_every_row_is_counted_exactly_once_in_whatever_order_it_comes(
    given_rows: list[tuple[int, int]], pauses: list[int]
) -> None:
    """Rows of 200 seconds, each up to 30 s late, looked for at uneven pauses."""
    recent, rows = Recent(NOW_MS, limits), Rows()
    arrivals = sorted(
        (at_ms + late_ms, row(NOW_MS + at_ms, number))
        for number, (at_ms, late_ms) in enumerate(given_rows)
    )
    now_ms = 0
    while now_ms < 400_000:
        now_ms += pauses[now_ms % len(pauses)]
        while arrivals and arrivals[0][0] <= now_ms:
            rows.rows.append(arrivals.pop(0)[1])
        rows.look(recent, NOW_MS + now_ms)

    assert recent.windows(NOW_MS + now_ms)["hour"].decisions == len(given_rows)
