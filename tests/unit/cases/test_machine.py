"""The table of moves is total and says no to everything else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsrail.cases.machine import (
    TRANSITIONS,
    CaseEvent,
    backoff_s,
    failures_after,
    next_state,
)
from opsrail.errors import Conflict
from opsrail.values.cases import FINAL_STATES, CaseState


@given(st.sampled_from(CaseState), st.sampled_from(CaseEvent))
def test_an_event_moves_a_case_as_the_table_says_or_not_at_all(
    state: CaseState, event: CaseEvent
) -> None:
    if (state, event) in TRANSITIONS:
        assert next_state(state, event) == TRANSITIONS[state, event]
    else:
        with pytest.raises(Conflict, match="cannot"):
            next_state(state, event)


@pytest.mark.parametrize("state", FINAL_STATES)
def test_a_final_state_is_left_only_by_being_removed(state: CaseState) -> None:
    assert [event for start, event in TRANSITIONS if start == state] == [CaseEvent.PRUNE]


def test_every_state_can_be_reached() -> None:
    assert {*TRANSITIONS.values(), CaseState.READY} == set(CaseState)


@pytest.mark.parametrize(
    ("failures", "progress", "length", "expected"),
    [(0, 0, 0, 1), (1, 4, 4, 2), (2, 4, 4, 3), (2, 4, 5, 1)],
)
def test_failures_count_only_while_the_journal_stands_still(
    failures: int, progress: int, length: int, expected: int
) -> None:
    actual = failures_after(failures=failures, progress=progress, journal_length=length)

    assert actual == expected


@given(
    st.integers(1, 10_000),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 10),
    st.floats(10, 1000),
)
def test_a_wait_is_never_negative_and_never_above_its_bound(
    failures: int, chance: float, base_s: float, cap_s: float
) -> None:
    wait_s = backoff_s(failures, chance, base_s=base_s, cap_s=cap_s)

    assert 0 <= wait_s <= cap_s
