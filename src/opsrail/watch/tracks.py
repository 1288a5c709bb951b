"""One signal of a rollout: its tests, and what was counted of each arm. Pure.

What is told late of single decisions (outcomes, rulings, shadows) counts number by number. What hangs on the machine and the
moment (latency, fallbacks, missing scores, cost) comes in gusts, and counts by spans of time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from opsrail.watch.sequential import LimitTest, MarginTest, SpanTest, block_of
from opsrail.watch.signals import CANDIDATE, CHAMPION

NOTHING = ((0.0, 0.0), (0.0, 0.0))
"""Count and sum of champion and candidate, as a span begins."""


class Held(NamedTuple):
    """What one signal is held to, in [0, 1].

    Attributes:
        least_count: Numbers of each arm without which a step is not passed.
        scale: What 1 is worth, for people.
        unit: Of what is scaled, e.g. ` USD`.
        together: Numbers of an arm whose mean the tests take as one.
    """

    name: str
    limit: float | None
    margin: float | None
    least_count: int
    scale: float = 1.0
    unit: str = ""
    together: int = 1


class Reading(NamedTuple):
    """Where one test stands.

    Attributes:
        signal: E.g. `no_score`, `latency`, `outcome fraud`.
        kind: `limit` or `margin`.
        bound: What it is held to.
        wealth: The evidence against it: at `needed` the version is rolled back; 1 is none.
        counts: Numbers of champion and candidate.
        means: Their means; None without numbers.
        spans: Spans of time that the evidence comes from; None: numbers count one by one.
    """

    signal: str
    kind: str
    bound: float
    wealth: float
    needed: float
    counts: tuple[int, int]
    means: tuple[float | None, float | None]
    unit: str
    spans: int | None = None

    @property
    def has_fired(self) -> bool:
        """Return whether the evidence is enough."""
        return self.wealth >= self.needed

    def sentence(self) -> str:
        """Return it in words."""
        champion, candidate = (_shown(mean, self.unit) for mean in self.means)
        what = {
            "latency": "part of decisions slower than allowed",
            "no_score": "part of decisions without a score",
            "fallback": "part of decisions that somebody else had to answer",
        }.get(self.signal, self.signal)
        held = (
            f"at most {_shown(self.bound, self.unit)}"
            if self.kind == "limit"
            else f"at most {_shown(self.bound, self.unit)} worse than the champion's {champion}"
        )
        spans = "" if self.spans is None else f" in {self.spans} spans of time"
        return (
            f"{what}: {candidate} over {self.counts[CANDIDATE]}{spans}, where {held} is allowed "
            f"(evidence {self.wealth:.3g}, needed {self.needed:.3g})"
        )

    def figures(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            "signal": self.signal,
            "kind": self.kind,
            "bound": self.bound,
            "evidence": float(f"{self.wealth:.6g}"),
            "needed": float(f"{self.needed:.6g}"),
            "candidate_count": self.counts[CANDIDATE],
            "candidate_mean": self.means[CANDIDATE],
            "champion_count": self.counts[CHAMPION],
            "champion_mean": self.means[CHAMPION],
            "spans": self.spans,
        }


class Track:
    """One signal: its tests and what was counted."""

    def __init__(self, held: Held, state: Mapping[str, Any] | None = None) -> None:
        given = state or {}
        self.held = held
        self.counts: list[int] = list(given.get("counts", (0, 0)))
        self.totals: list[float] = list(given.get("totals", (0.0, 0.0)))
        self.floor_ratio: float = given.get("floor_ratio", 1.0)
        self._gathered: dict[str, list[float]] = dict(given.get("gathered", {}))
        self.limit = None if held.limit is None else LimitTest(held.limit, given.get("limit"))
        self.margin = None if held.margin is None else MarginTest(held.margin, given.get("margin"))

    def count(
        self, champion: Sequence[float], candidate: Sequence[float], stratum: str = ""
    ) -> None:
        """Take in numbers in [0, 1] of both arms."""
        for arm, numbers in enumerate((champion, candidate)):
            self.counts[arm] += len(numbers)
            self.totals[arm] += math.fsum(numbers)
        both = [
            self._means(numbers, f"{arm} {stratum}")
            for arm, numbers in enumerate((champion, candidate))
        ]
        if self.limit is not None:
            self.limit.observe(block_of(both[CANDIDATE]))
        if self.margin is not None:
            self.margin.observe(block_of(both[CHAMPION]), block_of(both[CANDIDATE]), stratum)

    def _means(self, numbers: Sequence[float], place: str) -> Sequence[float]:
        """Return the means of numbers that count together; what does not fill one yet waits for the next."""
        together = self.held.together
        if together == 1:
            return numbers
        held = [*self._gathered.get(place, ()), *numbers]
        full = len(held) - len(held) % together
        self._gathered[place] = held[full:]
        return [
            min(1.0, math.fsum(held[begin : begin + together]) / together)
            for begin in range(0, full, together)
        ]

    def readings(self, needed: float) -> list[Reading]:
        """Return where its tests stand."""
        means = means_of(self.held, self.counts, self.totals)
        tests = ((self.limit, self.held.limit, None), (self.margin, self.held.margin, None))
        return list(_readings(self.held, needed, tests, self.counts, means))

    def state(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "counts": self.counts,
            "totals": self.totals,
            "floor_ratio": self.floor_ratio,
            **({"gathered": self._gathered} if self._gathered else {}),
            **({} if self.limit is None else {"limit": self.limit.state()}),
            **({} if self.margin is None else {"margin": self.margin.state()}),
        }


class SpanTrack:
    """A signal that comes in gusts: each span of time is one number for its tests.

    Attributes:
        counts, totals: Numbers of champion and candidate, and their sums, for people.
    """

    def __init__(self, held: Held, state: Mapping[str, Any] | None = None) -> None:
        given = state or {}
        self.held = held
        self.counts: list[int] = list(given.get("counts", (0, 0)))
        self.totals: list[float] = list(given.get("totals", (0.0, 0.0)))
        self._paired: list[list[float]] = [list(one) for one in given.get("paired", NOTHING)]
        self._alone: list[float] = list(given.get("alone", NOTHING[CANDIDATE]))
        self.limit = None if held.limit is None else LimitTest(held.limit, given.get("limit"))
        self.margin = None if held.margin is None else SpanTest(held.margin, given.get("margin"))

    def count(self, arm: int, number: float) -> None:
        """Take in a number in [0, 1] of the spans that run."""
        self.counts[arm] += 1
        self.totals[arm] += number
        if self.margin is not None:
            self._paired[arm][0] += 1
            self._paired[arm][1] += number
        if self.limit is not None and arm == CANDIDATE:
            self._alone[0] += 1
            self._alone[1] += number

    def end_pair(self) -> None:
        """Set the arms against each other, unless one of them had nothing in the span that ends."""
        (n, champion), (m, candidate) = self._paired
        if self.margin is not None and n and m:
            self.margin.observe(min(1.0, candidate / m) - min(1.0, champion / n))
        self.drop_pair()

    def drop_pair(self) -> None:
        """Leave out what was seen in the span that runs."""
        self._paired = [list(one) for one in NOTHING]

    def end_alone(self) -> None:
        """Hold the candidate's mean of the span that ends to the limit."""
        count, total = self._alone
        if self.limit is not None and count:
            self.limit.observe({min(1.0, total / count): 1})
        self._alone = list(NOTHING[CANDIDATE])

    def readings(self, needed: float) -> list[Reading]:
        """Return where its tests stand."""
        means = means_of(self.held, self.counts, self.totals)
        tests = (
            (self.limit, self.held.limit, None if self.limit is None else self.limit.count),
            (self.margin, self.held.margin, None if self.margin is None else self.margin.spans),
        )
        return list(_readings(self.held, needed, tests, self.counts, means))

    def state(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "counts": self.counts,
            "totals": self.totals,
            **({} if self.limit is None else {"limit": self.limit.state(), "alone": self._alone}),
            **(
                {}
                if self.margin is None
                else {"margin": self.margin.state(), "paired": self._paired}
            ),
        }


def means_of(
    held: Held, counts: Sequence[int], totals: Sequence[float]
) -> tuple[float | None, float | None]:
    """Return both arms' means in their own unit; None without numbers."""
    champion, candidate = (
        held.scale * total / count if count else None
        for total, count in zip(totals, counts, strict=True)
    )
    return champion, candidate


def _readings(
    held: Held,
    needed: float,
    tests: Iterable[tuple[LimitTest | MarginTest | SpanTest | None, float | None, int | None]],
    counts: Sequence[int],
    means: tuple[float | None, float | None],
) -> Iterable[Reading]:
    for kind, (test, bound, spans) in zip(("limit", "margin"), tests, strict=True):
        if test is not None and bound is not None:
            yield Reading(
                held.name.partition("/")[0],
                kind,
                bound * held.scale,
                test.peak,
                needed,
                (counts[CHAMPION], counts[CANDIDATE]),
                means,
                held.unit,
                spans,
            )


def _shown(number: float | None, unit: str) -> str:
    if number is None:
        return "-"
    return f"{number:.4g}{unit}" if unit else f"{number:.2%}"
