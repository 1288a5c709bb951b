"""How two judges of the same requests agree: their verdicts against each other, beyond chance, and who errs where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from opsrail.lab.rates import CONFIDENCE


@dataclass(frozen=True, slots=True)
class Kappa:
    """Agreement beyond chance: 1 is perfect, 0 is what two judges reach who know only how often each verdict is given.

    Attributes:
        value: -1 to 1; None where it is not defined: all give the same one verdict, or nothing was judged by two.
        low, high: Interval.
    """

    value: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often one gave a verdict where the other gave another.

    Attributes:
        verdicts: In the order of rows and columns.
        counts: counts[i][j]: one says verdicts[i], the other verdicts[j].
    """

    verdicts: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Paired:
    """Two judges held against the same truth on the same decisions.

    Attributes:
        decisions: How many.
        only_mine: Those on which only the first is wrong.
        only_theirs: Those on which only the second is.
        both: Those on which both are.
        p_value: Probability of so uneven a split, or a more uneven one, were both wrong equally often.
    """

    decisions: int
    only_mine: int
    only_theirs: int
    both: int
    p_value: float


def confusion(mine: Sequence[str], theirs: Sequence[str], order: Sequence[str] = ()) -> Confusion:
    """Return verdict against verdict.

    Args:
        mine, theirs: [n], of the same requests in the same order.
        order: Verdicts that come first, in this order; the others follow by name.

    Example:
        >>> confusion(["a", "a", "b"], ["a", "b", "b"]).counts
        ((1, 1), (0, 1))
    """
    given = set(mine) | set(theirs)
    verdicts = [one for one in dict.fromkeys(order) if one in given]
    verdicts += sorted(given - set(verdicts))
    place = {verdict: position for position, verdict in enumerate(verdicts)}
    counts = np.zeros((len(verdicts), len(verdicts)), dtype=np.int64)
    np.add.at(counts, ([place[one] for one in mine], [place[one] for one in theirs]), 1)
    return Confusion(tuple(verdicts), tuple(tuple(row) for row in counts.tolist()))


def kappa(counts: ArrayLike, *, confidence: float = CONFIDENCE) -> Kappa:
    """Return Cohen's kappa with its interval.

    Args:
        counts: Confusion, int [k, k].

    Source:
        Cohen 1960, Educational and Psychological Measurement 20; the error for large samples of Fleiss, Cohen, Everitt
        1969, Psychological Bulletin 72. It depends on how often each verdict is given: two rates beside it say more.

    Example:
        >>> round(kappa([[20, 5], [10, 15]]).value, 3)
        0.4
    """
    table = np.asarray(counts, dtype=np.float64)
    count = table.sum()
    if not count:
        return Kappa(None, -1.0, 1.0)
    shares = table / count
    mine, theirs = shares.sum(axis=1), shares.sum(axis=0)
    observed, chance = float(np.trace(shares)), float(mine @ theirs)
    if chance >= 1.0:
        return Kappa(None, -1.0, 1.0)
    value = (observed - chance) / (1 - chance)
    weights = (theirs[:, None] + mine[None, :]) * (1 - value)
    same = np.diag(shares) * (1 - np.diag(weights)) ** 2
    different = shares * weights**2
    spread = (
        same.sum() + different.sum() - np.trace(different) - (value - chance * (1 - value)) ** 2
    )
    error = float(np.sqrt(max(0.0, spread) / count)) / (1 - chance)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return Kappa(float(value), max(-1.0, float(value) - half), min(1.0, float(value) + half))


def paired(mine_wrong: ArrayLike, theirs_wrong: ArrayLike) -> Paired:
    """Return who is wrong where the other is not, and whether that is chance.

    Args:
        mine_wrong, theirs_wrong: bool [n], of the same decisions in the same order.

    Source:
        McNemar 1947, Psychometrika 12, with the exact binomial test.

    Example:
        >>> paired([True, False, False, False], [False, True, True, False]).p_value
        1.0
    """
    first = np.asarray(mine_wrong, dtype=np.bool_)
    second = np.asarray(theirs_wrong, dtype=np.bool_)
    only_mine, only_theirs = int((first & ~second).sum()), int((second & ~first).sum())
    uneven = only_mine + only_theirs
    p_value = stats.binomtest(only_mine, uneven).pvalue if uneven else 1.0
    return Paired(len(first), only_mine, only_theirs, int((first & second).sum()), float(p_value))


