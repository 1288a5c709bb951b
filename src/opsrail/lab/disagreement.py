"""Where two judges of the same requests disagree: how often, in which segments most, and beyond chance or not.

found = disagree(challenger_verdicts, champion_verdicts, fields={"age": ages, "area": areas})
print(found.rate, [one.segment for one in found.worst])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opsrail.errors import Fault, InvalidInput
from opsrail.lab.agreement import Confusion, Kappa, confusion, kappa
from opsrail.lab.rates import CONFIDENCE, LEAST, Rate, rate
from opsrail.lab.segments import FALSE_DISCOVERY, SegmentRate, worst_segments


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
    is_known = np.array(
        [one is not None and other is not None for one, other in zip(first, second, strict=True)],
        dtype=np.bool_,
    )
    left = (
        np.isin(first, list(referred)) | np.isin(second, list(referred))
        if referred
        else np.zeros(len(first), np.bool_)
    )
    is_compared = is_known & ~left
    own, other = first[is_compared], second[is_compared]
    differs: NDArray[np.bool_] = np.array(own != other, dtype=np.bool_)
    known = confusion(first[is_known].tolist(), second[is_known].tolist(), order)
    compared = confusion(own.tolist(), other.tolist(), order)
    places = np.flatnonzero(is_compared).tolist()
    return Disagreement(
        rate(int(differs.sum()), len(differs), confidence=confidence),
        int((is_known & left).sum()),
        int((~is_known).sum()),
        known,
        kappa(compared.counts, confidence=confidence),
        tuple(
            worst_segments(
                differs,
                {name: [values[place] for place in places] for name, values in told.items()},
                least=least,
                false_discovery=false_discovery,
                confidence=confidence,
            )
        ),
        least,
    )


def _check(count: int, **columns: Sequence[Any]) -> None:
    found = [
        Fault(name, f"has {len(column)} values, not {count}")
        for name, column in columns.items()
        if len(column) != count
    ]
    if found:
        raise InvalidInput("verdicts and fields must be of the same requests", found)
