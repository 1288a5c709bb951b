"""What a count says of decisions to come, not of the share behind them: the chance of those to come is in it, too.

`tail` of `bounds.py` speaks of the true share. Among the next N decisions the share is another: they have chance of
their own. Let g(t) be the probability that, of the next N, more than the limit of what step t automates is bad. The step
that is taken is known before they come, so the promise fails with the expected g of the step taken. That is the integral,
over x from 0 to 1, of the probability that its g is above x; and "g is above x" is a fixed set of steps, which
`sequence.py` can keep out with any probability b(x). So b is fixed beforehand with an integral of the level, as stairs, and
each step of the path is tested at each stair. Proof, and what is exact: docs/adr/0022-thresholds-with-a-guarantee.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special
from scipy.optimize import brentq

from opsrail.lab.bounds import Counts, Shares, lower, upper

STAIRS = 32
"""Ours: of b(x); fewer allow less, more take longer."""
WEIGHT = 4.0
"""Ours: how fast b(x) falls, as for one of four starts; on two data sets 1, 2 and 10 automated less. All are valid."""
FLOOR_RATIO = 0.05
"""Ours: of the level, what b(x) does not fall below, so that no stair asks for the impossible."""
TOP = 1.5
"""Ours: b(x) is level above this normal quantile of x, where next to nothing is left of it."""
FURTHEST = 16
"""Ours: powers of two; with so many times the labels the share is as good as known."""
PLACE_RATIO, COUNT_RATIO = 0.02, 0.01
"""Ours: of the level, for what share of decisions a step automates, and for how many of the next N that are."""


@dataclass(frozen=True)
class Ahead:
    """What is asked of the decisions to come.

    Attributes:
        horizon: How many decisions are to come.
        level: All that may go wrong on a path. Ratio.
        starts: How many starts share it.
        risks: How many risks are to hold together on the path.
    """

    horizon: int
    level: float
    starts: int
    risks: int

    @property
    def unsure(self) -> float:
        """Chance that the number of the next that a step automates is not within what `Among.ahead` says. Ratio."""
        return COUNT_RATIO * self.level / self.risks

    def stairs(self, labels_a_decision: float) -> tuple[Shares, Shares]:
        """Return the x of each stair, as a chance of one risk, and b(x).

        The form is that which the normal approximation has for one start; any form is valid.

        Args:
            labels_a_decision: Labels for each decision to come, ratio; must not hang on what the labels say.

        Returns:
            float64 [up to STAIRS] each, x ascending, b below 1 and not rising.
        """
        least = 2 * COUNT_RATIO * self.level
        y = np.linspace(special.ndtri(least), TOP, STAIRS)
        x = special.ndtr(y)
        widths = np.diff(np.append(x, 1.0))
        slope = math.sqrt(labels_a_decision)

        def heights(shift: float) -> Shares:
            found: Shares = WEIGHT * special.ndtr(-shift - slope * y)
            return found.clip(FLOOR_RATIO * self.level, 1.0)

        left = (1 - PLACE_RATIO) * self.level - least
        shift = brentq(
            lambda one: float((widths * heights(one)).sum()) - left, -50, 50 + 50 * slope
        )
        b = heights(shift + 1e-9)
        return x[b < 1] / self.risks, b[b < 1]


@dataclass(frozen=True)
class Among:
    """Of which decisions a share is taken, as far as it is known how many will be such.

    Attributes:
        low, high: How many of those seen are such, at least and at most. int64 [steps].
        of: How many were seen.
    """

    low: Counts
    high: Counts
    of: int

    def at(self, places: Counts) -> Among:
        """Return those of some steps."""
        return Among(self.low[places], self.high[places], self.of)

    def ahead(self, asked: Ahead) -> tuple[Counts, Counts]:
        """Return how many of the next will be such, at least and at most. int64 [steps] each.

        With probability 1 - PLACE_RATIO * level / starts the share of such decisions is within an interval (Clopper and
        Pearson); for each share in it, with 1 - `unsure`, their number is within what is returned.
        """
        level = PLACE_RATIO * asked.level / asked.starts / 2
        of = np.full(len(self.low), self.of)
        low, high = lower(self.low, of, level), upper(self.high, of, level)
        tail = asked.unsure / 2
        return _quantile(tail, asked.horizon, low), _quantile(1 - tail, asked.horizon, high)

    @staticmethod
    def all_of(count: int, steps: int) -> Among:
        """Return that all decisions are such."""
        whole = np.full(steps, count)
        return Among(whole, whole, count)


def _quantile(chance: float, count: int, share: Shares) -> Counts:
    """Return the binomial quantile, int64 [n]; all where the share is 1."""
    from scipy.stats import binom

    return np.asarray(binom.ppf(chance, count, share), dtype=np.int64).clip(0, count)


def tail_ahead(bad: Counts, of: Counts, limit: float, among: Among, asked: Ahead) -> Shares:
    """Return what part of the level a step needs for the limit to be kept among the next decisions.

    It is the level times the largest of p(x) / b(x) over the stairs, p(x) being the exact binomial p-value of "the limit is
    broken with a chance above x". So a run that may spend a part of the level, and passes where this is at most that part,
    passes in each stair's own test at that part of b(x).

    Args:
        bad, of: As for `bounds.tail`. int64 [steps].
        among: How many of the next it is about.

    Returns:
        float64 [steps], at most 1; 1 where more than the limit is bad already.
    """
    found = np.ones(len(bad))
    places = np.flatnonzero((of > 0) & (bad <= limit * of))
    if not len(places):
        return found
    counted = float(of[-1]) / max(1.0, float(among.low[-1])) * among.of
    bad, of = bad[places].astype(np.float64), of[places]
    low, high = among.at(places).ahead(asked)
    worst = np.zeros(len(places))
    for x, b in zip(*asked.stairs(counted / asked.horizon), strict=True):
        share = share_at(x - asked.unsure, limit, low, high)
        worst = np.maximum(worst, special.bdtr(bad, of, share) / b)
    found[places] = np.minimum(1.0, asked.level * worst)
    return found


def share_at(x: float, limit: float, low: Counts, high: Counts) -> Shares:
    """Return the least share with which, for some count from low to high, more than the limit is bad with chance x.

    Of counts that allow equally many bad ones the largest is the worst, and is taken one row too large, so that its share
    goes smoothly with how many are allowed; then the first or the last is the worst (by enumeration, see the tests).
    float64 [n].
    """
    first, last = np.floor(limit * low + 1e-9), np.floor(limit * high + 1e-9)
    chance = max(x, 0.0)
    least: Shares = special.betaincinv(last + 1, np.maximum(high, 1) - last, chance)
    for most in (first, np.maximum(first, last - 1)):
        whole = special.betaincinv(most + 1, (most + 1) / limit - most, chance)
        least = np.where(first < last, np.minimum(least, whole), least)
    return least


def upper_ahead(bad: Counts, of: Counts, coming: Counts, level: float) -> Shares:
    """Return the share that so many to come exceed with probability at most `level`, at a threshold given beforehand.

    Args:
        bad, of: Counted. int64 [n].
        coming: How many are to come, same order.

    Returns:
        float64 [n], 1 where nothing is known; the chance is worked out to about 1e-4.

    Source:
        P(hypergeometric <= bad) with `of` drawn from of + coming, bad + c + 1 of them bad, is the chance that so few are bad
        here and more than c there, at its largest; the same as a beta-binomial one: Thatcher 1964, Journal of the Royal
        Statistical Society B 26.
    """
    low, high = np.full(len(bad), -1), np.asarray(coming, dtype=np.int64)
    for _ in range(int(high.max(initial=1)).bit_length() + 1):
        middle = (low + high) // 2
        is_enough = chance_ahead(bad, of, coming, middle) <= level
        low, high = np.where(is_enough, low, middle), np.where(is_enough, middle, high)
    return np.where((of > 0) & (coming > 0), high / np.maximum(1, coming), 1.0)


def chance_ahead(bad: Counts, of: Counts, coming: Counts, most: Counts) -> Shares:
    """Return the chance of at most `bad` here and more than `most` among those to come, at its largest. float64 [n]."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    found = np.zeros(len(bad))
    rest = np.maximum(coming - most, 0.5)
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        share = special.betaincinv(np.maximum(most, 0) + 1.0, rest, special.ndtr(node))
        found += weight * special.bdtr(bad.astype(np.float64), of, share)
    return np.where(most >= coming, 0.0, np.where(most < 0, 1.0, found))


def times_needed(
    bad: int, of: int, limit: float, among: Among, asked: Ahead, part: float
) -> float | None:
    """Return about how many times as many labels are needed, if the share stays; None: no number is enough.

    Args:
        among: At that step alone.
        part: Of the level, what the step may need.
    """

    def is_enough(times: float) -> bool:
        whole = Among(_times(among.low, times), _times(among.high, times), round(among.of * times))
        counts = np.array([math.ceil(bad * times)]), np.array([round(of * times)])
        return bool(tail_ahead(*counts, limit, whole, asked)[0] <= part)

    low, high = 0.0, float(FURTHEST)
    if not is_enough(2**FURTHEST):
        return None
    for _ in range(9):
        middle = (low + high) / 2
        low, high = (low, middle) if is_enough(2**middle) else (middle, high)
    return float(2**high)


def _times(counts: Counts, times: float) -> Counts:
    return np.asarray(np.rint(counts * times), dtype=np.int64)
