"""A day at the loan desk, played over HTTP: `python -m bench reviewers` plays five months."""

from __future__ import annotations

from pathlib import Path

from bench.loan_times import drawn
from bench.reviewers import NOTHING, play

DAY_S = 86_400


def test_twenty_people_lose_nothing_and_rule_nothing_twice(tmp_path: Path) -> None:
    day = [loan for loan in drawn(13_087) if 21 * DAY_S <= loan.at_s < 22 * DAY_S]

    figures = play(day, tmp_path, scale=DAY_S / 3, people=20, vanishing=0.05, racing=0.1)

    assert {name: figures[name] for name in NOTHING if figures[name]} == {}
    assert figures["ruled_count"] > 50
    assert figures["vanished_count"] > 0
    assert figures["refused_count"] > 0
