"""The circuit breaker of one model version: stops asking a model that fails, and finds out when it works again. Pure.

    closed     --tripped-->    open         half of the last calls failed or were late
    open       --cooled-->     half_open    its time is over: a few probes may pass
    half_open  --relapsed-->   open         a probe failed: twice the time, up to the longest
    half_open  --recovered-->  closed       all probes came back good

Rules: time is an argument; what a call admitted before a move reports after it counts for nothing; every admitted
call reports once, be it that it was given up (`void`).

Source:
    Window, shares and times as resilience4j's count-based circuit breaker has them, with shorter times; ours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Whether calls pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Event(StrEnum):
    """What moves a breaker."""

    TRIPPED = "tripped"
    COOLED = "cooled"
    RELAPSED = "relapsed"
    RECOVERED = "recovered"


class Outcome(StrEnum):
    """How an admitted call ended.

    `void` says nothing about the model: the call was cancelled, refused for the request's own fault, or got too little time.
    """

    GOOD = "good"
    BAD = "bad"
    VOID = "void"


CLOSED, OPEN, HALF_OPEN = State
GOOD, BAD, VOID = Outcome

TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (State.CLOSED, Event.TRIPPED): State.OPEN,
    (State.CLOSED, Event.COOLED): State.CLOSED,
    (State.CLOSED, Event.RELAPSED): State.CLOSED,
    (State.CLOSED, Event.RECOVERED): State.CLOSED,
    (State.OPEN, Event.TRIPPED): State.OPEN,
    (State.OPEN, Event.COOLED): State.HALF_OPEN,
    (State.OPEN, Event.RELAPSED): State.OPEN,
    (State.OPEN, Event.RECOVERED): State.OPEN,
    (State.HALF_OPEN, Event.TRIPPED): State.HALF_OPEN,
    (State.HALF_OPEN, Event.COOLED): State.HALF_OPEN,
    (State.HALF_OPEN, Event.RELAPSED): State.OPEN,
    (State.HALF_OPEN, Event.RECOVERED): State.CLOSED,
}
"""Total: every event has its answer in every state."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a breaker moves.

    Attributes:
        window_count: Calls looked back on, at most.
        window_s: Age beyond which a call no longer counts.
        least_count: Calls in the window below which nothing trips it.
        bad_ratio: Share of failed or late calls that trips it.
        open_s: First time it stays open; doubles with each relapse.
        longest_open_s: Limit of that.
        probe_count: Good probes that close it; no more are under way at once.
    """

    window_count: int = 50
    window_s: float = 10.0
    least_count: int = 10
    bad_ratio: float = 0.5
    open_s: float = 5.0
    longest_open_s: float = 60.0
    probe_count: int = 3


class Breaker:
    """One breaker. `admit` before each call; `settle` with what it gave after it, always."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.state = CLOSED
        self._calls = deque[tuple[float, bool]](maxlen=self.limits.window_count + 1)
        self._bad_count = 0  # of those
        self._generation = 0
        self._open_until_s = 0.0
        self._relapses = 0
        self._probes_out = 0
        self._probes_good = 0

    def admit(self, now_s: float) -> int | None:
        """Return a permit to call, None when the model must be left alone."""
        if self.state is CLOSED:
            return self._generation
        if self.state is OPEN and now_s >= self._open_until_s:
            self._move(Event.COOLED, now_s)
        if self.state is OPEN:
            return None
        if self.state is HALF_OPEN:
            if self.is_blocking(now_s):
                return None
            self._probes_out += 1
        return self._generation

    def settle(self, permit: int, outcome: Outcome, now_s: float) -> None:
        """Take in how an admitted call ended."""
        if permit != self._generation:
            return
        if self.state is HALF_OPEN:
            self._probes_out -= 1
            if outcome is BAD:
                self._move(Event.RELAPSED, now_s)
            elif outcome is GOOD:
                self._probes_good += 1
                if self._probes_good >= self.limits.probe_count:
                    self._move(Event.RECOVERED, now_s)
        elif outcome is not VOID:
            is_bad = outcome is BAD
            self._calls.append((now_s, is_bad))
            self._bad_count += is_bad
            if self._bad_count and self._is_over_limit(now_s):
                self._move(Event.TRIPPED, now_s)

    def closed_in_s(self, now_s: float) -> float:
        """Return the seconds until probes may pass, 0 when calls do."""
        return max(0.0, self._open_until_s - now_s) if self.state is OPEN else 0.0

    def is_blocking(self, now_s: float) -> bool:
        """Return whether a call would be turned away now: it is open, or as many probes are out as may be."""
        if self.state is HALF_OPEN:
            return self._probes_out + self._probes_good >= self.limits.probe_count
        return self.closed_in_s(now_s) > 0.0

    def _is_over_limit(self, now_s: float) -> bool:
        calls, limits = self._calls, self.limits
        while len(calls) > limits.window_count or now_s - calls[0][0] > limits.window_s:
            self._bad_count -= calls.popleft()[1]
        count = len(calls)
        return count >= limits.least_count and self._bad_count >= limits.bad_ratio * count

    def _move(self, event: Event, now_s: float) -> None:
        self.state = TRANSITIONS[self.state, event]
        self._generation += 1
        self._probes_out = self._probes_good = 0
        self._calls.clear()
        self._bad_count = 0
        if event is Event.RECOVERED:
            self._relapses = 0
        elif self.state is OPEN:
            open_s = self.limits.open_s * 2 ** min(self._relapses, 30)
            self._open_until_s = now_s + min(open_s, self.limits.longest_open_s)
            self._relapses += 1
