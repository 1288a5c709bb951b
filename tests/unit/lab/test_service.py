"""What batches take: the line, its noise, and measured times."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

import pytest

from opsrail.clock import chance
from opsrail.errors import InvalidInput
from opsrail.lab.service import Line, Recorded


def test_noise_and_outliers_keep_the_mean_that_is_said() -> None:
    line = Line(fixed_ms=2, row_ms=0.5, noise_ratio=0.5, outlier_ratio=0.01, outlier_factor=20)
    drawn = chance("a seed")

    took_s = [line.draw_s(4, drawn) for _ in range(20_000)]

    assert line.mean_s(4) == pytest.approx(0.004 * 1.19)
    assert mean(took_s) == pytest.approx(line.mean_s(4), rel=0.05)


def test_measured_times_are_drawn_and_filled_in_between(tmp_path: Path) -> None:
    path = tmp_path / "took.csv"
    path.write_text("batch_size,seconds\n2,0.002\n2,0.004\n10,0.011\n")
    recorded = Recorded(file=path)

    assert recorded.mean_s(2) == pytest.approx(0.003)
    assert recorded.mean_s(1) == pytest.approx(0.003)
    assert recorded.mean_s(6) == pytest.approx(0.007)
    assert recorded.mean_s(20) == pytest.approx(0.022)
    assert {recorded.draw_s(2, chance(str(n))) for n in range(50)} == {0.002, 0.004}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("size,seconds\n1,1\n", "needs the columns batch_size, seconds"),
        ("batch_size,seconds\n0,1\n1,-1\n1,x\n", "(?s)line 2.*line 3.*line 4"),
        ("batch_size,seconds\n", "holds no measurement"),
    ],
)
def test_measurements_that_cannot_be_used_say_why(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "took.csv"
    path.write_text(text)

    with pytest.raises(InvalidInput, match=fault):
        Recorded(file=path).mean_s(1)
