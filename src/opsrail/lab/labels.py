"""Decisions with what became of them, as arrays: who was looked at, with what chance, and what is not known.

A label counts where people looked with a known chance. Nobody's label is made up:

- no label and a ratio below 1: not looked at, by chance; the others speak for it;
- no label and no ratio, or ratio 1: nothing speaks for it, so it counts as what must not happen, in every risk.

Rows that were looked at with unequal chances are thinned to the least chance among those that a share is about: then each
has the same chance to be counted, and counts are binomial again. A row keeps its draw for all thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from opsrail.errors import Fault, InvalidInput

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
MOST_FAULTS = 20
UNKNOWN = -1


@dataclass(frozen=True)
class Labels:
    """Decisions in any order, all arrays [n].

    Attributes:
        scores: float64 in [0, 1].
        truths: int8: 1 the outcome, 0 its opposite, -1 not known.
        ratios: float64 in (0, 1]: the chance with which such a decision is looked at; 1 where nothing is known of it.
        draws: float64 in [0, 1), uniform, independent of all else: what thinning goes by.
    """

    scores: Floats
    truths: NDArray[np.int8]
    ratios: Floats
    draws: Floats

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def is_blind(self) -> Flags:
        """Which have no label and no chance of one."""
        found: Flags = (self.truths == UNKNOWN) & (self.ratios == 1.0)
        return found

    @property
    def is_counted(self) -> Flags:
        """Which may be counted: their label is known, or they count as what must not happen."""
        found: Flags = (self.truths != UNKNOWN) | self.is_blind
        return found

    def where(self, chosen: Flags | NDArray[np.int64]) -> Labels:
        """Return those of them, by flags or in the order of their places."""
        return Labels(
            self.scores[chosen], self.truths[chosen], self.ratios[chosen], self.draws[chosen]
        )

    def kept(self, ratio: float) -> Flags:
        """Return which are counted when each is to have the chance `ratio`, at most the least of those concerned."""
        return self.is_counted & (self.draws * self.ratios < ratio)


def read_labels(
    scores: ArrayLike, labels: ArrayLike, ratios: ArrayLike | None, chance: np.random.Generator
) -> Labels:
    """Return decisions as arrays.

    Args:
        scores: float [n] in [0, 1].
        labels: bool, or 1, 0 and NaN (or None) for not known. [n]
        ratios: float [n] above 0 and up to 1, NaN (or None) where there is no chance; None: 1 for all.
        chance: For the draws that thinning goes by.

    Raises:
        InvalidInput: lengths differ, or values are out of range; all faults at once, 20 at most a column. Terminal.
    """
    columns = {"scores": _floats(scores), "labels": _floats(labels)}
    if ratios is not None:
        columns["ratios"] = _floats(ratios)
    faults = [
        Fault(name, f"must be one row of numbers, has the shape {found.shape}")
        for name, found in columns.items()
        if found.ndim != 1
    ]
    if not faults and len({len(found) for found in columns.values()}) > 1:
        told = ", ".join(f"{len(found)} {name}" for name, found in columns.items())
        faults.append(Fault("", f"must be equally many: {told}"))
    if not faults and not len(columns["scores"]):
        faults.append(Fault("scores", "there are none"))
    faults = faults or list(_value_faults(columns))
    if faults:
        raise InvalidInput("scores and labels cannot be used", faults)
    truths = np.nan_to_num(columns["labels"], nan=UNKNOWN).astype(np.int8)
    chances = np.nan_to_num(columns.get("ratios", np.ones(len(truths))), nan=1.0)
    return Labels(columns["scores"], truths, chances, chance.random(len(truths)))


def _floats(values: Any) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"these are no numbers: {error}") from None


def _value_faults(columns: dict[str, Floats]) -> Iterator[Fault]:
    scores, labels, ratios = columns["scores"], columns["labels"], columns.get("ratios")
    yield from _faults("scores", scores, ~((scores >= 0) & (scores <= 1)), "is not from 0 to 1")
    wrong = ~((labels == 0) | (labels == 1) | np.isnan(labels))
    yield from _faults("labels", labels, wrong, "is neither 0 nor 1 nor missing")
    if ratios is not None:
        wrong = ~((ratios > 0) & (ratios <= 1) | np.isnan(ratios))
        yield from _faults("ratios", ratios, wrong, "is not above 0 and up to 1, nor missing")
        alone = np.isnan(ratios) & ~np.isnan(labels)
        told = (
            "is missing beside a label; give the chance with which it was looked at, 1 if all are"
        )
        yield from _faults("ratios", ratios, alone, told)


def _faults(name: str, values: Floats, wrong: Flags, told: str) -> Iterator[Fault]:
    places = np.flatnonzero(wrong)
    for place in places[:MOST_FAULTS]:
        yield Fault(f"{name}[{place}]", f"{values[place]:g} {told}")
    if len(places) > MOST_FAULTS:
        yield Fault(name, f"{len(places) - MOST_FAULTS} more such values")
