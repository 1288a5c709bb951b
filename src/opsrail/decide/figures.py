"""Live figures of the decision road: how many, how fast, what came of them, by point, over the last seconds and minutes.

Decisions are kept until there are `TOGETHER` of them, or somebody reads, and counted together, in C: no lock, no float
arithmetic over what was counted before, no timer. Latencies go into histograms whose buckets grow by an eighth of a power of
two, so a percentile is told within 7 %. Time is cut into slices. Pure but for its memory: `now_s` is an argument. One event
loop adds and reads.

Source:
    Buckets: HdrHistogram's (Gil Tene, 2012), with 8 of them for each doubling instead of a number of decimal digits.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from opsrail.values.decisions import Decision

SLICE_S = 2
"""Ours: the shortest window has five of them."""
WINDOWS_S = (10, 60, 300)
"""Ours: what happens now, what happened since somebody looked, what is usual."""
QUANTILES = (0.5, 0.95, 0.99)
PARTS_BITS = 3
PARTS = 1 << PARTS_BITS
MOST_US = (1 << 30) - 1
"""18 minutes: longer than any deadline that a point may have."""
QUICK_US = 4_096
"""Times below are looked up, not computed. Ours: nearly all stages of nearly all decisions."""
TOGETHER = 64
"""Ours: counting one alone costs forty times as much; all take the event loop for less than a fifth of a millisecond."""


def place_of(us: int) -> int:
    """Return the bucket of a time in whole microseconds: exact below 8, then 8 buckets for each doubling."""
    us = min(max(us, 0), MOST_US)
    if us < PARTS:
        return us
    shift = us.bit_length() - 1 - PARTS_BITS
    return (shift << PARTS_BITS) + (us >> shift)


def middle_us(place: int) -> float:
    """Return the time in the middle of a bucket, microseconds."""
    if place < 2 * PARTS:
        return float(place)
    shift = (place >> PARTS_BITS) - 1
    return float((place - (shift << PARTS_BITS)) << shift) + ((1 << shift) - 1) / 2


class _Places(dict[float, int]):
    """Buckets by milliseconds to the microsecond, as records tell them."""

    def __missing__(self, spent_ms: float) -> int:
        return place_of(int(spent_ms * 1000 + 0.5))


PLACES = place_of(MOST_US) + 1
_place = _Places({us / 1000: place_of(us) for us in range(QUICK_US)}).__getitem__
_kind_of = attrgetter("verdict", "cache", "degraded_why")
_cost_usd_of = attrgetter("cost_usd")
Counts = Mapping[int, int]
Kind = tuple[str, str, str | None]
"""Verdict, cache state, code of why it is degraded."""


class Spent(NamedTuple):
    """How long one stage took. Milliseconds, within 7 %.

    Attributes:
        decisions: Those that had this stage.
    """

    decisions: int
    p50: float
    p95: float
    p99: float


class Window(NamedTuple):
    """What happened in the last seconds.

    Attributes:
        seconds: How long that is; less than asked for while the process is younger.
        decisions: Those that were recorded, repeated answers left out.
        per_s: The same by second.
        latency_ms: By stage: `route`, `features`, `score`, `verdict` as the records tell, `request` what comes before and
            between, `record` until the commit, `total` from asking to the commit.
        verdicts: How many of each.
        degraded: How many of each `degraded_why`.
        cache: How many of each `cache`.
        hit_ratio: Share of the decisions with a cache that another request's score served; None: no point keeps one.
        cost_usd: What their scores cost.
    """

    seconds: float
    decisions: int
    per_s: float
    latency_ms: Mapping[str, Spent]
    verdicts: Mapping[str, int]
    degraded: Mapping[str, int]
    cache: Mapping[str, int]
    hit_ratio: float | None
    cost_usd: float


class _Slice(NamedTuple):
    """What one point did in a slice of time, with the buckets that were hit."""

    number: int
    stages: Mapping[str, Counts]
    kinds: Mapping[Kind, int]
    cost_usd: float


@dataclass(slots=True)
class _Open:
    """The slice that is being filled, of one point."""

    stages: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    kinds: Counter[Kind] = field(default_factory=Counter)
    cost_usd: float = 0.0

    def count(self, added: Sequence[tuple[Decision, float]]) -> None:
        """Count decisions, each with the milliseconds from asking to the commit."""
        decisions = [decision for decision, _ in added]
        self.kinds.update(map(_kind_of, decisions))
        self.cost_usd += sum(map(_cost_usd_of, decisions))
        told = [decision.latency_ms for decision in decisions]
        for stage in set[str]().union(*told) - {"total"}:
            self._add(stage, [spent_ms[stage] for spent_ms in told if stage in spent_ms])
        request_ms, record_ms, total_ms = [], [], []
        for spent_ms, (_, whole_ms) in zip(told, added, strict=True):
            told_ms = spent_ms.get("total", 0.0)
            unknown_ms = 2 * told_ms - sum(spent_ms.values())  # the sum has it too
            request_ms.append(int(unknown_ms * 1000 + 0.5) / 1000)
            record_ms.append(int((whole_ms - told_ms) * 1000 + 0.5) / 1000)
            total_ms.append(whole_ms)
        self._add("request", request_ms)
        self._add("record", record_ms)
        self._add("total", total_ms)

    def _add(self, stage: str, spent_ms: Iterable[float]) -> None:
        self.stages[stage].update(map(_place, spent_ms))

    def closed(self, number: int) -> _Slice:
        return _Slice(number, self.stages, self.kinds, self.cost_usd)


class _Sum:
    """Slices and what they come to; older ones are taken off again, so that reading costs nothing."""

    def __init__(self) -> None:
        self.slices: deque[_Slice] = deque()
        self.stages: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self.kinds: Counter[Kind] = Counter()

    def add(self, one: _Slice) -> None:
        self.slices.append(one)
        for stage, counts in one.stages.items():
            self.stages[stage].update(counts)
        self.kinds.update(one.kinds)

    def forget(self, before: int) -> None:
        while self.slices and self.slices[0].number < before:
            gone = self.slices.popleft()
            for stage, counts in gone.stages.items():
                self.stages[stage] -= Counter(counts)
            self.kinds -= Counter(gone.kinds)

    def whole(self) -> _Slice:
        cost_usd = math.fsum(one.cost_usd for one in self.slices)
        return _Slice(0, self.stages, self.kinds, cost_usd)


class Figures:
    """Counts decisions. One a process.

    Args:
        now_s: When counting begins; monotonic, as all further times.
    """

    def __init__(self, now_s: float) -> None:
        self._began_s = now_s
        self._number = int(now_s / SLICE_S)
        self._added: list[tuple[Decision, float]] = []
        self._open: dict[str, _Open] = {}
        self._past: dict[str, dict[int, _Sum]] = {}

    def add(self, decision: Decision, began_s: float, now_s: float) -> None:
        """Count a decision that is recorded.

        Args:
            began_s: When it was asked.
            now_s: When its record was as durable as it is going to be before the answer.
        """
        if now_s >= (self._number + 1) * SLICE_S:
            self._turn(int(now_s / SLICE_S))
        self._added.append((decision, int((now_s - began_s) * 1e6) / 1000))
        if len(self._added) >= TOGETHER:
            self._count()

    def _count(self) -> None:
        """Count what was added."""
        added: dict[str, list[tuple[Decision, float]]] = {}
        for one in self._added:
            added.setdefault(one[0].point, []).append(one)
        self._added.clear()
        for point, decisions in added.items():
            if point not in self._open:
                self._open[point] = _Open()
            self._open[point].count(decisions)

    def windows(self, now_s: float, point: str | None = None) -> dict[int, Window]:
        """Return what happened in the last seconds, by how many.

        Args:
            point: Of which point; None: of all together.
        """
        self._turn(int(now_s / SLICE_S))
        self._count()
        points = self.points if point is None else (point,)
        filling = [self._open[name].closed(self._number) for name in points if name in self._open]
        found = {}
        for length_s in WINDOWS_S:
            whole = _Sum()
            past = (self._past[name][length_s].whole() for name in points if name in self._past)
            for one in (*past, *filling):
                whole.add(one)
            since_s = max(self._first(length_s) * SLICE_S, self._began_s)
            found[length_s] = _told(now_s - since_s, whole.whole())
        return found

    def age_s(self, now_s: float) -> float:
        """Return for how long decisions have been counted."""
        return now_s - self._began_s

    @property
    def points(self) -> tuple[str, ...]:
        """Points that decided in the longest window, by name."""
        self._count()
        return tuple(sorted(self._open.keys() | self._past.keys()))

    def _turn(self, number: int) -> None:
        """Close the slices under way when time has gone past them, and forget those that are too old."""
        if number <= self._number:
            return
        self._count()
        for point, held in self._open.items():
            sums = self._past.setdefault(point, {length_s: _Sum() for length_s in WINDOWS_S})
            closed = held.closed(self._number)
            for past in sums.values():
                past.add(closed)
        self._open = {}
        self._number = number
        for point, sums in list(self._past.items()):
            for length_s, past in sums.items():
                past.forget(self._first(length_s))
            if not sums[WINDOWS_S[-1]].slices:
                del self._past[point]

    def _first(self, length_s: int) -> int:
        return self._number - length_s // SLICE_S + 1


def _told(seconds: float, whole: _Slice) -> Window:
    verdicts, caches, degraded = Counter[str](), Counter[str](), Counter[str]()
    for (verdict, cache, why), count in whole.kinds.items():
        verdicts[verdict] += count
        caches[cache] += count
        if why is not None:
            degraded[why] += count
    decisions, looked_up = verdicts.total(), caches.total() - caches["off"]
    return Window(
        seconds,
        decisions,
        decisions / seconds if seconds > 0 else 0.0,
        {stage: spent_of(counts) for stage, counts in whole.stages.items() if counts},
        dict(verdicts.most_common()),
        dict(degraded.most_common()),
        {cache: count for cache, count in caches.most_common() if count},
        (caches["hit"] + caches["shared"]) / looked_up if looked_up else None,
        whole.cost_usd,
    )


def spent_of(counts: Counts) -> Spent:
    """Return the percentiles of a histogram, nearest rank. Counts by bucket in; milliseconds out."""
    total, ordered = sum(counts.values()), sorted(counts.items())
    found = []
    for quantile in QUANTILES:
        rank, seen = max(1, math.ceil(quantile * total)), 0
        for place, count in ordered:
            seen += count
            if seen >= rank:
                found.append(middle_us(place) / 1000)
                break
        else:
            found.append(0.0)
    return Spent(total, *found)
