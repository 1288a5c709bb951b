"""Tests that may be looked at after every decision: their false alarms are counted over all looks together. Pure.

A test bets against the claim that all is well. Its wealth begins at 1 and, while the claim is true, is not expected to grow,
whatever was seen so far; so the chance that it *ever* reaches 1/a is at most a (Ville, 1939). Nobody has to say beforehand
how many decisions there will be, or when anybody looks.

    LimitTest    the claim: the mean of numbers in [0, 1] is at most a limit
    MarginTest   the claim: one arm's mean is at most a margin above the other's, both counted in the same blocks of time
    SpanTest     the claim: the mean difference of two arms within a span of time is at most a margin

All spread their stake over several sizes of harm, and over the moments at which harm may begin: half is bet from the start,
the rest joins little by little. So a version that was good for a month is caught soon after it turns bad, under the same
false-alarm rate. What a bet multiplies is linear in each number, 1 + b (x - m); hence numbers between 0 and 1 do as well as
yes and no, and means that move within a block do no harm to the bound.

Source:
    Betting on bounded means: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B
    (2024), section 4. Two arms: Turner, Ly and Gruenwald, "Generic E-variables for exact sequential k-sample tests that
    allow for optional stopping", J. Statist. Plan. Inference (2024); Turner and Gruenwald, "Exact anytime-valid confidence
    intervals for contingency tables and beyond", Stat. Probab. Lett. (2023). Mixtures over the moment of a change: Shin,
    Ramdas and Rinaldo, "E-detectors", NEJSDS (2024), with weights that sum to 1, so that the rate is that of the whole run.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Block = Mapping[float, int]
"""How often each number was seen, e.g. {0.0: 97, 1.0: 3}."""

ODDS_RATIOS = (1.2, 1.5, 2.5, 6.0, 20.0)
"""By how much the odds of harm may be above what is claimed. Ours: from hardly worse to broken; each bet gets a fifth."""
SPAN_BETS = (0.1, 0.3, 0.6, 0.98)
"""Parts of the largest bet on a span's difference that cannot lose more than it has. Ours: from small steady harm amid much
noise to broken; each gets a fourth."""
FROM_START = 0.5
"""Part of the stake that is bet from the first block on. Ours: harm that a version brings along is caught first."""
MOST = 1e200
"""Where wealth is cut off: far above what any rate asks for, far below what a float cannot hold."""
GRAIN = 1000
"""Numbers that are neither 0 nor 1 are counted in thousandths, rounded in favour of the claim."""
SETTLED_COUNT = 20
"""Decisions of the champion that its rate is first estimated from, before anything is bet on it. Ours."""
MOST_TRIES, CLOSE_ENOUGH = 60, 1e-12
"""Steps of the search in `_nearest`, by Newton where that stays within what is known, else by halves; and where it ends."""


class LimitTest:
    """Bets against the claim that the mean of numbers in [0, 1] is at most `limit`.

    Args:
        limit: Above 0 and below 1.
        state: What `state()` gave, of a test with the same limit.

    Attributes:
        count: Numbers seen.
        total: Their sum, weighted.
        peak: The highest wealth so far, >= 1: `1 / peak` bounds the chance of such evidence were the claim true.
    """

    def __init__(self, limit: float, state: Mapping[str, Any] | None = None) -> None:
        if not 0.0 < limit < 1.0:
            raise ValueError(f"a limit lies between 0 and 1, not at {limit}")
        self._limit = limit
        self._bets = [
            (_odds(limit, ratio) - limit) / (limit * (1 - limit)) for ratio in ODDS_RATIOS
        ]
        given = state or {}
        self.count: int = given.get("count", 0)
        self.total: float = given.get("total", 0.0)
        self._wealth = Wealth(len(self._bets), given.get("wealth"))

    @property
    def peak(self) -> float:
        return self._wealth.peak

    def observe(self, block: Block, weight: float = 1.0) -> None:
        """Take in numbers that were seen since the last block.

        Args:
            weight: What part of a bet they are worth, above 0 and up to 1: 1 / (chance of being seen), scaled so that the
                largest is 1. With it the claim is about all numbers, not about those that were looked at.
        """
        seen = sum(block.values())
        if not seen:
            return
        rounded = grained(block, math.floor)
        self._wealth.multiply([_log_bet(rounded, bet * weight, self._limit) for bet in self._bets])
        self.count += seen
        self.total += sum(number * times for number, times in block.items())

    def state(self) -> dict[str, Any]:
        """Return what the test has seen, as JSON values."""
        return {"count": self.count, "total": self.total, "wealth": self._wealth.state()}


class MarginTest:
    """Bets against the claim that the candidate's mean is at most `margin` above the champion's.

    Numbers of both arms that came in the same stretch of time are set against each other; those of one arm wait until there
    are some of the other. The bet on a block leans on what the champion did before it, never on the block itself.
    Numbers that come late are told apart by the `stratum` they belong to, e.g. a step, and meet only those of the same:
    otherwise a world that changes while shares grow would look like a difference between the arms.

    Args:
        margin: From 0 and below 1.

    Attributes:
        counts: Numbers seen of champion and candidate, as far as they were compared.
        totals: Their sums.
    """

    def __init__(self, margin: float, state: Mapping[str, Any] | None = None) -> None:
        if not 0.0 <= margin < 1.0:
            raise ValueError(f"a margin lies between 0 and 1, not at {margin}")
        self._margin = margin
        given = state or {}
        self.counts: list[int] = list(given.get("counts", (0, 0)))
        self.totals: list[float] = list(given.get("totals", (0.0, 0.0)))
        self._wealth = Wealth(len(ODDS_RATIOS), given.get("wealth"))
        self._waiting: dict[str, list[Counter[float]]] = {
            stratum: [
                Counter({float(number): times for number, times in held.items()}) for held in both
            ]
            for stratum, both in given.get("waiting", {}).items()
        }

    @property
    def peak(self) -> float:
        """Return the highest wealth so far, >= 1."""
        return self._wealth.peak

    @property
    def is_between_blocks(self) -> bool:
        """Return whether nothing waits to be compared: only then may what is counted change its meaning."""
        return not self._waiting

    def observe(self, champion: Block, candidate: Block, stratum: str = "") -> None:
        """Take in numbers in [0, 1] of both arms that were seen since the last call."""
        held = self._waiting.setdefault(stratum, [Counter(), Counter()])
        held[0].update(grained(champion, math.ceil))
        held[1].update(grained(candidate, math.floor))
        if not held[0] or not held[1]:
            if not held[0] and not held[1]:
                del self._waiting[stratum]
            return
        if self.counts[0] >= SETTLED_COUNT:
            self._bet(*held)
        for arm, block in enumerate(held):
            self.counts[arm] += block.total()
            self.totals[arm] += sum(number * times for number, times in block.items())
        del self._waiting[stratum]

    def _bet(self, champion: Counter[float], candidate: Counter[float]) -> None:
        mean = (self.totals[0] + 0.5) / (self.counts[0] + 1)
        mean = min(mean, (1 - self._margin) * (1 - 1e-4))
        sizes = (champion.total(), candidate.total())
        logs = []
        for ratio in ODDS_RATIOS:
            worse = _odds(mean + self._margin, ratio)
            near = _nearest(mean, worse, self._margin, *sizes)
            logs.append(
                _log_bet(champion, _bet_of(mean, near), near)
                + _log_bet(candidate, _bet_of(worse, near + self._margin), near + self._margin)
            )
        self._wealth.multiply(logs)

    def state(self) -> dict[str, Any]:
        """Return what the test has seen, as JSON values."""
        return {
            "counts": self.counts,
            "totals": self.totals,
            "wealth": self._wealth.state(),
            "waiting": {
                stratum: [
                    {repr(number): times for number, times in block.items()} for block in both
                ]
                for stratum, both in self._waiting.items()
            },
        }


class SpanTest:
    """Bets against the claim that, within a span of time, the candidate's mean is at most `margin` above the champion's.

    One number a span: the difference of the two arms' means in it. What hits all decisions of a moment, of either arm, moves
    both means; how many decisions it hits, and how strongly they hang together, is no evidence. Who answers hangs on
    a hash, not on its moment, so among equal arms the mean difference is 0, given all that the span met.

    Args:
        margin: From 0 and below 1.

    Attributes:
        spans: Spans seen.
    """

    def __init__(self, margin: float, state: Mapping[str, Any] | None = None) -> None:
        if not 0.0 <= margin < 1.0:
            raise ValueError(f"a margin lies between 0 and 1, not at {margin}")
        self._margin = margin
        given = state or {}
        self.spans: int = given.get("spans", 0)
        self._wealth = Wealth(len(SPAN_BETS), given.get("wealth"))

    @property
    def peak(self) -> float:
        """Return the highest wealth so far, >= 1."""
        return self._wealth.peak

    def observe(self, difference: float) -> None:
        """Take in a span's candidate mean minus champion mean, in [-1, 1]."""
        if not -1.0 <= difference <= 1.0:
            raise ValueError(f"a difference of {difference} does not lie in [-1, 1]")
        over = (difference - self._margin) / (1 + self._margin)
        self._wealth.multiply([math.log1p(part * over) for part in SPAN_BETS])
        self.spans += 1

    def state(self) -> dict[str, Any]:
        """Return what the test has seen, as JSON values."""
        return {"spans": self.spans, "wealth": self._wealth.state()}