class Rating(NamedTuple):
    """What one judge said of one thing."""

    item: str
    judge: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far several judges agree beyond chance.

    Attributes:
        kappa: Cohen's between two judges, Fleiss' between more.
        method: `cohen`, `fleiss`, or `none`: nothing was judged twice.
        items: Things that were judged by at least two.
        judges: Who judged them.
    """

    kappa: Kappa
    method: str
    items: int
    judges: int


def fleiss(counts: ArrayLike, *, confidence: float = CONFIDENCE) -> Kappa:
    """Return Fleiss' kappa between any number of judges, who need not have judged everything, with its interval.

    Args:
        counts: How many judges gave each verdict to each item. int [items, verdicts]; items that fewer than two judged are
            left out.

    Source:
        Fleiss 1971, Psychological Bulletin 76; items with fewer judges than others and the error for large samples of Gwet
        2021, Educational and Psychological Measurement 81(4), with Student's t of items - 1 degrees of freedom. What one
        judge alone judged says nothing of agreement and is left out, as by Krippendorff 2004, Content Analysis, ch. 11, who
        counts values that can be paired; Gwet keeps it to tell how often verdicts are given, by which a few such items take
        the value below -1. It speaks of items like these, by judges like these.

    Example:
        >>> round(fleiss([[2, 0], [0, 2], [1, 1], [2, 0]]).value, 3)
        0.467
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.size:
        table = table[table.sum(axis=1) >= 2]
    if not table.size:
        return Kappa(None, -1.0, 1.0)
    items, judged = len(table), table.sum(axis=1)
    shares = (table / judged[:, None]).mean(axis=0)
    chance = float(shares @ shares)
    if chance >= 1.0:
        return Kappa(None, -1.0, 1.0)
    same = (table * (table - 1)).sum(axis=1) / (judged * (judged - 1))
    value = float((same.mean() - chance) / (1 - chance))
    if items == 1:
        return Kappa(value, -1.0, 1.0)
    by_chance = (table @ shares) / judged
    each = (same - chance) / (1 - chance)
    each -= 2 * (1 - value) * (by_chance - chance) / (1 - chance)
    error = float(np.sqrt(((each - value) ** 2).sum() / (items * (items - 1))))
    half = float(stats.t.ppf((1 + confidence) / 2, items - 1)) * error
    return Kappa(value, max(-1.0, value - half), min(1.0, value + half))


def agreed(ratings: Iterable[Rating], *, confidence: float = CONFIDENCE) -> Agreement:
    """Return how far judges agree on what at least two of them judged.

    Args:
        ratings: Of one judge and item the last one counts.

    Source:
        Cohen's kappa where two people judged, since each has ways of their own; Fleiss' where more did.

    Example:
        >>> agreed([Rating("a", "ann", "approve"), Rating("a", "bob", "approve")]).items
        1
    """
    said: dict[str, dict[str, str]] = {}
    for item, judge, verdict in ratings:
        said.setdefault(item, {})[judge] = verdict
    shared = [by_judge for by_judge in said.values() if len(by_judge) > 1]
    judges = sorted({judge for by_judge in shared for judge in by_judge})
    if not shared:
        return Agreement(Kappa(None, -1.0, 1.0), "none", 0, 0)
    if len(judges) == 2:
        mine, theirs = ([by_judge[judge] for by_judge in shared] for judge in judges)
        found = kappa(confusion(mine, theirs).counts, confidence=confidence)
        return Agreement(found, "cohen", len(shared), 2)
    verdicts = sorted({verdict for by_judge in shared for verdict in by_judge.values()})
    counts = [[[*by_judge.values()].count(one) for one in verdicts] for by_judge in shared]
    return Agreement(fleiss(counts, confidence=confidence), "fleiss", len(shared), len(judges))
