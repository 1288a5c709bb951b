"""A rate among decisions whose truth is known, where not each of them was equally likely to be looked at."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

CONFIDENCE = 0.95


class Weighed(NamedTuple):
    """A rate with its interval.

    Attributes:
        rate: None: nothing is known.
        low, high: Of the interval.
        known: Decisions whose truth is known.
        hits: Of them, how many.
    """

    rate: float | None
    low: float
    high: float
    known: int
    hits: int


class Weights:
    """Sums from which a rate follows; added to part by part."""

    def __init__(self) -> None:
        self._known = self._hits = 0
        self._weight = self._squares = self._hit_weight = 0.0

    def add(self, is_hit: Any, ratios: Any) -> None:
        """Add decisions whose truth is known.

        Args:
            is_hit: bool [rows].
            ratios: With which probability each was looked at, above 0 and up to 1. float64 [rows].
        """
        weights = 1.0 / ratios
        self._known += len(ratios)
        self._hits += int(np.count_nonzero(is_hit))
        self._weight += float(weights.sum())
        self._squares += float((weights**2).sum())
        self._hit_weight += float(weights[is_hit].sum())

    def rate(self, confidence: float = CONFIDENCE) -> Weighed:
        """Return the rate among all that these stand for.

        Where all weigh the same the interval is exact (Clopper-Pearson); else the same with Kish's effective number of
        decisions, which is approximate.

        Source:
            Hajek 1971 for the rate; Clopper and Pearson 1934, Biometrika 26; for the number Kish 1965, Survey Sampling, 8.2.
        """
        if not self._known:
            return Weighed(None, 0.0, 1.0, 0, 0)
        from scipy.stats import beta

        rate = self._hit_weight / self._weight
        size = self._weight**2 / self._squares
        hits, tail = rate * size, (1 - confidence) / 2
        low = float(beta.ppf(tail, hits, size - hits + 1)) if rate > 0 else 0.0
        high = float(beta.ppf(1 - tail, hits + 1, size - hits)) if rate < 1 else 1.0
        return Weighed(rate, low, high, self._known, self._hits)
