"""A process lets in as many decisions as it answers in a fair part of their time; the lowest class goes without first."""

from __future__ import annotations

from collections import deque

import pytest

from opsrail.decide.admission import FIRST, LEAST, SHARES, Admission
from opsrail.decide.asks import HIGH, LOW, NORMAL

ALLOWED_S = 0.05


def overloaded(
    admission: Admission, *, serve_s: float, offered_per_s: float, seconds: float
) -> tuple[list[float], dict[int, list[int]]]:
    """Offer requests to one server that takes them in order; return the times of answers and (offered, let in) by class."""
    waiting: deque[float] = deque()
    took: list[float] = []
    seen = {rank: [0, 0] for rank in (HIGH, NORMAL, LOW)}
    now_s = free_s = 0.0
    for number in range(int(offered_per_s * seconds)):
        now_s = number / offered_per_s
        while waiting and waiting[0] + 0.0 <= now_s and free_s <= now_s:
            came_s = waiting.popleft()
            free_s = max(free_s, came_s) + serve_s
            took.append(free_s - came_s)
            admission.leave(free_s - came_s, ALLOWED_S)
        rank = number % 3
        seen[rank][0] += 1
        if admission.enter(rank):
            seen[rank][1] += 1
            waiting.append(now_s)
    for _ in waiting:
        admission.leave(None, ALLOWED_S)
    return took, seen


def test_at_five_times_what_it_can_those_let_in_are_answered_in_time() -> None:
    took, seen = overloaded(Admission(), serve_s=0.0002, offered_per_s=25_000, seconds=4)
    late = [spent_s for spent_s in took[len(took) // 4 :] if spent_s > ALLOWED_S]

    assert len(late) < 0.01 * len(took)
    assert len(took) > 0.95 * 4 / 0.0002  # it never ran dry
    assert seen[HIGH][1] > seen[NORMAL][1] > seen[LOW][1]


def test_what_a_process_can_at_three_times_that_goes_to_the_highest_class() -> None:
    admission = Admission()
    overloaded(admission, serve_s=0.0002, offered_per_s=14_000, seconds=2)  # high alone: 93 %
    _, seen = overloaded(admission, serve_s=0.0002, offered_per_s=14_000, seconds=4)

    assert seen[HIGH][1] > 0.95 * seen[HIGH][0]
    assert seen[LOW][1] < 0.05 * seen[LOW][0]


def test_a_class_that_went_without_is_served_again_when_the_rush_is_over() -> None:
    admission = Admission()
    overloaded(admission, serve_s=0.0002, offered_per_s=25_000, seconds=2)
    overloaded(admission, serve_s=0.0002, offered_per_s=4_000, seconds=2)
    before = list(admission.refused)
    _, seen = overloaded(admission, serve_s=0.0002, offered_per_s=4_000, seconds=2)

    assert admission.refused == before
    assert seen[LOW][1] == seen[LOW][0]


def test_who_was_read_and_has_no_place_yet_counts_until_the_turn_is_over() -> None:
    admission = Admission()
    let_in = 0
    while not admission.is_full(HIGH):
        admission.expect()
        let_in += 1
    admission.expect_no_more()

    assert let_in == SHARES[HIGH] * FIRST
    assert all(admission.enter(HIGH) for _ in range(let_in))
    assert not admission.enter(HIGH)


def test_below_what_it_can_nobody_is_refused() -> None:
    admission = Admission()
    _, seen = overloaded(admission, serve_s=0.0002, offered_per_s=4_000, seconds=4)

    assert all(offered == let_in for offered, let_in in seen.values())
    assert admission.refused == [0, 0, 0]


def test_slow_answers_to_patient_callers_do_not_shrink_it() -> None:
    admission = Admission()
    for _ in range(5):
        while admission.enter(HIGH):
            pass
        for _ in range(admission.under_way):
            admission.leave(0.4, 1.0)

    assert admission.limit > FIRST


def test_the_limit_never_falls_below_its_floor() -> None:
    admission = Admission()
    for _ in range(5_000):
        assert admission.enter(HIGH)
        admission.leave(1.0, 0.05)

    assert admission.limit == LEAST


@pytest.mark.parametrize("rank", [HIGH, NORMAL, LOW])
def test_each_class_has_its_share_of_the_places(rank: int) -> None:
    admission = Admission()
    while admission.enter(rank):
        pass

    assert admission.under_way == pytest.approx(SHARES[rank] * FIRST, abs=1)


def test_an_answer_that_says_nothing_changes_nothing() -> None:
    admission = Admission()
    for _ in range(10_000):
        admission.enter(HIGH)
        admission.leave(None, 0.05)

    assert (admission.limit, admission.under_way) == (FIRST, 0)
