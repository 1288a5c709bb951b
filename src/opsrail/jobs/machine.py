"""The life of a job. Pure.

    waiting      nobody runs it yet, or whoever did died
    running      a process works on it
    done         what came of it is kept
    failed       nothing came of it, and why is kept
    cancelled    somebody did not want it any more

A job may be run again from its beginning at any time: what it does is what the command of its name does, which goes on where
it was killed and takes nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from opsrail.errors import Conflict
from opsrail.values.jobs import JobState

MOST_LOSSES = 3
"""How often the process of one job may die. Ours: one that dies each time, of its memory for instance, would never end."""


class JobEvent(StrEnum):
    """What can happen to a job."""

    BEGIN = "begin"  # a process takes it
    FINISH = "finish"  # it came to its end
    FAIL = "fail"  # it cannot come to its end
    LOSE = "lose"  # its process died
    CANCEL = "cancel"  # somebody does not want it


TRANSITIONS: Mapping[tuple[JobState, JobEvent], JobState] = {
    (JobState.WAITING, JobEvent.BEGIN): JobState.RUNNING,
    (JobState.WAITING, JobEvent.CANCEL): JobState.CANCELLED,
    (JobState.RUNNING, JobEvent.FINISH): JobState.DONE,
    (JobState.RUNNING, JobEvent.FAIL): JobState.FAILED,
    (JobState.RUNNING, JobEvent.LOSE): JobState.WAITING,
    (JobState.RUNNING, JobEvent.CANCEL): JobState.CANCELLED,
}
ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


def next_state(state: str, event: JobEvent, *, losses: int = 0) -> JobState:
    """Return where the event leads.

    Args:
        losses: How often its process died, this time included.

    Raises:
        Conflict: the event cannot happen in this state.
    """
    stands = JobState(state)
    if event is JobEvent.LOSE and stands is JobState.RUNNING and losses >= MOST_LOSSES:
        return JobState.FAILED
    try:
        return TRANSITIONS[stands, event]
    except KeyError:
        raise Conflict(f"a job that is {stands} cannot {event}; look at it again") from None
