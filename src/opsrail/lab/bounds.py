"""What a count says of the share behind it: exact, for any count and any share. numpy arrays in, numpy arrays out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

Counts = NDArray[np.int64]
Shares = NDArray[np.float64]


def tail(bad: Counts, of: Counts, limit: float) -> Shares:
    """Return how probable so few are at most, were the share just at the limit: the p-value of "it is above".

    Args:
        bad: How many were bad. int [n].
        of: Of how many, same order; where 0 nothing is known, and the answer is 1.
        limit: Ratio, 0 < limit < 1.

    Returns:
        Probabilities, float64 [n]. Whatever the share is, if it is above the limit this is at most u with probability
        at most u, for each u, given `of`.

    Source:
        Clopper and Pearson 1934, Biometrika 26; as a p-value for risks: Angelopoulos, Bates, Candes, Jordan, Lei,
        "Learn then Test" (2021; Annals of Applied Statistics 2025), section 3.

    Example:
        >>> round(float(tail(np.array([0]), np.array([299]), 0.01)[0]), 4)
        0.0495
    """
    found: Shares = special.bdtr(bad.astype(np.float64), of, limit)
    return np.where((of > 0) & (bad < of), found, 1.0)


def upper(bad: Counts, of: Counts, level: float) -> Shares:
    """Return the share that is exceeded with probability at most `level`. float64 [n]; 1 where nothing is known.

    Source:
        As `tail`: the largest limit that its test at this level does not refuse.
    """
    some = (of > 0) & (bad < of)
    found = special.betaincinv(bad + 1.0, np.where(some, of - bad, 1), 1 - level)
    return np.where(some, found, 1.0)


def lower(bad: Counts, of: Counts, level: float) -> Shares:
    """Return the share below which the truth is with probability at most `level`. float64 [n]; 0 where nothing is known."""
    some = (of > 0) & (bad > 0)
    found = special.betaincinv(np.where(some, bad, 1), of - bad + 1.0, level)
    return np.where(some, found, 0.0)


def uniform_width(count: int, level: float) -> float:
    """Return how far shares of `count` draws may lie from the true ones, at every threshold at once.

    Returns:
        Ratio; at some threshold it is more with probability at most `level`.

    Source:
        Dvoretzky, Kiefer, Wolfowitz 1956 with the constant of Massart 1990, Annals of Probability 18.
    """
    return min(1.0, math.sqrt(math.log(2 / level) / (2 * count))) if count else 1.0


def count_needed(share: float, limit: float, level: float, *, most: float = 1e9) -> int | None:
    """Return of about how many it must be known, for the limit to be promised if `share` of them are bad.

    Args:
        share: Observed, ratio.
        level: What the p-value must not exceed.

    Returns:
        None where no number is enough: the share is not below the limit, or more than `most` would be needed.

    Source:
        Ours: `tail` with counts that need not be whole, solved for the count.
    """

    def p_value(of: float) -> float:
        return float(special.betainc(of * (1 - share), of * share + 1, 1 - limit))

    if share >= limit:
        return None
    low = high = math.log(level) / math.log1p(-limit)
    while p_value(high) > level:
        low, high = high, 2 * high
        if high > most:
            return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if p_value(middle) > level else (low, middle)
    return math.ceil(high)


def array(values: Any) -> Counts:
    """Return counts as int64."""
    return np.asarray(values, dtype=np.int64)
