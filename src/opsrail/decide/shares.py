"""What share of a lane's devices the classes above leave to each class, from what came lately. Pure; time is an argument."""

from __future__ import annotations

from opsrail.decide.asks import RANKS

COUNTING_S, WEIGHT = 0.05, 0.25
"""Ours: arrivals are counted that often, and the last count weighs so much: a burst is known after some 100 ms."""
LEAST_LEFT = 0.05
"""Ours: the share left to the lowest class in reckoning, however much comes above it; it waits 20 times as long then."""


class Shares:
    """The shares of one lane.

    Attributes:
        offered: Asks since the last count, by rank; its owner adds to it.
        left: Share of the devices that is left for each rank, above 0 and at most 1.
    """

    __slots__ = ("_counted_s", "left", "offered")

    def __init__(self) -> None:
        self.offered = [0, 0, 0]
        self.left = [1.0, 1.0, 1.0]
        self._counted_s = 0.0

    def count(self, rows_per_s: float, now_s: float) -> None:
        """Take in what came, if it is time to.

        Args:
            rows_per_s: Rows that the devices serve at most, above 0.
        """
        passed_s = now_s - self._counted_s
        if passed_s < COUNTING_S:
            return
        left = 1.0
        for rank in RANKS:
            self.left[rank] += WEIGHT * (max(LEAST_LEFT, left) - self.left[rank])
            left -= self.offered[rank] / (passed_s * rows_per_s)
            self.offered[rank] = 0
        self._counted_s = now_s
