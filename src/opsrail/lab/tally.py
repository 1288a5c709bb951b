"""What became of the requests, counted; their times in bins of half a percent, so that memory does not grow with them."""

from __future__ import annotations

import math
from dataclasses import dataclass

ANSWERED, SHED, LATE, FAILED = "answered", "shed", "late", "failed"
ENDS = (ANSWERED, SHED, LATE, FAILED)
"""How a request ends: an answer by its deadline; refused at the door; none by its deadline; its batch or device failed."""
LEAST_S = 1e-6
BIN_RATIO = 1.005
"""Percentiles are right within half a percent. Source: the log-linear bins of HdrHistogram; the width is ours."""
_LOG_BIN = math.log(BIN_RATIO)


class Times:
    """Times, by how often. Seconds; below a microsecond counts as one."""

    __slots__ = ("_bins", "count", "sum_s")

    def __init__(self) -> None:
        self._bins: dict[int, int] = {}
        self.count = 0
        self.sum_s = 0.0

    def add(self, took_s: float) -> None:
        """Count one."""
        number = round(math.log(took_s / LEAST_S) / _LOG_BIN) if took_s > LEAST_S else 0
        bins = self._bins
        bins[number] = bins.get(number, 0) + 1
        self.count += 1
        self.sum_s += took_s

    def take_in(self, other: Times) -> None:
        """Count all that another counted."""
        for number, times in other._bins.items():
            self._bins[number] = self._bins.get(number, 0) + times
        self.count += other.count
        self.sum_s += other.sum_s

    def percentile_s(self, share: float) -> float | None:
        """Return the time that at least this share does not exceed (nearest rank); None: nothing was counted."""
        if not self.count:
            return None
        left = max(1, math.ceil(share * self.count - 1e-9))
        for number in sorted(self._bins):
            left -= self._bins[number]
            if left <= 0:
                return LEAST_S * BIN_RATIO**number
        return None


class Tally:
    """What became of some requests."""

    __slots__ = ("arrived", "cold", "ends", "good", "times")

    def __init__(self) -> None:
        self.arrived = 0
        self.ends = dict.fromkeys(ENDS, 0)
        self.good = 0
        self.cold = 0
        self.times = Times()

    def take_in(self, other: Tally) -> None:
        """Count all that another counted."""
        self.arrived += other.arrived
        for end, times in other.ends.items():
            self.ends[end] += times
        self.good += other.good
        self.cold += other.cold
        self.times.take_in(other.times)

    def outcome(self, span_s: float) -> Outcome:
        """Return it as a value, rates over a span."""
        arrived = self.arrived
        return Outcome(
            arrived=arrived,
            **self.ends,
            good=self.good,
            cold=self.cold,
            good_ratio=self.good / arrived if arrived else 1.0,
            arrived_per_s=arrived / span_s,
            goodput_per_s=self.good / span_s,
            p50_ms=_ms(self.times.percentile_s(0.5)),
            p95_ms=_ms(self.times.percentile_s(0.95)),
            p99_ms=_ms(self.times.percentile_s(0.99)),
            mean_ms=_ms(self.times.sum_s / self.times.count if self.times.count else None),
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of some requests. `arrived = answered + shed + late + failed`.

    Attributes:
        answered: By their deadline.
        shed: Refused at the door, at once.
        late: Let in, and no answer by the deadline.
        failed: Their batch or device failed.
        good: Answered within the point's objective.
        cold: Found no warm device: they waited for one to load, or were refused.
        good_ratio: Of all that arrived; 1 when nobody came.
        p50_ms: Of answers; None when there were none. So are the others.
    """

    arrived: int
    answered: int
    shed: int
    late: int
    failed: int
    good: int
    cold: int
    good_ratio: float
    arrived_per_s: float
    goodput_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    mean_ms: float | None


@dataclass(frozen=True, slots=True)
class Use:
    """How the devices of one group were used.

    Attributes:
        used_ratio: Part of the paid time in which they worked.
        warm_mean: Devices paid for, on average.
        batch_mean: Rows of a batch.
        loads: Models loaded, those at the begin not counted.
    """

    devices: int
    used_ratio: float
    warm_mean: float
    batches: int
    batch_mean: float
    batch_p50: int
    batch_p99: int
    loads: int
    crashes: int
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a simulation found.

    Attributes:
        span_s: Virtual time over which requests were counted.
        whole: All requests; `criticality` and `points` tell them apart.
        devices: By group.
        cost_usd: Of all devices from the begin to the end of the last request.
        usd_per_million_good: Cost of a million good answers; None: there was none.
        events: Steps of the simulation.
    """

    scenario: str
    seed: int
    span_s: float
    whole: Outcome
    criticality: dict[str, Outcome]
    points: dict[str, Outcome]
    devices: dict[str, Use]
    cost_usd: float
    usd_per_million_good: float | None
    events: int


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds
