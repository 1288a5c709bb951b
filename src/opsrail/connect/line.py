"""Exact Shapley values of a weighted sum, as linear and logistic regression compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from opsrail.values.explanations import Against, Method


class Line:
    """One weighted sum.

    A column adds its weight times its distance from the mean of the references: for a sum that is the Shapley value,
    whatever the coalition.

    Args:
        weights: float64 [columns]
        base: Added to the sum.
        lows: Least number of each column in training, None when that is not told. float32 [columns]
        highs: As above, the greatest.

    Source:
        Strumbelj and Kononenko 2014, Explaining prediction models and individual predictions with feature contributions,
        Knowledge and Information Systems 41, section 2.
    """

    method: Method = "exact-linear"
    is_whole = False
    without_reference: Against = "zero"

    def __init__(self, weights: Any, base: float, lows: Any = None, highs: Any = None) -> None:
        self._weights = weights
        self._base = base
        self._lows = lows
        self._highs = highs

    def total(self, row: Any) -> float:
        """Return the sum. float32 [columns] in."""
        return self._base + float(self._weights @ row.astype(float))

    def shapley(self, row: Any, references: Sequence[Any]) -> tuple[float, Any]:
        """Return the baseline and each column's exact Shapley value, float64 [columns]."""
        origin = np.mean(references, axis=0, dtype=float) if len(references) else np.zeros(len(row))
        return self._base + float(self._weights @ origin), self._weights * (row - origin)

    def reach(self, row: Any, free: Sequence[int]) -> tuple[float, float]:
        """Return bounds of the sum when the free columns may be anything seen in training."""
        columns = list(free)
        if self._lows is None or self._highs is None:
            return -np.inf, np.inf
        weights, here = self._weights[columns], row[columns].astype(float)
        if np.isnan(self._lows[columns]).any() or np.isnan(self._highs[columns]).any():
            return -np.inf, np.inf
        ends = np.stack([weights * (end[columns] - here) for end in (self._lows, self._highs)])
        total = self.total(row)
        return total + float(ends.min(axis=0).sum()), total + float(ends.max(axis=0).sum())

    def edges(self, column: int) -> tuple[float, ...]:
        """Return none: the sum changes with every number."""
        return ()
