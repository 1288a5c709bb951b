"""The life of a job, as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsrail.errors import Conflict
from opsrail.jobs.machine import ENDED, MOST_LOSSES, TRANSITIONS, JobEvent, next_state
from opsrail.values.jobs import JobState


@pytest.mark.parametrize("state", ENDED)
@pytest.mark.parametrize("event", JobEvent)
def test_what_has_ended_stays_as_it_is(state: JobState, event: JobEvent) -> None:
    with pytest.raises(Conflict):
        next_state(state, event)


@given(st.lists(st.sampled_from(JobEvent)))
def test_a_job_that_loses_its_process_each_time_ends(events: list[JobEvent]) -> None:
    state, losses = JobState.WAITING, 0
    for event in events:
        losses += event is JobEvent.LOSE and state is JobState.RUNNING
        try:
            state = next_state(state, event, losses=losses)
        except Conflict:
            assert (state, event) not in TRANSITIONS

    assert losses <= MOST_LOSSES
    assert state is JobState.FAILED or losses < MOST_LOSSES


def test_what_is_given_back_is_blamed_for_nothing() -> None:
    assert next_state(JobState.RUNNING, JobEvent.LOSE) is JobState.WAITING