class Wealth:
    """What bets of several sizes are worth together, each begun at every block with a part of the stake.

    Of the half that is not bet from the start, 1 / log2(t + 2) is left after t blocks: the t-th block's part is about
    1 / (t log^2 t), the slowest fall whose sum is finite, so that a late change is found nearly as fast as an early one.

    Attributes:
        peak: The most it ever was.
    """

    def __init__(self, bets: int, state: Sequence[float] | None = None) -> None:
        begun = [FROM_START / bets] * bets
        self._blocks = int(state[0]) if state else 0
        self.peak = float(state[1]) if state else 1.0
        self._held = [float(held) for held in state[2:]] if state else begun

    def multiply(self, logs: Sequence[float]) -> None:
        """Take in what each bet multiplied in one block, as natural logarithms."""
        before, self._blocks = self._idle(), self._blocks + 1
        joins = (before - self._idle()) / len(logs)
        self._held = [
            min(MOST, (held + joins) * math.exp(min(log, 400.0)))
            for held, log in zip(self._held, logs, strict=True)
        ]
        self.peak = min(MOST, max(self.peak, math.fsum(self._held) + self._idle()))

    def _idle(self) -> float:
        """Return the part that is not bet yet; it keeps its worth."""
        return (1.0 - FROM_START) / math.log2(self._blocks + 2)

    def state(self) -> list[float]:
        """Return it as numbers: blocks, peak, the bets."""
        return [self._blocks, self.peak, *self._held]


