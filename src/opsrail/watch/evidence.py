"""The tests of one rollout: what was counted of each arm, and how strong the evidence is against each limit. Pure.

The false-alarm rate of the whole rollout is split equally over its tests: one for each limit and one for each margin that
the guard names. Each test may be looked at whenever something was counted, so looking often costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from opsrail.values.guards import P99, Cost, GuardSpec, Judged, Latency, Outcome
from opsrail.watch.signals import CANDIDATE, CHAMPION, Seen
from opsrail.watch.spans import ALONE_MS, LEAST_MS, Slowest, Spans, WarmUp
from opsrail.watch.tracks import Held, Reading, SpanTrack, Track

OF_EVERY_DECISION = frozenset(("no_score", "fallback"))
"""Signals that every decision tells; others come late, or not of all."""
IN_GUSTS = frozenset(("no_score", "fallback", "latency", "latency/champion", "cost"))
"""Signals that hang on the machine and the moment: what hits one decision hits those beside it."""
BLOCK_COUNT = 50
"""Late numbers that are set against each other at once, at most: the bet on a block leans on those before it, so a guard
that has much to read at once must not take it as one. Ours."""
T = TypeVar("T")


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
        self._in_spans: dict[str, SpanTrack] = {}
        self._late: dict[str, Track] = {}
        for held in held_of(spec):
            if held.name in IN_GUSTS:
                self._in_spans[held.name] = SpanTrack(held, tracks.get(held.name))
            else:
                self._late[held.name] = Track(held, tracks.get(held.name))
        self._compared = Spans(LEAST_MS, given.get("compared"))
        self._alone = Spans(ALONE_MS, given.get("alone"), is_fixed=True)
        self._warm_up = WarmUp(given.get("warm_up"))
        self._slowest = Slowest(given.get("slowest"))
        self.counts: list[int] = list(given.get("counts", (0, 0)))
        self.step_counts: list[int] = list(given.get("step_counts", (0, 0)))
        tests = sum(
            (track.limit is not None) + (track.margin is not None) for track in self._tracks()
        )
        self.needed = max(1, tests) / spec.false_alarm_ratio

    def enter_step(self) -> None:
        """Begin to count a step."""
        self.step_counts = [0, 0]
        self._compared.enter_step()
        for track in self._in_spans.values():
            track.drop_pair()

    def count_decisions(self, decisions: Sequence[Seen]) -> None:
        """Take in decisions that were made since the last call, in their order."""
        for one in decisions:
            self.pass_time(one.at_ms)
            self._count_one(one)

    def pass_time(self, until_ms: int) -> None:
        """End the spans that are over by then: all decisions from before were counted."""
        if self._compared.is_over(until_ms):
            self._compared.end()
            for track in self._in_spans.values():
                track.end_pair()
            self._slowest.end()
        if self._alone.is_over(until_ms):
            self._alone.end()
            for track in self._in_spans.values():
                track.end_alone()

    def _count_one(self, one: Seen) -> None:
        arm = one.arm
        self.counts[arm] += 1
        self.step_counts[arm] += 1
        self._compared.count(arm, one.at_ms)
        self._alone.count(arm, one.at_ms)
        tracks = self._in_spans
        if (track := tracks.get("no_score")) is not None:
            track.count(arm, float(one.has_no_score))
        if (track := tracks.get("fallback")) is not None:
            track.count(arm, float(one.is_fallback))
        if one.latency_us is not None:
            self._count_latency(arm, one.latency_us, one.at_ms)
        cost = self.spec.cost
        if cost is not None and one.cost_usd is not None:
            tracks["cost"].count(arm, min(1.0, one.cost_usd / cost.most_usd))

    def count_late(self, signal: str, numbers: Sequence[tuple[int, float]], stratum: str) -> None:
        """Take in numbers in [0, 1] that came late, each with its arm; all of one stratum."""
        if (track := self._late.get(signal)) is None:
            return
        for some in _chunks(numbers):
            champion, candidate = (
                [number for arm, number in some if arm == one] for one in (CHAMPION, CANDIDATE)
            )
            track.count(champion, candidate, stratum)

    def track(self, signal: str) -> Track | None:
        """Return what was counted of a signal that comes late, None when the guard does not name it."""
        return self._late.get(signal)

    def _tracks(self) -> list[Track | SpanTrack]:
        return [*self._in_spans.values(), *self._late.values()]

    def readings(self) -> list[Reading]:
        """Return where every test stands."""
        return [one for track in self._tracks() for one in track.readings(self.needed)]

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
        for track in self._tracks():
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
            "slowest": self._slowest.state(),
            "compared": self._compared.state(),
            "alone": self._alone.state(),
            "warm_up": self._warm_up.state(),
            "tracks": {track.held.name: track.state() for track in self._tracks()},
        }

    def _count_latency(self, arm: int, latency_us: int, at_ms: int) -> None:
        """Count whether it was slower than allowed, and slower than the champion usually is at its slowest.

        What the champion's 99th percentile is taken to be changes only between two spans, by decisions before the next.
        """
        latency = self.spec.latency
        if latency is None or (arm == CANDIDATE and not self._warm_up.is_warm(at_ms)):
            return
        if latency.p99_ms is not None:
            self._in_spans["latency"].count(arm, float(latency_us > latency.p99_ms * 1000))
        if latency.margin is None:
            return
        if (slow_us := self._slowest.us) is not None:
            self._in_spans["latency/champion"].count(arm, float(latency_us > slow_us))
        if arm == CHAMPION:
            self._slowest.add(latency_us)


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
