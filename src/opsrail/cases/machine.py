"""The life of a case, as a table. Pure: no I/O, no clock.

Two rules. A move that is not in TRANSITIONS does not exist: `next_state` refuses it. And a case leaves RUNNING only
in the commit that writes down why, so whatever a dead process left as RUNNING is exactly what has to be taken over.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from opsrail.errors import Conflict
from opsrail.values.cases import CaseState

PATIENCE = 3
"""Failures, or losses, in a row without progress after which a case is set aside. Source: ours, as Camunda's default
retries."""


class CaseEvent(StrEnum):
    """What can happen to a case."""

    CLAIM = "claim"  # a worker takes it
    PARK = "park"  # it waits for a person or for time
    SETTLE = "settle"  # the author's function returned
    FAIL = "fail"  # the author's function raised; it will be tried again
    GIVE_UP = "give_up"  # it failed too often, or its code is broken
    RELEASE = "release"  # its worker shuts down in order
    LOSE = "lose"  # its worker died
    RETRY = "retry"  # an operator sends it on
    CANCEL = "cancel"  # an operator or caller ends it
    PRUNE = "prune"  # it ended long ago and is removed (`govern/retention.py`)


TRANSITIONS: Mapping[tuple[CaseState, CaseEvent], CaseState] = {
    (CaseState.READY, CaseEvent.CLAIM): CaseState.RUNNING,
    (CaseState.WAITING, CaseEvent.CLAIM): CaseState.RUNNING,
    (CaseState.RUNNING, CaseEvent.PARK): CaseState.WAITING,
    (CaseState.RUNNING, CaseEvent.SETTLE): CaseState.SETTLED,
    (CaseState.RUNNING, CaseEvent.FAIL): CaseState.READY,
    (CaseState.RUNNING, CaseEvent.GIVE_UP): CaseState.SET_ASIDE,
    (CaseState.RUNNING, CaseEvent.RELEASE): CaseState.READY,
    (CaseState.RUNNING, CaseEvent.LOSE): CaseState.READY,
    (CaseState.RUNNING, CaseEvent.CANCEL): CaseState.CANCELLED,
    (CaseState.READY, CaseEvent.GIVE_UP): CaseState.SET_ASIDE,
    (CaseState.READY, CaseEvent.CANCEL): CaseState.CANCELLED,
    (CaseState.WAITING, CaseEvent.CANCEL): CaseState.CANCELLED,
    (CaseState.SET_ASIDE, CaseEvent.CANCEL): CaseState.CANCELLED,
    (CaseState.SET_ASIDE, CaseEvent.RETRY): CaseState.READY,
    (CaseState.SETTLED, CaseEvent.PRUNE): CaseState.PRUNING,
    (CaseState.CANCELLED, CaseEvent.PRUNE): CaseState.PRUNING,
}


def next_state(state: CaseState, event: CaseEvent) -> CaseState:
    """Return where the event leads.

    Raises:
        Conflict: the event cannot happen in this state. Look at the case again before acting.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise Conflict(
            f"a case that is {state.value} cannot {event.value}; look at it again"
        ) from None


def failures_after(*, failures: int, progress: int, journal_length: int) -> int:
    """Return the failures in a row once one more happened; progress since the last one starts the count anew."""
    return 1 if journal_length > progress else failures + 1


def backoff_s(failures: int, chance: float, *, base_s: float, cap_s: float) -> float:
    """Return how long to wait before the next try, seconds.

    Args:
        failures: Tries that failed, >= 1.
        chance: Uniform number in [0, 1).
        base_s: Upper bound of the first wait.
        cap_s: Upper bound of any wait.

    Source:
        "Full jitter": M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
    """
    return float(chance * min(cap_s, base_s * 2.0 ** min(failures - 1, 32)))
