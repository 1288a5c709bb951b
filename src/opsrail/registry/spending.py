"""What was spent in the last hour or day, and whether that is the budget. Pure; time is an argument.

Money is counted in slots of a sixtieth of the window, so the sum is at most one slot behind. A process counts what it spends
itself: several share a budget by each getting its part. A restart begins anew.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

SLOTS = 60
"""Ours: a minute of an hour; a budget that was spent comes free in steps of a minute."""
HOUR_S, DAY_S = 3_600.0, 86_400.0


class Spending:
    """One budget.

    Args:
        limit_usd: What may be spent in the window.
        window_s: How far it looks back.
    """

    def __init__(self, limit_usd: float, window_s: float) -> None:
        self.limit_usd: Final = limit_usd
        self._slot_s = window_s / SLOTS
        self._slots: deque[tuple[int, float]] = deque()

    def add(self, usd: float, now_s: float) -> None:
        """Take in what was spent."""
        slot = int(now_s // self._slot_s)
        if self._slots and self._slots[-1][0] == slot:
            usd += self._slots.pop()[1]
        self._slots.append((slot, usd))

    def spent_usd(self, now_s: float) -> float:
        """Return what was spent within the window."""
        first = int(now_s // self._slot_s) - SLOTS
        while self._slots and self._slots[0][0] <= first:
            self._slots.popleft()
        return sum(usd for _, usd in self._slots)

    def is_spent(self, now_s: float) -> bool:
        """Return whether nothing is left."""
        return self.spent_usd(now_s) >= self.limit_usd


class Budget:
    """The limits of one payer, by hour and by day; 0: none. Threads of several models may add while others look."""

    def __init__(self, usd_per_hour: float = 0.0, usd_per_day: float = 0.0) -> None:
        limits = ((usd_per_hour, HOUR_S), (usd_per_day, DAY_S))
        self._spendings = [Spending(usd, window_s) for usd, window_s in limits if usd > 0.0]
        self._turn = threading.Lock()
        self.total_usd = 0.0
        """Since the process began."""

    def add(self, usd: float, now_s: float) -> None:
        """Take in what was spent."""
        with self._turn:
            self.total_usd += usd
            for spending in self._spendings:
                spending.add(usd, now_s)

    def is_spent(self, now_s: float) -> bool:
        """Return whether one of the limits is reached; never without limits."""
        if not self._spendings:
            return False
        with self._turn:
            return any(spending.is_spent(now_s) for spending in self._spendings)
