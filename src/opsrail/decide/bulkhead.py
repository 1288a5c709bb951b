"""The bulkhead of one model version: a bound on the rows that wait for it, so that one that hangs fills no memory. Pure.

The last places are kept for those who matter more: lower classes of criticality find it full earlier.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from opsrail.decide.asks import HIGH

ROOM_RATIOS = (1.0, 0.9, 0.8)
"""Share of the places that a class may fill, by rank. Ours."""


class Bulkhead:
    """Counts rows in flight. `enter` before each ask; `leave` after it, if it was let in.

    Args:
        most: Rows in flight at once.

    Attributes:
        in_flight: Rows asked for and not yet answered or given up.
        refused: Rows turned away since the process began.
    """

    def __init__(self, most: int) -> None:
        self.most: Final = most
        self._room = [ceil(ratio * most) for ratio in ROOM_RATIOS]
        self.in_flight = 0
        self.refused = 0

    def enter(self, rank: int = HIGH) -> bool:
        """Take a place; False: there is none for this class, ask nothing."""
        if self.is_full(rank):
            self.refused += 1
            return False
        self.in_flight += 1
        return True

    def is_full(self, rank: int) -> bool:
        """Return whether there is no place for a class."""
        return self.in_flight >= self._room[rank]

    def leave(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