def block_of(numbers: Iterable[float]) -> Counter[float]:
    """Return how often each number stands among those."""
    return Counter(float(number) for number in numbers)


def grained(block: Block, rounded: Any) -> Counter[float]:
    """Return a block whose numbers are whole thousandths, so that few of them differ."""
    found: Counter[float] = Counter()
    for number, times in block.items():
        if not 0.0 <= number <= 1.0:
            raise ValueError(f"{number} does not lie in [0, 1]")
        found[number if number in (0.0, 1.0) else rounded(number * GRAIN) / GRAIN] += times
    return found


def _odds(mean: float, ratio: float) -> float:
    """Return the mean whose odds are `ratio` times those of `mean`."""
    return ratio * mean / (1 - mean + ratio * mean)


def _bet_of(mean: float, claimed: float) -> float:
    """Return b of 1 + b (x - claimed): the likelihood ratio of two yes-or-no rates, drawn as a line through 0 and 1."""
    return (mean - claimed) / (claimed * (1 - claimed))


def _log_bet(block: Block, bet: float, claimed: float) -> float:
    total = 0.0
    for number, times in block.items():
        total += times * math.log1p(bet * (number - claimed))
    return total


@functools.lru_cache(maxsize=4096)
def _nearest(champion: float, candidate: float, margin: float, n: int, m: int) -> float:
    """Return u such that (u, u + margin), a point where the claim just holds, is nearest to the two rates of the bet.

    There n KL(champion, u) + m KL(candidate, u + margin) is smallest: n b0 + m b1 = 0 for the two bets. Then the bet on a
    block is a fair one at worst: the logarithm of its expectation, n log(1 + b0 d0) + m log(1 + b1 d1), where d0 and d1 are
    how far the true means lie from that point, is concave and falls in each direction in which the claim holds, since there
    d1 <= d0 and n b0 = -m b1 < 0.
    """
    low, high = 0.0, 1.0 - margin
    u = (n * champion + m * (candidate - margin)) / (n + m)
    for _ in range(MOST_TRIES):
        if not low < u < high:
            u = (low + high) / 2
        v = u + margin
        spread_u, spread_v = u * (1 - u), v * (1 - v)
        pull = n * (champion - u) * spread_v + m * (candidate - v) * spread_u
        if pull > 0:
            low = u
        else:
            high = u
        slope = (
            n * ((champion - u) * (1 - 2 * v) - spread_v)
            + m * ((candidate - v) * (1 - 2 * u) - spread_u)
        )  # fmt: skip
        last, u = u, u - pull / slope if slope else u
        if abs(u - last) < CLOSE_ENOUGH * last:
            break
    return u if low <= u <= high else (low + high) / 2
