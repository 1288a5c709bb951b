"""The bulkhead of one model version: a bound on the rows that wait for it, so that one that hangs fills no memory. Pure."""

from __future__ import annotations

from typing import Final


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
        self.in_flight = 0
        self.refused = 0

    def enter(self) -> bool:
        """Take a place; False: there is none, ask nothing."""
        if self.in_flight >= self.most:
            self.refused += 1
            return False
        self.in_flight += 1
        return True

    def leave(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
