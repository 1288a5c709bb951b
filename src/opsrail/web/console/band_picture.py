"""Where a score stands among the bands: geometry for a picture, and the same in words. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from opsrail.values.bands import Band, band_of

WIDTH = 1_000.0
"""Units of the picture's breadth: a score of 1."""
NARROW = 0.05
"""Where a band is narrower, breadths go by the square root, so that it can be seen. Ours: a limit of 0.02 is 14 % then."""
SHADES = 5
"""Fills that bands take in turn; the style sheet has so many."""


class Stripe(NamedTuple):
    """One band as it is drawn.

    Attributes:
        x, width: In `WIDTH`ths.
        shade: Which fill, 0..4.
        has_score: Whether the score lies in it.
    """

    verdict: str
    above: float
    below: float
    x: float
    width: float
    shade: int
    has_score: bool

    @property
    def text(self) -> str:
        """Return its limits in words."""
        if self.above == 0:
            return "every score" if self.below > 1 else f"below {self.below:g}"
        return (
            f"{self.above:g} and more"
            if self.below > 1
            else f"{self.above:g} to below {self.below:g}"
        )


class Picture(NamedTuple):
    """Bands with a score on them.

    Attributes:
        x: Where the score stands, in `WIDTH`ths; None: there is none.
        is_rooted: Whether breadths go by the square root of scores.
        words: All of it in one sentence.
    """

    stripes: tuple[Stripe, ...]
    x: float | None
    is_rooted: bool
    words: str


def picture(bands: Sequence[Band], score: float | None) -> Picture:
    """Return the picture of bands that cover all scores from 0 to 1."""
    held = None if score is None else band_of(bands, score)
    limits = [0.0, *(min(band.below, 1.0) for band in bands)]
    is_rooted = any(0 < upper - above < NARROW for above, upper in itertools.pairwise(limits))

    def place_of(value: float) -> float:
        return WIDTH * (math.sqrt(value) if is_rooted else value)

    stripes = tuple(
        Stripe(
            band.verdict,
            above,
            band.below,
            place_of(above),
            place_of(upper) - place_of(above),
            place % SHADES,
            band is held,
        )
        for place, (band, (above, upper)) in enumerate(
            zip(bands, itertools.pairwise(limits), strict=True)
        )
    )
    listed = "; ".join(f"{one.verdict}: {one.text}" for one in stripes)
    told = "There is no score" if held is None else f"The score {score:.4g} lies in {held.verdict}"
    x = None if score is None else place_of(score)
    return Picture(stripes, x, is_rooted, f"{told}. {listed}.")
