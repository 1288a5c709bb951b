"""How far the scores of two models lie apart, and what calls took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
PARTS = 10
LEAST_FOR_PSI = 100
"""Ours: ten scores a part, on average; below, the stability index is mostly chance."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Scores of one model beside another's.

    Attributes:
        scores, other_scores: How many of each.
        ks: Kolmogorov-Smirnov distance: the most by which the share of scores below some value differs. Ratio.
        psi: Population stability index, nats; None below `LEAST_FOR_PSI` scores. Under 0.1 is calm, over 0.25 is alarming
            (rule of thumb, not a test).
        mean, other_mean: Of the scores.
        quantiles, other_quantiles: By quantile.
    """

    scores: int
    other_scores: int
    ks: float
    psi: float | None
    mean: float
    other_mean: float
    quantiles: Mapping[float, float]
    other_quantiles: Mapping[float, float]


def shift(scores: ArrayLike, others: ArrayLike) -> Shift | None:
    """Return how far two models' scores lie apart; None when either has none.

    Args:
        scores: float64 [n]; NaN: none was had, left out.
        others: float64 [m]; of the same requests or of others.

    Source:
        Distance: Kolmogorov 1933, Smirnov 1948. No p-value is told: of the same requests the scores are not independent.
        Index: Siddiqi 2006, Credit Risk Scorecards; its parts are the tenths of `others`, each share with half a score
        added, so that the logarithm stays finite.

    Example:
        >>> shift([0.1, 0.2], [0.2, 0.3]).ks
        0.5
    """
    both = (np.asarray(one, dtype=np.float64) for one in (scores, others))
    mine, theirs = (one[~np.isnan(one)] for one in both)
    if not len(mine) or not len(theirs):
        return None
    return Shift(
        len(mine),
        len(theirs),
        distance(mine, theirs),
        stability(mine, theirs) if min(len(mine), len(theirs)) >= LEAST_FOR_PSI else None,
        float(mine.mean()),
        float(theirs.mean()),
        dict(zip(QUANTILES, np.quantile(mine, QUANTILES).tolist(), strict=True)),
        dict(zip(QUANTILES, np.quantile(theirs, QUANTILES).tolist(), strict=True)),
    )


def distance(scores: Floats, others: Floats) -> float:
    """Return the Kolmogorov-Smirnov distance of two samples, each with one score at least."""
    places = np.unique(np.concatenate([scores, others]))
    below = np.searchsorted(np.sort(scores), places, side="right") / len(scores)
    others_below = np.searchsorted(np.sort(others), places, side="right") / len(others)
    return float(np.abs(below - others_below).max())


def stability(scores: Floats, others: Floats, *, parts: int = PARTS) -> float:
    """Return the population stability index of two samples, nats, >= 0."""
    edges = np.unique(np.quantile(others, np.arange(1, parts) / parts))
    shares = [
        (np.bincount(np.searchsorted(edges, one, side="right"), minlength=len(edges) + 1) + 0.5)
        / (len(one) + 0.5 * (len(edges) + 1))
        for one in (scores, others)
    ]
    return float(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum())


@dataclass(frozen=True, slots=True)
class Spread:
    """What calls took, milliseconds."""

    calls: int
    p50: float
    p95: float
    p99: float


def spread(latencies_us: ArrayLike) -> Spread | None:
    """Return percentiles of times in microseconds; None of none."""
    times = np.asarray(latencies_us, dtype=np.float64)
    if not len(times):
        return None
    p50, p95, p99 = (np.quantile(times, (0.5, 0.95, 0.99)) / 1000).tolist()
    return Spread(len(times), p50, p95, p99)
