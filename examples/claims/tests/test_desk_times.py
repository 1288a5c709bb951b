from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from examples.claims.desk_times import ACTIVITIES, HANDLING_FILE, DeskTimes, derive, read_desk_times


@pytest.mark.parametrize(
    ("work", "median_s"), [("validate_application", 722.3), ("assess_fraud", 8.9)]
)
def test_half_of_the_draws_stay_under_the_median(work: str, median_s: float) -> None:
    assert read_desk_times(work).draw_s(0.5) == pytest.approx(median_s, abs=0.1)


def test_a_draw_between_two_quantiles_lies_between_their_times() -> None:
    times = DeskTimes((0.0, 0.5, 1.0), (10.0, 20.0, 100.0))

    assert [times.draw_s(uniform) for uniform in (0.0, 0.25, 0.5, 0.75)] == [10.0, 15.0, 20.0, 60.0]


def test_work_left_open_over_night_is_never_drawn() -> None:
    times = read_desk_times("validate_application")

    assert times.draw_s(0.999999) == times.draw_s(0.99) < 6000


def test_draws_grow_with_their_uniform_number() -> None:
    for work in ACTIVITIES:
        draws = [read_desk_times(work).draw_s(step / 1000) for step in range(1000)]

        assert draws == sorted(draws)
        assert draws[0] > 0


def test_the_table_is_derived_from_work_items(tmp_path: Path) -> None:
    items = tmp_path / "work_items.csv.gz"
    with gzip.open(items, "wt", encoding="utf-8", newline="") as lines:
        rows = [[name, str(seconds)] for name in ACTIVITIES.values() for seconds in (4, 0, 2)]
        csv.writer(lines).writerows([["activity", "handling_seconds"], ["W_Other", "9"], *rows])

    table = derive(items)

    assert table[0] == HANDLING_FILE.read_text(encoding="utf-8").split("\n")[0].split(",")
    assert [table[1], table[51], table[-1]] == [
        ["0.000", "0.000", "0.000"],
        ["0.250", "1.000", "1.000"],
        ["1.000", "4.000", "4.000"],
    ]
