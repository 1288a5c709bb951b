"""Figures over rulings: whom they speak for, and what moves them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from opsrail.errors import InvalidInput
from opsrail.lab import quality_of
from opsrail.lab.quality import (
    MONDAY_MS,
    WEEK_MS,
    Ruled,
    machine_accuracy,
    reconsidered,
    spread,
    week_of,
)
from opsrail.lab.rates import rate
from opsrail.lab.shifts import shift

START_MS = MONDAY_MS + 2_900 * WEEK_MS


def ruled(item: str = "r-1", verdict: str = "approve", **how: Any) -> Ruled:
    return Ruled(
        item, **{"queue": "desk", "by": "ann", "verdict": verdict, "at_ms": START_MS, **how}
    )


def test_people_are_measured_by_control_cases_alone() -> None:
    rulings = [
        ruled("c-1", "decline", truth="decline", by="ann"),
        ruled("c-1", "approve", truth="decline", by="bob"),
        ruled("c-2", "approve", truth="approve", by="bob"),
        ruled("r-1", "approve", said="decline"),
    ]
    found = quality_of(rulings)

    assert (found.people.hits, found.people.of) == (2, 3)
    assert {name: (one.hits, one.of) for name, one in found.by_person.items()} == {
        "ann": (1, 1),
        "bob": (1, 2),
    }
    assert found.machine.known == 0


def test_the_machine_is_measured_by_spot_checks_each_for_those_it_stands_for() -> None:
    wrong = [ruled(f"w-{n}", "decline", said="approve", ratio=0.5) for n in range(10)]
    right = [ruled(f"r-{n}", "approve", said="approve", ratio=0.01) for n in range(10)]
    sent = [ruled(f"s-{n}", "decline", said="approve") for n in range(500)]
    found = machine_accuracy([*wrong, *right, *sent])

    assert found.rate == pytest.approx(1000 / 1020)
    assert (found.known, found.hits) == (20, 10)
    assert found.low < 1000 / 1020 < found.high


def test_what_was_said_before_the_score_was_seen_counts_for_the_machine() -> None:
    moved = ruled("a", "approve", first="decline", said="approve", ratio=1.0)

    assert machine_accuracy([moved]).rate == 0.0


def test_spot_checks_hit_the_true_accuracy_however_unevenly_they_are_drawn() -> None:
    chance = np.random.default_rng(11)
    held = 0
    for _ in range(200):
        ratios = np.where(chance.random(4_000) < 0.3, 0.2, 0.05)
        is_right = chance.random(4_000) < np.where(ratios > 0.1, 0.7, 0.97)
        drawn = chance.random(4_000) < ratios
        rulings = [
            ruled(
                str(n),
                "approve" if is_right[n] else "decline",
                said="approve",
                ratio=float(ratios[n]),
            )
            for n in np.flatnonzero(drawn)
        ]
        found = machine_accuracy(rulings)
        held += found.low <= is_right.mean() <= found.high

    assert held >= 184  # of 200 at 95%, but for chance


def test_weeks_begin_on_mondays_and_tell_machine_and_disagreement_apart() -> None:
    rulings = [
        ruled("a", "approve", said="approve", ratio=0.1, at_ms=START_MS + WEEK_MS - 1),
        ruled("b", "decline", said="approve", at_ms=START_MS),
        ruled("c", "decline", said="approve", ratio=0.1, at_ms=START_MS + WEEK_MS),
        ruled("d", "decline", at_ms=START_MS + 3 * WEEK_MS),
    ]
    found = quality_of(rulings, since_ms=START_MS, until_ms=START_MS + WEEK_MS)
    weeks = [(week.start_ms, week.machine.rate, week.disagreement.ratio) for week in found.weeks]

    assert weeks == [(START_MS, 1.0, 0.5), (START_MS + WEEK_MS, 0.0, 1.0)]
    assert found.record()["weeks"][0]["start"].startswith("2025-0")


@given(some.integers(0, 4_102_444_800_000))
def test_a_week_holds_its_moment(at_ms: int) -> None:
    assert 0 <= at_ms - week_of(at_ms) < WEEK_MS
    assert week_of(week_of(at_ms)) == week_of(at_ms)


def test_reconsidering_is_told_by_its_direction() -> None:
    rulings = [
        ruled("a", "approve", first="decline", said="approve"),
        ruled("b", "decline", first="decline", said="approve"),
        ruled("c", "ask", first="decline", said="approve"),
        ruled("d", "decline", first="approve", said="approve"),
        ruled("e", "approve", first="approve", said="approve"),
        ruled("f", "approve", first="decline"),
        ruled("g", "approve", said="approve"),
    ]
    found = reconsidered(rulings)

    assert (found.rulings, found.towards.hits, found.towards.of) == (5, 1, 3)
    assert (found.away.hits, found.away.of, found.other) == (1, 2, 1)


def test_times_are_told_by_queue_also_of_what_still_waits() -> None:
    rulings = [ruled(str(n), held_s=float(n), waited_s=10.0 * n) for n in range(1, 101)]
    found = quality_of(rulings, [("desk", 5.0), ("other", 7.0)])

    assert found.held["desk"].p50_s == 50.5
    assert found.waited["desk"].p99_s == pytest.approx(990.1)
    assert (found.waiting["other"].of, found.waiting["other"].p50_s) == (1, 7.0)
    assert found.held["other"].of == 0
    assert spread([]).p50_s is None


def test_reviewers_agree_on_a_control_case_that_each_of_them_saw() -> None:
    rulings = [
        ruled(f"c-{n}", "ab"[n % 2], by=who, truth="a") for n in range(6) for who in ("ann", "bob")
    ]

    assert quality_of(rulings).agreement.kappa.value == 1.0


@pytest.mark.parametrize("order", [1, -1])
def test_what_a_judge_said_last_counts_in_whatever_order_rulings_come(order: int) -> None:
    rulings = [
        ruled("c", "decline", at_ms=START_MS),
        ruled("c", "approve", at_ms=START_MS + 1),
        ruled("c", "approve", by="bob"),
        ruled("d", "decline"),
        ruled("d", "decline", by="bob"),
    ]

    assert quality_of(rulings[::order]).agreement.kappa.value == 1.0


@given(
    some.integers(1, 10_000).flatmap(lambda of: some.tuples(some.integers(0, of), some.just(of)))
)
def test_a_share_lies_in_its_interval_whatever_rounding_leaves(counts: tuple[int, int]) -> None:
    found = rate(*counts)

    assert found.ratio is not None
    assert 0 <= found.low <= found.ratio <= found.high <= 1


def test_all_or_none_of_thirteen_end_at_one_and_at_nothing() -> None:
    assert rate(13, 13).high == 1.0
    assert rate(0, 5).low == 0.0


@pytest.mark.parametrize(("hits", "of", "confidence"), [(11, 10, 0.95), (-1, 5, 0.95), (1, 5, 1.0)])
def test_a_share_that_cannot_be_is_refused(hits: int, of: int, confidence: float) -> None:
    with pytest.raises(InvalidInput, match=f"no share of {hits} in {of}"):
        rate(hits, of, confidence=confidence)


def test_what_has_no_score_moves_no_figure_of_a_shift() -> None:
    scores, nothing = [0.1, 0.2, 0.4], float("nan")

    assert shift([*scores, nothing], [nothing, *scores]) == shift(scores, scores)
    assert shift([nothing], scores) is None
