"""The tests of one rollout: what was counted of each arm, and how strong the evidence is against each limit. Pure.

The false-alarm rate of the whole rollout is split equally over its tests: one for each limit and one for each margin that
the guard names. Each test may be looked at whenever something was counted, so looking often costs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from opsrail.values.guards import P99, Cost, GuardSpec, Judged, Latency, Outcome
from opsrail.watch.sequential import LimitTest, MarginTest, block_of
from opsrail.watch.signals import CANDIDATE, CHAMPION, Quantile, Seen

OF_EVERY_DECISION = frozenset(("no_score", "fallback"))
"""Signals that every decision tells; others come late, or not of all."""
BLOCK_COUNT = 50
"""Decisions that are set against each other at once, at most: the bet on a block leans on those before it, so a guard that
has much to read at once must not take it as one. Ours."""
T = TypeVar("T")


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
    """

    signal: str
    kind: str
    bound: float
    wealth: float
    needed: float
    counts: tuple[int, int]
    means: tuple[float | None, float | None]
    unit: str

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
        return (
            f"{what}: {candidate} over {self.counts[CANDIDATE]}, where {held} is allowed "
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

    def readings(self, needed: float) -> Iterable[Reading]:
        """Yield where its tests stand."""
        scale = self.held.scale
        means = [
            scale * total / count if count else None
            for total, count in zip(self.totals, self.counts, strict=True)
        ]
        for kind, test, bound in (
            ("limit", self.limit, self.held.limit),
            ("margin", self.margin, self.held.margin),
        ):
            if test is not None and bound is not None:
                yield Reading(
                    self.held.name.partition("/")[0],
                    kind,
                    bound * scale,
                    test.peak,
                    needed,
                    (self.counts[CHAMPION], self.counts[CANDIDATE]),
                    (means[CHAMPION], means[CANDIDATE]),
                    self.held.unit,
                )

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


class Evidence:
    """All tests of one rollout.

    Attributes:
        step_counts: Decisions of champion and candidate since the step began.
        counts: Since the rollout began.
    """

    def __init__(self, spec: GuardSpec, state: Mapping[str, Any] | None = None) -> None:
        given = state or {}
        tracks = given.get("tracks", {})
        self.spec = spec
        self._tracks = {held.name: Track(held, tracks.get(held.name)) for held in held_of(spec)}
        self._quantile = Quantile(given.get("quantile"))
        self._slow_us: float | None = given.get("slow_us")
        self.counts: list[int] = list(given.get("counts", (0, 0)))
        self.step_counts: list[int] = list(given.get("step_counts", (0, 0)))
        tests = sum(
            (track.limit is not None) + (track.margin is not None)
            for track in self._tracks.values()
        )
        self.needed = max(1, tests) / spec.false_alarm_ratio

    def enter_step(self) -> None:
        """Begin to count a step."""
        self.step_counts = [0, 0]

    def count_decisions(self, decisions: Sequence[Seen]) -> None:
        """Take in decisions that were made since the last call, in their order."""
        for some in _chunks(decisions):
            self._count_block(some)

    def _count_block(self, decisions: Sequence[Seen]) -> None:
        both: tuple[list[Seen], list[Seen]] = ([], [])
        for one in decisions:
            both[one.arm].append(one)
        for arm, of_arm in enumerate(both):
            self.counts[arm] += len(of_arm)
            self.step_counts[arm] += len(of_arm)
        self._count("no_score", [[float(one.has_no_score) for one in of_arm] for of_arm in both])
        self._count("fallback", [[float(one.is_fallback) for one in of_arm] for of_arm in both])
        self._count_latency(
            [[us for one in of_arm if (us := one.latency_us) is not None] for of_arm in both]
        )
        if (cost := self.spec.cost) is not None:
            spent = [
                [usd for one in of_arm if (usd := one.cost_usd) is not None] for of_arm in both
            ]
            self._count(
                "cost", [[min(1.0, usd / cost.most_usd) for usd in of_arm] for of_arm in spent]
            )

    def count_late(self, signal: str, numbers: Sequence[tuple[int, float]], stratum: str) -> None:
        """Take in numbers in [0, 1] that came late, each with its arm; all of one stratum."""
        for some in _chunks(numbers):
            both = [[number for arm, number in some if arm == one] for one in (CHAMPION, CANDIDATE)]
            self._count(signal, both, stratum)

    def track(self, signal: str) -> Track | None:
        """Return what was counted of a signal, None when the guard does not name it."""
        return self._tracks.get(signal)

    def readings(self) -> list[Reading]:
        """Return where every test stands."""
        return [one for track in self._tracks.values() for one in track.readings(self.needed)]

    def missing(self, *, is_compared: bool) -> list[str]:
        """Return what keeps a step from being passed, in words: numbers that are not there yet.

        Args:
            is_compared: Whether the champion answers beside the candidate; else only the candidate's numbers are waited for.
        """
        arms = (CHAMPION, CANDIDATE) if is_compared else (CANDIDATE,)
        names = ("champion", "candidate")
        found = [
            f"{self.step_counts[arm]} of {self.spec.least_count} decisions of the {names[arm]} in this step"
            for arm in arms
            if self.step_counts[arm] < self.spec.least_count
        ]
        for track in self._tracks.values():
            signal = track.held.name.partition("/")[0]
            if signal in OF_EVERY_DECISION:
                continue
            found += [
                f"{track.counts[arm]} of {track.held.least_count} numbers of `{signal}` of the {names[arm]}"
                for arm in arms
                if (arm == CANDIDATE or track.margin is not None)
                and track.counts[arm] < track.held.least_count
            ]
        return found

    def state(self) -> dict[str, Any]:
        """Return it as JSON values, which `Evidence(spec, state)` takes."""
        return {
            "counts": self.counts,
            "step_counts": self.step_counts,
            "quantile": self._quantile.state(),
            "slow_us": self._slow_us,
            "tracks": {name: track.state() for name, track in self._tracks.items()},
        }

    def _count_latency(self, both: Sequence[Sequence[int]]) -> None:
        """Count who was slower than allowed, and who slower than the champion usually is at its slowest.

        What the champion's 99th percentile is taken to be changes only between two blocks, by decisions before the next.
        """
        latency = self.spec.latency
        if latency is None:
            return
        if latency.p99_ms is not None:
            limit_us = latency.p99_ms * 1000
            self._count("latency", [[float(us > limit_us) for us in of_arm] for of_arm in both])
        track = self._tracks.get("latency/champion")
        if track is None or track.margin is None:
            return
        if track.margin.is_between_blocks:
            self._slow_us = self._quantile.read()
        if (slow_us := self._slow_us) is not None:
            self._count(
                "latency/champion", [[float(us > slow_us) for us in of_arm] for of_arm in both]
            )
        self._quantile.add(both[CHAMPION])

    def _count(self, signal: str, both: Sequence[Sequence[float]], stratum: str = "") -> None:
        """Take in numbers of champion and candidate, where the guard names the signal."""
        if (track := self._tracks.get(signal)) is not None:
            track.count(both[CHAMPION], both[CANDIDATE], stratum)


def held_of(spec: GuardSpec) -> list[Held]:
    """Return what each signal is held to."""
    found = []
    for name in ("no_score", "fallback", "override", "disagreement"):
        judged: Judged | None = getattr(spec, name)
        if judged is not None:
            least_count = judged.least_count or spec.least_count
            found.append(Held(name, judged.limit, judged.margin, least_count))
    if spec.latency is not None:
        found += _of_latency(spec.latency, spec.least_count)
    if spec.cost is not None:
        found.append(_of_cost(spec.cost, spec.least_count))
    return [*found, *(_of_outcome(outcome) for outcome in spec.outcomes)]


def _of_latency(latency: Latency, least_count: int) -> list[Held]:
    wanted = latency.least_count or least_count
    found = []
    if latency.p99_ms is not None:
        found.append(Held("latency", P99, None, wanted))
    if latency.margin is not None:
        found.append(Held("latency/champion", None, latency.margin, wanted))
    return found


def _of_cost(cost: Cost, least_count: int) -> Held:
    limit, margin = (
        None if amount is None else amount / cost.most_usd
        for amount in (cost.limit_usd, cost.margin_usd)
    )
    return Held("cost", limit, margin, cost.least_count or least_count, cost.most_usd, " USD")


def _of_outcome(outcome: Outcome) -> Held:
    """Return an outcome's limits in [0, 1], 1 the worst: people are told them so, too, where lower is worse."""
    width = outcome.high - outcome.low
    limit = None
    if outcome.limit is not None:
        limit = (outcome.limit - outcome.low) / width
        limit = limit if outcome.worse == "higher" else 1.0 - limit
    margin = None if outcome.margin is None else outcome.margin / width
    return Held(outcome.label, limit, margin, outcome.least_count, together=outcome.together)


def _chunks(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    for begin in range(0, len(rows), BLOCK_COUNT):
        yield rows[begin : begin + BLOCK_COUNT]


def _shown(number: float | None, unit: str) -> str:
    if number is None:
        return "-"
    return f"{number:.4g}{unit}" if unit else f"{number:.2%}"
