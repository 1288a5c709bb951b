"""The devices behind one lane: which batches they run, when the next is free, and whether they hang. Pure.

A batch over its time is expected to take `OVERTIME_RATIO` longer than it took so far, and so on; one far over it hangs.
"""

from __future__ import annotations

from heapq import heappop, heappush, heapreplace
from itertools import count

from opsrail.decide.asks import Batch
from opsrail.decide.gradient import Gradient

HUNG_RATIO = 2.0
HUNG_S = 0.01
"""A batch hangs that took this many times its prediction and this much more. Ours: pauses of the machine are shorter."""
OVERTIME_RATIO = 0.25
"""Ours: guesses that grow, so that a batch that hangs is soon expected to hang for long."""
LEAST_OVERTIME_S = 1e-4


class Devices:
    """The devices of one lane.

    Args:
        number: Batches that can run at once.

    Attributes:
        running: Batches under way.
        hung: Those that hang, as of the last look.
    """

    __slots__ = ("_ends", "_gradient", "_seq", "hung", "running")

    def __init__(self, number: int) -> None:
        self.running = 0
        self.hung = 0
        self._gradient = Gradient(number)
        self._ends: list[tuple[float, int, Batch]] = []
        self._seq = count()

    @property
    def limit(self) -> int:
        """Batches that may be under way at once now."""
        return self._gradient.limit

    @property
    def may_start(self) -> bool:
        """Whether one more batch may start."""
        return self.running < self._gradient.limit

    @property
    def are_hung(self) -> bool:
        """Whether every batch under way hangs, as of the last look."""
        return 0 < self.running <= self.hung

    def hang_s(self, now_s: float) -> float:
        """Return for how long the next device to be free has been at its batch, if all hang; else 0."""
        self.free_s(now_s)
        return now_s - self._ends[0][2].begun_s if self.are_hung else 0.0

    @property
    def at_work(self) -> int:
        """Devices that can be reckoned with, 1 or more."""
        return max(1, self._gradient.limit - self.hung)

    def begin(self, batch: Batch) -> None:
        """Give a batch to a device."""
        self.running += 1
        heappush(self._ends, (batch.expected_s, next(self._seq), batch))

    def end(self, batch: Batch, now_s: float) -> None:
        """Take a batch back."""
        batch.is_done = True
        self.running -= 1
        self.hung -= batch.is_hung
        self.free_s(now_s)

    def learn(self, rows: int, took_s: float, a_s: float, b_s: float) -> None:
        """Take in what a batch took that just ended, and what batches take by what is known now."""
        self._gradient.observe(rows, took_s, a_s, b_s, self.running + 1)

    def free_s(self, now_s: float) -> float:
        """Return when a device will be free, as far as that can be told: now, if one is."""
        ends = self._ends
        while ends:
            end_s, seq, batch = ends[0]
            if batch.is_done:
                heappop(ends)
            elif end_s <= now_s:
                heapreplace(ends, (self._overtime_s(batch, now_s), seq, batch))
            else:
                break
        return ends[0][0] if ends and self.running >= self._gradient.limit else now_s

    def _overtime_s(self, batch: Batch, now_s: float) -> float:
        took_s = now_s - batch.begun_s
        if not batch.is_hung and took_s > HUNG_RATIO * batch.predicted_s + HUNG_S:
            batch.is_hung = True
            self.hung += 1
        batch.expected_s = now_s + max(OVERTIME_RATIO * took_s, LEAST_OVERTIME_S)
        return batch.expected_s
