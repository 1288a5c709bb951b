"""How often something happened, with what that says of how often it happens."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

from opsrail.errors import InvalidInput

CONFIDENCE = 0.95
LEAST = 30
"""Ours: below so few a share is told with an interval so wide that it says nothing; at 30 of which none it ends at 11%."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A share that was seen, and between what the true one lies.

    Attributes:
        hits: How often it happened.
        of: Of how many.
        ratio: hits / of; None when there is nothing to count.
        low, high: Interval of the true share, ratios; 0 and 1 when nothing is known.
    """

    hits: int
    of: int
    ratio: float | None
    low: float
    high: float


def rate(hits: int, of: int, *, confidence: float = CONFIDENCE) -> Rate:
    """Return a share with Wilson's interval.

    Args:
        hits: 0..of.
        confidence: How often such an interval holds the true share, on average over shares. Ratio, 0 < confidence < 1.

    Raises:
        InvalidInput: there is no such share or confidence. Terminal.

    Source:
        Wilson 1927, Journal of the American Statistical Association 22; chosen as Brown, Cai, DasGupta 2001, Statistical
        Science 16, advise: near its confidence on average, also for few and rare. It is no guarantee at every share, as
        `opsrail lab tune` needs one and takes the exact bound.

    Example:
        >>> found = rate(5, 100)
        >>> round(found.low, 4), round(found.high, 4)
        (0.0215, 0.1118)
    """
    if not 0 <= hits <= of or not 0 < confidence < 1:
        raise InvalidInput(f"there is no share of {hits} in {of} with confidence {confidence}")
    if not of:
        return Rate(0, 0, None, 0.0, 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, slack = hits / of, z * z / of
    middle = (share + slack / 2) / (1 + slack)
    half = z * (share * (1 - share) / of + slack / (4 * of)) ** 0.5 / (1 + slack)
    low = (
        max(0.0, middle - half) if hits else 0.0
    )  # what rounding leaves must not part the share from its interval
    return Rate(hits, of, share, low, min(1.0, middle + half) if hits < of else 1.0)


def count_for(half_width: float, share: float, *, confidence: float = CONFIDENCE) -> int:
    """Return how many it takes until an interval is no wider than twice `half_width`, about.

    Source:
        The normal interval solved for its count: z^2 p (1 - p) / w^2.

    Example:
        >>> count_for(0.01, 0.05)
        1825
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return max(LEAST, round(z * z * share * (1 - share) / half_width**2))
