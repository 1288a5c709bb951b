"""Decisions are committed together when others are likely to come, and never wait long for those who do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsrail.decide.grouping import Grouping

LINGER_S = 0.002


def sent(grouping: Grouping, now_s: float) -> int:
    """Let the group go if it is due; return how many it holds."""
    return grouping.begin() if grouping.is_due(now_s) else 0


def test_a_lone_decision_waits_for_nobody() -> None:
    grouping = Grouping(LINGER_S)
    for turn in range(5):
        grouping.add(float(turn))

        assert sent(grouping, float(turn)) == 1
        grouping.end()


def test_as_many_are_waited_for_as_the_group_before_had() -> None:
    grouping = Grouping(LINGER_S)
    for _ in range(8):
        grouping.add(0.0)
    assert sent(grouping, 0.0) == 8
    grouping.end()

    for _ in range(7):
        grouping.add(1.0)
        assert sent(grouping, 1.0) == 0
    grouping.add(1.0)

    assert sent(grouping, 1.0) == 8


def test_nobody_waits_longer_than_the_linger_time_nor_three_times_for_who_did_not_come() -> None:
    grouping = Grouping(LINGER_S)
    for _ in range(8):
        grouping.add(0.0)
    grouping.begin()
    grouping.end()

    grouping.add(1.0)

    assert grouping.due_in_s(1.0) == pytest.approx(LINGER_S)
    assert sent(grouping, 1.001) == 0
    assert sent(grouping, 1.0 + LINGER_S) == 1
    grouping.end()
    grouping.add(2.0)
    assert sent(grouping, 2.0 + 2 * LINGER_S) == 1
    grouping.end()
    grouping.add(3.0)
    assert sent(grouping, 3.0) == 1


def test_while_a_commit_is_under_way_the_next_group_gathers() -> None:
    grouping = Grouping(LINGER_S)
    grouping.add(0.0)
    grouping.begin()
    for _ in range(5):
        grouping.add(0.001)

    assert not grouping.is_due(9.0)
    assert grouping.due_in_s(9.0) is None
    grouping.end()
    assert sent(grouping, 9.0) == 5


def test_one_who_is_out_of_step_is_not_what_the_others_are_measured_by() -> None:
    grouping = Grouping(LINGER_S)
    for _ in range(8):
        grouping.add(0.0)
    assert sent(grouping, 0.0) == 8
    grouping.end()
    grouping.add(1.0)
    assert sent(grouping, 1.0 + 2 * LINGER_S) == 1
    grouping.end()

    for _ in range(7):
        grouping.add(2.0)
        assert sent(grouping, 2.0) == 0
    grouping.add(2.0)

    assert sent(grouping, 2.0) == 8


def test_when_all_who_are_expected_are_there_they_do_not_wait_for_the_commit_before() -> None:
    grouping = Grouping(LINGER_S)
    for _ in range(4):
        grouping.add(0.0)
    grouping.begin()
    grouping.end()
    grouping.add(1.0)
    grouping.begin()  # one out of step, under way from here on
    for _ in range(3):
        grouping.add(1.0)
        assert not grouping.is_due(9.0)
    grouping.add(1.0)

    assert sent(grouping, 1.0) == 4
    for _ in range(4):
        grouping.add(1.0)
    assert not grouping.is_due(9.0)  # two are under way


def test_a_group_that_is_full_does_not_wait_even_for_a_commit_under_way() -> None:
    grouping = Grouping(LINGER_S, most=3)
    grouping.add(0.0)
    grouping.begin()
    for _ in range(3):
        grouping.add(0.0)

    assert sent(grouping, 0.0) == 3


@given(st.lists(st.tuples(st.floats(0.0, 0.01), st.booleans()), min_size=1, max_size=60))
def test_every_decision_goes_in_exactly_one_group(steps: list[tuple[float, bool]]) -> None:
    grouping, now_s, gone, out = Grouping(LINGER_S, most=7), 0.0, 0, 0
    for wait_s, ends in steps:
        now_s += wait_s
        grouping.add(now_s)
        count = sent(grouping, now_s)
        gone, out = gone + count, out + bool(count)
        if ends and out:
            grouping.end()
            out -= 1
    while out:
        grouping.end()
        out -= 1

    assert gone + sent(grouping, now_s + 1.0) == len(steps)
