"""How a finder weighs what it sees, and what it gives back.

Each sighting of a value brings points for a sign it bears (a label, a place, sums that agree). A sign counts once
for a value, its different signs add up, and values compete: the winner's share of `exp(points)`, against the
others and against "none of them", is how sure the finder is. That times how sure the engine was of the characters
is the field's confidence. Points are log-odds in all but name, set by hand on the shipped receipts.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import NamedTuple

from opsrail.values.documents import TextLine

NONE_POINTS = 0.8
"""What "none of the values seen" weighs: a lone plain label (2.2) comes out at 0.8. Source: ours."""


class Sighting(NamedTuple):
    """A value seen once.

    Attributes:
        value: Canonical text.
        line: Where its characters stand.
        sign: What speaks for it; the same sign twice counts once.
        points: What the sign is worth; none when <= 0.
    """

    value: str
    line: TextLine
    sign: str
    points: float


class Finding(NamedTuple):
    """The value a finder settled on.

    Attributes:
        value: Canonical text.
        line: The best place it was seen.
        confidence: In [0, 1].
    """

    value: str
    line: TextLine
    confidence: float


def settle(sightings: Sequence[Sighting]) -> Finding | None:
    """Return the value with the most points, None when no value has any.

    The engine's certainty of a value seen more than once is that not all sightings are misread, each taken on its
    own.
    """
    signs: dict[str, dict[str, float]] = {}
    for seen in sightings:
        if seen.points > 0:
            own = signs.setdefault(seen.value, {})
            own[seen.sign] = max(own.get(seen.sign, 0.0), seen.points)
    rivals = {value: sum(own.values()) for value, own in signs.items()}
    if not rivals:
        return None
    value = max(rivals, key=lambda value: rivals[value])
    top = rivals[value]
    share = 1 / (exp(NONE_POINTS - top) + sum(exp(total - top) for total in rivals.values()))
    places = [seen for seen in sightings if seen.value == value and seen.points > 0]
    doubt = 1.0
    for seen in places:
        doubt *= 1 - min(seen.line.confidence, 1.0)
    best = max(places, key=lambda seen: (seen.points, seen.line.confidence))
    return Finding(value, best.line, round(share * (1 - doubt), 4))
