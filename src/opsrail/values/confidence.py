"""How far a score can be trusted, measured instead of felt.

A score near 0 or 1 is not a trusted score: where positives are rare nearly all scores are near 0, and distance from 0.5
says nothing. Here confidence is the evidence behind a score: cut [0, 1] into bands, count in cases that the model was
not fitted on how many scored in each band and how many of them were positive, and take the width of the interval for
the band's true rate. Many like cases make a narrow interval and a confidence near 1; a band nobody has seen has 0.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

WILSON_Z = 1.959964
"""Standard normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class ConfidenceTable:
    """Confidence by band of score.

    Attributes:
        edges: Inner edges of the bands, ascending, each in (0, 1); a score on an edge belongs above it. [bands - 1].
        confidences: One a band, in [0, 1]. [bands].

    Raises:
        ValueError: the two do not fit each other or break the ranges. Terminal: the table is wrong, not the score.
    """

    edges: tuple[float, ...]
    confidences: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(
            low < high for low, high in zip((0.0, *self.edges), (*self.edges, 1.0), strict=True)
        )
        if not rising or len(self.confidences) != len(self.edges) + 1:
            raise ValueError("edges must rise within (0, 1) and be one fewer than the confidences")
        if not all(0.0 <= confidence <= 1.0 for confidence in self.confidences):
            raise ValueError("each confidence must be in [0, 1]")

    def at(self, value: float) -> float:
        """Return the confidence of a score in [0, 1]."""
        return self.confidences[bisect_right(self.edges, value)]


def measured_confidence(
    scores: Iterable[float], truths: Iterable[bool], edges: Sequence[float]
) -> ConfidenceTable:
    """Return the table measured on cases the model was not fitted on.

    Args:
        scores: In [0, 1].
        truths: What turned out true, in the order of the scores.
        edges: Inner edges of the bands, ascending, in (0, 1).

    Source:
        Interval: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22. Bands:
        histogram binning, Zadrozny and Elkan 2001, ICML. One minus the width as confidence: ours.

    Example:
        >>> measured_confidence([0.1] * 400, [False] * 380 + [True] * 20, [0.5]).confidences
        (0.9565, 0.0)
    """
    seen = [0] * (len(edges) + 1)
    positive = [0] * (len(edges) + 1)
    for score, truth in zip(scores, truths, strict=True):
        band = bisect_right(edges, score)
        seen[band] += 1
        positive[band] += truth
    widths = [wilson_width(count, total) for count, total in zip(positive, seen, strict=True)]
    return ConfidenceTable(tuple(edges), tuple(round(1.0 - width, 4) for width in widths))


def wilson_width(positive_count: int, seen_count: int) -> float:
    """Return the width of the 95 % Wilson interval for a rate, in (0, 1]; 1 when nothing was seen."""
    if seen_count == 0:
        return 1.0
    square = WILSON_Z**2
    rate = positive_count / seen_count
    spread = math.sqrt(rate * (1.0 - rate) / seen_count + square / (4.0 * seen_count**2))
    return 2.0 * WILSON_Z * spread / (1.0 + square / seen_count)


def entropy_confidence(value: float) -> float:
    """Return one minus the entropy of a yes/no answer in bits: 0 at 0.5, 1 at 0 and 1.

    For models that come without a measured table; it trusts the model's own probability.

    Source:
        Shannon 1948, "A mathematical theory of communication", section 6.

    Example:
        >>> round(entropy_confidence(0.06), 3)
        0.673
    """
    if value <= 0.0 or value >= 1.0:
        return 1.0
    entropy_bits = -value * math.log2(value) - (1.0 - value) * math.log2(1.0 - value)
    return min(1.0, max(0.0, 1.0 - entropy_bits))
