"""How long a remote model takes, learned from its last answers: when a second ask is worth it. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque

WINDOW_COUNT = 100
"""Answers looked back on. Ours: some seconds of a quiet model, and sorting in a new one costs next to nothing."""
LEAST_COUNT = 20
"""Answers below which nothing is known. Ours: of fewer the 95th percentile is the largest."""
QUANTILE = 0.95
"""Source: Dean and Barroso, The Tail at Scale (2013): a second ask after the 95th percentile adds about 5% of load."""


class Latency:
    """The last answers' times, in order of arrival and of size."""

    def __init__(self) -> None:
        self._arrived: deque[float] = deque()
        self._sorted: list[float] = []

    def observe(self, spent_s: float) -> None:
        """Take in how long an answer took; of an ask that was given up, how long it had taken until then."""
        self._arrived.append(spent_s)
        insort(self._sorted, spent_s)
        if len(self._arrived) > WINDOW_COUNT:
            del self._sorted[bisect_left(self._sorted, self._arrived.popleft())]

    def hedge_after_s(self) -> float | None:
        """Return the time after which an answer is late for this model, None while too little is known."""
        count = len(self._sorted)
        if count < LEAST_COUNT:
            return None
        return self._sorted[math.ceil(QUANTILE * count) - 1]
