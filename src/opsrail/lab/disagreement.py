"""Where two judges of the same requests disagree: how often, in which segments most, and beyond chance or not.

found = disagree(challenger_verdicts, champion_verdicts, fields={"age": ages, "area": areas})
print(found.rate, [one.segment for one in found.worst])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from opsrail.errors import Fault, InvalidInput
from opsrail.lab.agreement import Confusion, Kappa, confusion, kappa
from opsrail.lab.rates import CONFIDENCE, LEAST, Rate, rate
from opsrail.lab.segments import (
    FALSE_DISCOVERY,
    Flags,
    SegmentRate,
    Words,
    worst_segments,
)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """How two judges disagree.

    Attributes:
        rate: Compared decisions on which their verdicts differ.
        referred: Decisions with a verdict of both on which one left it to people: they are in `confusion`, and nowhere else.
        unknown: Decisions on which one of them has no verdict.
        confusion: Rows are mine, columns theirs.
        kappa: Of the compared decisions.
        segments: Every segment of every field, those told as worse first.
        least: Compared decisions that a statement needs.
    """

    rate: Rate
    referred: int
    unknown: int
    confusion: Confusion
    kappa: Kappa
    segments: tuple[SegmentRate, ...]
    least: int

    @property
    def is_enough(self) -> bool:
        """Whether there were enough to compare for any statement."""
        return self.rate.of >= self.least

    @property
    def worst(self) -> tuple[SegmentRate, ...]:
        """The segments that are told as worse than the rest."""
        return tuple(one for one in self.segments if one.is_worse)


def disagree(
    mine: Sequence[str | None],
    theirs: Sequence[str | None],
    *,
    fields: Mapping[str, Sequence[Any]] | None = None,
    referred: Sequence[str] = (),
    order: Sequence[str] = (),
    least: int = LEAST,
    false_discovery: float = FALSE_DISCOVERY,
    confidence: float = CONFIDENCE,
) -> Disagreement:
    """Return how two judges of the same n requests disagree.

    Args:
        mine, theirs: Verdicts, [n], same order; None: no verdict.
        fields: Fields of the requests to tell apart by, each [n].
        referred: Verdicts that leave the decision to people, when `theirs` are people's: nothing is compared there.
        order: Verdicts in the order in which the confusion shows them.
        least: Decisions that a statement needs, of the whole, of a segment and of the rest.
        false_discovery: See `worst_segments`.

    Raises:
        InvalidInput: the arrays differ in length. Terminal: fix the caller.

    Example:
        >>> found = disagree(["pay", "pay", "stop", None], ["pay", "stop", "stop", "pay"])
        >>> found.rate.hits, found.rate.of, found.unknown
        (1, 3, 1)
    """
    told = fields or {}
    _check(len(mine), theirs=theirs, **told)
    first, second = np.array(list(mine), dtype=object), np.array(list(theirs), dtype=object)
    known, left = _known(first) & _known(second), _are(first, referred) | _are(second, referred)
    is_compared = known & ~left
    own, other = first[is_compared].tolist(), second[is_compared].tolist()
    differs = [one != another for one, another in zip(own, other, strict=True)]
    places = np.flatnonzero(is_compared).tolist()
    inside = {name: [values[place] for place in places] for name, values in told.items()}
    segments = worst_segments(
        differs, inside, least=least, false_discovery=false_discovery, confidence=confidence
    )
    return Disagreement(
        rate(sum(differs), len(differs), confidence=confidence),
        int((known & left).sum()),
        int((~known).sum()),
        confusion(first[known].tolist(), second[known].tolist(), order),
        kappa(confusion(own, other).counts, confidence=confidence),
        tuple(segments),
        least,
    )


def _known(verdicts: Words) -> Flags:
    return np.array([one is not None for one in verdicts], dtype=np.bool_)


def _are(verdicts: Words, words: Sequence[str]) -> Flags:
    return np.array([one in words for one in verdicts], dtype=np.bool_)


def _check(count: int, **columns: Sequence[Any]) -> None:
    found = [
        Fault(name, f"has {len(column)} values, not {count}")
        for name, column in columns.items()
        if len(column) != count
    ]
    if found:
        raise InvalidInput("verdicts and fields must be of the same requests", found)
