"""How many decisions may be under way in one process, and who is refused when it is full. Pure; time is an argument.

A lane (`lane`) sees the queue of its model. What waits before it (for the event loop, to be read, to be recorded) no lane
sees, and where the process itself is the bottleneck that is where requests grow old. So the answers tell: each used a part
of the time its caller had. Where those parts grow past `TARGET_RATIO` fewer may be under way at once, while they stay below
it more; in a round of as many answers as may be under way, one step. What is refused costs a tenth of a decision.

Rules:
1. A class is let in up to its share of the places, so that the lowest is refused first and `high` last: it may go beyond
   them. The share of a class is halved in each round in which a higher one was refused, and comes back step by step: what is
   left of a process that is offered several times its capacity goes to `high`.
2. The time spent on the model does not count: one that is slow, or hangs, says nothing about this process, and its own
   queue refuses what it cannot answer.
3. Many requests are read before the first of them takes its place: who was let in and has not taken one counts too.
4. The limit never falls below `LEAST`, and grows only while it is reached.

Source:
    Additive increase, multiplicative decrease: Chiu and Jain 1989; a limit on concurrency instead of a rate, learned from
    latency: Netflix's concurrency-limits. Measured against the caller's own deadline: ours.
"""

from __future__ import annotations

from typing import NamedTuple

from opsrail.decide.asks import RANKS
from opsrail.errors import Overloaded

FIRST = 384
"""Places while nothing is known. Ours: the share of `normal` is some 50 ms of a busy core's work."""
LEAST = 8
"""Source: TRUST's floor of 4 for one model, twice: a process has more than one."""
MOST = 20_000
TARGET_RATIO = 0.5
"""Part of its time that a decision may take. Ours: who just missed a round has the other half."""
DOWN, UP = 0.8, 1 / 8
"""Source: Netflix's limits go down by a tenth and up by a root; a caller here has one deadline, so both are quicker."""
SHARES = (1 / DOWN, 0.7, 0.5)
"""Part of the places that each class may take at most, by rank. Ours: a step down leaves `high` what it holds, and a rush
that fills the places of the others finds room for it (modelled on real arrivals: refused went from 1-5% to 0.1-1%)."""
SHARE_DOWN, SHARE_UP = 0.5, 0.05
"""How a class's share follows the refusals of higher ones. Ours: gone within a few rounds, back within twenty."""
AFTER_S = 1.0
"""When to come again. Ours: an overload that ends sooner was a burst."""


class AdmissionStats(NamedTuple):
    """How many decisions may be under way in this process.

    Attributes:
        under_way: Those that are.
        limit: As many may be.
        refused: Refused since the process began, by class: high, normal, low.
    """

    under_way: int
    limit: int
    refused: tuple[int, int, int]


class Admission:
    """The places of one process.

    Attributes:
        limit: Decisions that may be under way at once.
        under_way: Those that are.
        refused: Requests refused since the process began, by rank.
        shares: Part of the places that each class may take now, by rank.
    """

    def __init__(self) -> None:
        self.limit = float(FIRST)
        self.under_way = 0
        self.refused = [0 for _ in RANKS]
        self.shares = list(SHARES)
        self._refused_before = (0,) * len(RANKS)
        self._expected = 0
        self._answers = 0
        self._used = 0.0
        self._most_under_way = 0

    def is_full(self, rank: int) -> bool:
        """Return whether there is no place for a class; whoever is refused for that is counted by `refuse`."""
        return self.under_way + self._expected >= self.limit * self.shares[rank]

    def expect(self) -> bool:
        """Count a request that will take a place; True for the first since `expect_no_more`."""
        self._expected += 1
        return self._expected == 1

    def expect_no_more(self) -> None:
        """Forget who was expected: they take their places now, or never will."""
        self._expected = 0

    def refuse(self, rank: int) -> None:
        """Count a request that was not let in."""
        self.refused[rank] += 1
        self._most_under_way = max(self._most_under_way, self.under_way + 1)

    def enter(self, rank: int) -> bool:
        """Take a place; False: there is none for this class."""
        if self.under_way >= self.limit * self.shares[rank]:
            self.refuse(rank)
            return False
        self.under_way += 1
        if self.under_way > self._most_under_way:
            self._most_under_way = self.under_way
        return True

    def leave(self, took_s: float | None, allowed_s: float) -> None:
        """Give the place back.

        Args:
            took_s: From its arrival to its answer, without its model's time; None: it says nothing about this process.
            allowed_s: What it had, above 0.
        """
        self.under_way -= 1
        if took_s is None:
            return
        self._used += took_s / allowed_s
        self._answers += 1
        if self._answers >= self.limit or self._used > self._answers >= 4 * LEAST:
            self._adjust()

    def stats(self) -> AdmissionStats:
        """Return how full it is, and who was refused."""
        high, normal, low = self.refused
        return AdmissionStats(self.under_way, int(self.limit), (high, normal, low))

    def _adjust(self) -> None:
        if self._used > TARGET_RATIO * self._answers:
            self.limit = max(LEAST, DOWN * min(self.limit, self._most_under_way))
        elif self._most_under_way >= SHARES[-1] * self.limit:
            self.limit = min(MOST, self.limit * (1 + UP) + 1)
        self._share_out()
        self._answers, self._used, self._most_under_way = 0, 0.0, self.under_way

    def _share_out(self) -> None:
        """Take from each class while a higher one is refused, else give back."""
        is_higher_refused = False
        for rank in RANKS:
            if is_higher_refused:
                self.shares[rank] *= SHARE_DOWN
            else:
                self.shares[rank] = min(SHARES[rank], self.shares[rank] + SHARE_UP)
            is_higher_refused |= self.refused[rank] > self._refused_before[rank]
        self._refused_before = tuple(self.refused)


def full() -> Overloaded:
    """Return what who is not let in is told."""
    told = "as many decisions are under way as are answered in time; ask again in a moment"
    return Overloaded(told, after_s=AFTER_S)
