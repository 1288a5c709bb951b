"""What is planned in virtual time. Things planned for one moment happen in the order in which they were planned."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any

NEVER_S = float("inf")


class Timeline:
    """A list of what comes.

    Attributes:
        now_s: Virtual time, seconds from the begin.
        next_s: When the next planned thing happens; `NEVER_S`: nothing is planned.
        steps: Things that happened.
    """

    __slots__ = ("_planned", "_turns", "next_s", "now_s", "steps")

    def __init__(self) -> None:
        self._planned: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._turns = count()
        self.now_s = 0.0
        self.next_s = NEVER_S
        self.steps = 0

    def plan(self, at_s: float, call: Callable[..., None], *args: Any) -> None:
        """Call something at a moment that is not past."""
        heappush(self._planned, (at_s, next(self._turns), call, args))
        if at_s < self.next_s:
            self.next_s = at_s

    def step(self) -> None:
        """Go to the next planned moment and do what was planned."""
        planned = self._planned
        self.now_s, _, call, args = heappop(planned)
        self.next_s = planned[0][0] if planned else NEVER_S
        self.steps += 1
        call(*args)
