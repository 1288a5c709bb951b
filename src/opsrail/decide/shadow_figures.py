"""What became of the rows that challengers were offered, by point and challenger, since the process began. No logic."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from opsrail.decide.figures import Spent, place_of, spent_of
from opsrail.values.shadows import ShadowScoreRow

FULL, CLOSING, UNWRITTEN = "full", "closing", "unwritten"
"""Why a row was dropped: no room, or too much else to do; the process ended; the database did not take it."""


class ShadowStats(NamedTuple):
    """How one challenger fares at one point in this process.

    Attributes:
        model: `name/number`.
        point: The decision point.
        state: `loading`, `scoring`, `paused` (the process has no time for it), `hung` (its last call was given up and
            has not ended) or `failed` (it cannot be loaded).
        queued: Rows that wait for it, of all points.
        lag_s: How long the oldest of them has waited.
        offered: Decisions it was to score along.
        scored: Those it has a score for.
        failed: Those it has none for, by code.
        dropped: Those it was not asked for or whose row was not kept, by why: `full`, `closing`, `unwritten`.
        agreed: Scores to which policy says what it said to the score of the version that answered.
        disagreed: Scores to which it says something else.
        call_ms: Percentiles of its calls, counted by row; None before the first.
        cost_usd: Of its calls.
    """

    model: str
    point: str
    state: str
    queued: int
    lag_s: float
    offered: int
    scored: int
    failed: Mapping[str, int]
    dropped: Mapping[str, int]
    agreed: int
    disagreed: int
    call_ms: Spent | None
    cost_usd: float

    @property
    def disagreed_ratio(self) -> float | None:
        """Disagreements among the scores; None before the first."""
        known = self.agreed + self.disagreed
        return self.disagreed / known if known else None


class ShadowFigures:
    """Counts for one challenger at one point."""

    def __init__(self, point: str, model: str) -> None:
        self.point: Final = point
        self.model: Final = model
        self.offered = self.scored = self.agreed = self.disagreed = 0
        self.failed: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.cost_usd = 0.0
        self._spent: Counter[int] = Counter()

    def add(self, row: ShadowScoreRow, answered: str | None) -> None:
        """Count what a challenger said.

        Args:
            answered: The verdict on the score of the version that answered; None: there was no such score.
        """
        if row.code is not None:
            self.failed[row.code] += 1
            return
        self.scored += 1
        self.cost_usd += row.cost_usd
        self._spent[place_of(row.latency_us)] += 1
        if answered == row.verdict:
            self.agreed += 1
        elif answered is not None:
            self.disagreed += 1

    def stats(self, state: str, queued: int, lag_s: float) -> ShadowStats:
        """Return the counts, with how it is now."""
        return ShadowStats(
            self.model,
            self.point,
            state,
            queued,
            lag_s,
            self.offered,
            self.scored,
            dict(self.failed),
            dict(self.dropped),
            self.agreed,
            self.disagreed,
            spent_of(self._spent) if self._spent else None,
            self.cost_usd,
        )
