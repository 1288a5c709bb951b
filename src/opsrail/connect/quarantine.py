"""Whether a model that crashes may be started again. Pure.

    serving      --crashed-->    serving       fewer than `most` crashes within `window_s`
    serving      --too_often-->  quarantined   it is left alone for `rest_s`
    quarantined  --rested-->     trial         its time is over: it is started once more
    trial        --crashed-->    quarantined   at the first crash within `window_s`
    trial        --recovered-->  serving       it lived that long
    quarantined  --released-->   serving       an operator says so; what it did before is forgotten

Rules: time is an argument and never goes back; a crash that is told while it is quarantined, of a child that was on its way
down, adds nothing.

Source:
    3 crashes in 60 s: FAULTS F12. The rest is ours: five minutes let an operator see it, and mend what may mend by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Whether it may run."""

    SERVING = "serving"
    QUARANTINED = "quarantined"
    TRIAL = "trial"


class Event(StrEnum):
    """What moves it. `too_often` is a crash that fills the window."""

    CRASHED = "crashed"
    TOO_OFTEN = "too_often"
    RESTED = "rested"
    RECOVERED = "recovered"
    RELEASED = "released"


TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (State.SERVING, Event.CRASHED): State.SERVING,
    (State.SERVING, Event.TOO_OFTEN): State.QUARANTINED,
    (State.SERVING, Event.RESTED): State.SERVING,
    (State.SERVING, Event.RECOVERED): State.SERVING,
    (State.SERVING, Event.RELEASED): State.SERVING,
    (State.QUARANTINED, Event.CRASHED): State.QUARANTINED,
    (State.QUARANTINED, Event.TOO_OFTEN): State.QUARANTINED,
    (State.QUARANTINED, Event.RESTED): State.TRIAL,
    (State.QUARANTINED, Event.RECOVERED): State.QUARANTINED,
    (State.QUARANTINED, Event.RELEASED): State.SERVING,
    (State.TRIAL, Event.CRASHED): State.QUARANTINED,
    (State.TRIAL, Event.TOO_OFTEN): State.QUARANTINED,
    (State.TRIAL, Event.RESTED): State.TRIAL,
    (State.TRIAL, Event.RECOVERED): State.SERVING,
    (State.TRIAL, Event.RELEASED): State.SERVING,
}
"""Total: every event has its answer in every state."""


@dataclass(frozen=True, slots=True)
class Patience:
    """When a model is left alone.

    Attributes:
        most: Crashes within the window that are too many.
        window_s: How long a crash counts.
        rest_s: How long it is left alone.
    """

    most: int = 3
    window_s: float = 60.0
    rest_s: float = 300.0


class Quarantine:
    """One model's. `crashed` after each crash; `state_at` before each start and each ask."""

    def __init__(self, patience: Patience | None = None) -> None:
        self.patience = patience or Patience()
        self.crashes_count = 0
        """Since the process began."""
        self._state = State.SERVING
        self._crashes_s: deque[float] = deque()
        self._until_s = 0.0
        """Of quarantine its end, of a trial when it has lived long enough."""

    def crashed(self, now_s: float) -> None:
        """Take in that a child died."""
        self.crashes_count += 1
        if self.state_at(now_s) is not State.SERVING:
            self._move(Event.CRASHED, now_s)
            return
        crashes = self._crashes_s
        crashes.append(now_s)
        while now_s - crashes[0] > self.patience.window_s:
            crashes.popleft()
        is_over = len(crashes) >= self.patience.most
        self._move(Event.TOO_OFTEN if is_over else Event.CRASHED, now_s)

    def state_at(self, now_s: float) -> State:
        """Return whether it may run."""
        if self._state is not State.SERVING and now_s >= self._until_s:
            is_rested = self._state is State.QUARANTINED
            self._move(Event.RESTED if is_rested else Event.RECOVERED, now_s)
        return self._state

    def left_s(self, now_s: float) -> float:
        """Return how long it is still left alone, 0 when it is not."""
        is_left = self.state_at(now_s) is State.QUARANTINED
        return self._until_s - now_s if is_left else 0.0

    def release(self, now_s: float) -> None:
        """Let it run, as an operator says."""
        self._move(Event.RELEASED, now_s)

    def _move(self, event: Event, now_s: float) -> None:
        before, self._state = self._state, TRANSITIONS[self._state, event]
        if self._state is State.SERVING:
            if before is not State.SERVING or event is Event.RELEASED:
                self._crashes_s.clear()
        elif self._state is not before:
            is_resting = self._state is State.QUARANTINED
            self._until_s = now_s + (self.patience.rest_s if is_resting else self.patience.window_s)
