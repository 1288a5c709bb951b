"""Spans of time, as units of evidence, and the first calls that a version is not held to. Pure.

How long the next span is hangs on spans that are over, never on itself, so nothing that happens in it can choose its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opsrail.watch.signals import CANDIDATE, CHAMPION, Quantile

LEAST_MS, MOST_MS = 1_000, 3_600_000
"""Bounds of a span in which arms are compared. Ours: a burst or a collection passes within a second or two; a point with a
request a minute needs an hour to see both."""
ALONE_MS = 10_000
"""Of spans in which the candidate is held to a limit. Ours: nobody is beside it to tell a gust from its own doing, so a
span is several gusts long."""
CROWDED_COUNT = 3
"""Decisions of the rarer arm with which a span is longer than it need be. Ours: one of each tells most per decision."""
GUST_COUNT, GUST_TIMES = 5, 2.0
"""Latencies of a span without which it cannot be told for a gust; and how far above the usual its median is in one. Ours."""
WARM_COUNT, WARM_MS = 20, 10_000
"""A candidate's first decisions, and the time from its first one, whose latency is not counted. Ours: each process that
serves fills its caches and pools in its first calls; a champion has done so long ago."""


class Spans:
    """Spans that follow each other, of a length that grows while the arms miss each other and shrinks while they crowd.

    Args:
        least_ms: How short they are at least.
        is_fixed: Whether they all are so short.
        state: What `state()` gave.
    """

    def __init__(
        self, least_ms: int, state: Sequence[Any] | None = None, *, is_fixed: bool = False
    ) -> None:
        begun_ms, length_ms, champion, candidate, mostly = state or (None, least_ms, 0, 0, 0)
        self._least_ms, self._most_ms = least_ms, least_ms if is_fixed else MOST_MS
        self._begun_ms: int | None = begun_ms
        self._length_ms: int = length_ms
        self._counts = [champion, candidate]
        self._more_of_champion: int = mostly

    def count(self, arm: int, at_ms: int) -> None:
        """Count a decision; the first of a span begins it."""
        if self._begun_ms is None:
            self._begun_ms = at_ms
        self._counts[arm] += 1
        self._more_of_champion += 1 if arm == CHAMPION else -1

    def is_over(self, at_ms: int) -> bool:
        """Return whether the span ends before a moment."""
        return self._begun_ms is not None and at_ms >= self._begun_ms + self._length_ms

    def end(self) -> None:
        """End the span, and choose how long the next is."""
        rarer = CANDIDATE if self._more_of_champion >= 0 else CHAMPION
        if self._counts[rarer] >= CROWDED_COUNT:
            self._length_ms = max(self._least_ms, self._length_ms // 2)
        elif self._counts[rarer] and not self._counts[1 - rarer]:
            self._length_ms = min(self._most_ms, self._length_ms * 2)
        self._begun_ms, self._counts = None, [0, 0]

    def enter_step(self) -> None:
        """Leave out the span that runs: the arms' shares change in it. Who is rarer is found anew."""
        self._begun_ms, self._counts, self._more_of_champion = None, [0, 0], 0

    def state(self) -> list[Any]:
        """Return it as JSON values."""
        return [self._begun_ms, self._length_ms, *self._counts, self._more_of_champion]


class Slowest:
    """What of the champion's latencies is slow: their 99th percentile while it is calm.

    A span whose median is far above the usual is a gust. Were it counted, only what is slow even for a gust would be slow,
    and a version that is slower at all other times would not be seen. Reads what is over alone.
    """

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        given = state or {}
        self._every, self._calm, self._fresh = (
            Quantile(given.get(name)) for name in ("every", "calm", "fresh")
        )
        self.us: float | None = given.get("us")

    def add(self, latency_us: int) -> None:
        """Count a latency of the champion's in the span that runs."""
        self._fresh.add((latency_us,))

    def end(self) -> None:
        """End the span."""
        fresh, usual = self._fresh, self._every.median()
        if not fresh.count:
            return
        is_gust = (
            usual is not None
            and fresh.count >= GUST_COUNT
            and (fresh.median() or 0.0) > GUST_TIMES * usual
        )
        self._every.merge(fresh)
        if not is_gust:
            self._calm.merge(fresh)
            self.us = self._calm.read()
        self._fresh = Quantile()

    def state(self) -> dict[str, Any]:
        """Return it as JSON values."""
        quantiles = {"every": self._every, "calm": self._calm, "fresh": self._fresh}
        return {"us": self.us, **{name: one.state() for name, one in quantiles.items()}}


class WarmUp:
    """Tells a candidate's first decisions."""

    def __init__(self, state: Sequence[int] | None = None) -> None:
        self._count, self._first_ms = state or (0, 0)

    def is_warm(self, at_ms: int) -> bool:
        """Count a decision whose model was asked; return whether it is behind the first ones."""
        if not self._count:
            self._first_ms = at_ms
        self._count += 1
        return self._count > WARM_COUNT and at_ms >= self._first_ms + WARM_MS

    def state(self) -> list[int]:
        """Return it as JSON values."""
        return [self._count, self._first_ms]
