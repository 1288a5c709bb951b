"""Whether an automation's objective holds."""

from __future__ import annotations

import pytest

from opsrail import Objective
from opsrail.values.cases import CaseState
from opsrail.web.console.objective import standing_of
from tests.unit.web.console.rows import CASE_ROW, NOW_MS

HOUR_MS = 3_600_000
CASES = [
    CASE_ROW._replace(settled_at_ms=NOW_MS + hours * HOUR_MS) for hours in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
]  # fmt: skip


@pytest.mark.parametrize(
    ("target", "word", "found_h"),
    [
        ("p50 < 6 h", "holds", 5),
        ("p50 < 5h", "missed", 5),
        ("p90 < 9.5 h", "holds", 9),
        ("mean < 5 h", "missed", 5.5),
        ("max <= 2 d", "holds", 10),
    ],
)
def test_a_target_of_time_is_held_against_the_settled_cases(
    target: str, word: str, found_h: float
) -> None:
    standing = standing_of(Objective("time_to_resolution", target), CASES)

    assert (standing.word, standing.found_ms, standing.cases) == (word, found_h * HOUR_MS, 10)


@pytest.mark.parametrize(
    ("kpi", "target"),
    [
        ("paid_twice", "p50 < 4 h"),
        ("time_to_resolution", "soon"),
        ("time_to_resolution", "p50 < 4 moons"),
    ],
)
def test_what_cannot_be_measured_is_said_to_be_not(kpi: str, target: str) -> None:
    assert standing_of(Objective(kpi, target), CASES).word == "not measured"


def test_few_cases_say_nothing() -> None:
    waiting = [CASE_ROW._replace(state=CaseState.WAITING, settled_at_ms=None)] * 50

    assert (
        standing_of(Objective("time_to_resolution", "p50 < 4 h"), CASES[:4] + waiting).word
        == "not measured"
    )
