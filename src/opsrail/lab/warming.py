"""How many places of a model should be warm: on demand, after the last half minute, or by the forecast."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from opsrail.lab.arrivals import Arrivals
from opsrail.lab.scenario import Devices, Model, Policy, Scenario
from opsrail.lab.service import Service
from opsrail.registry.forecast import Forecast, ForecastLimits

REACTIVE_S = 30.0
"""Window of the reactive policy. Source: between the stable (60 s) and the panic window (6 s) of Knative's autoscaler."""
USUAL_RATIO = 0.5
"""Part of the time that a request has which a batch may take, where a device's capacity is worked out. As `decide.lane`."""


class Warming(Protocol):
    """Says how many places of one model should be warm."""

    def observe(self, now_s: float, count: int) -> None: ...
    def wanted(self, now_s: float, horizon_s: float) -> int: ...


class Reactive:
    """What the mean rate of the last half minute needed."""

    def __init__(self, per_device_per_s: float, keep_s: float) -> None:
        self._per_device_per_s = per_device_per_s
        self._keep_s = keep_s
        self._seen: deque[tuple[float, int]] = deque()
        self._count = 0
        self._asked_s: float | None = None
        self._begun_s: float | None = None

    def observe(self, now_s: float, count: int) -> None:
        if self._begun_s is None:
            self._begun_s = now_s
        if count:
            self._seen.append((now_s, count))
            self._count += count
            self._asked_s = now_s

    def wanted(self, now_s: float, horizon_s: float) -> int:
        seen = self._seen
        while seen and seen[0][0] <= now_s - REACTIVE_S:
            self._count -= seen.popleft()[1]
        if self._asked_s is None or now_s - self._asked_s > self._keep_s:
            return 0
        age_s = min(REACTIVE_S, max(1.0, now_s - (self._begun_s or 0.0)))
        return max(1, math.ceil(self._count / age_s / self._per_device_per_s))


def warming_of(policy: Policy, per_device_per_s: float) -> Warming | None:
    """Return what a policy wants for one model; None: all that there is, always. With `none` it is only what may stay."""
    if policy.prewarm == "all":
        return None
    if policy.prewarm in ("none", "reactive"):
        return Reactive(per_device_per_s, policy.keep_s)
    return Forecast(per_device_per_s, ForecastLimits(season_s=policy.season_s))


def capacity_per_s(service: Service, max_batch: int, usual_s: float) -> float:
    """Return how many requests a second one device answers in full batches.

    Args:
        usual_s: Time that a request has; a batch takes half of it at most, if it is more than one row.
    """
    rows = 1
    while rows < max_batch and service.mean_s(rows + 1) <= USUAL_RATIO * usual_s:
        rows += 1
    return max(size / service.mean_s(size) for size in (1, rows))


def usual_s(scenario: Scenario, model: Model) -> float:
    """Return the shortest objective of those who ask a model."""
    return min(
        (point.good_s for point in scenario.points if point.model == model.name), default=1.0
    )


def mean_rates(scenario: Scenario) -> list[float]:
    """Return how often each model is asked, a second, on average."""
    asked: dict[str, float] = dict.fromkeys((model.name for model in scenario.models), 0.0)
    shares = [0.0 if point.arrivals else point.share for point in scenario.points]
    for point, share in zip(scenario.points, shares, strict=True):
        own: Arrivals | None = point.arrivals
        if own is not None:
            asked[point.model] += own.mean_per_s
        elif scenario.arrivals is not None:
            asked[point.model] += scenario.arrivals.mean_per_s * share / sum(shares)
    return [asked[model.name] for model in scenario.models]


def apportioned(demand: Sequence[float | None], seats: int, most: int) -> list[int]:
    """Return how many of the seats each model gets: one each where they reach, then by demand.

    Args:
        demand: Devices' worth of work of each; None: it cannot run here and gets none.
        most: Seats that one model can use.

    Source:
        Highest averages (D'Hondt); it never takes a seat from a model because there is one more to give.
    """
    given = [0] * len(demand)
    able = [(worth, place) for place, worth in enumerate(demand) if worth is not None]
    for _, place in sorted(able, key=lambda one: (-one[0], one[1]))[:seats]:
        given[place] = 1
    for _ in range(seats - sum(given)):
        short = [one for one in able if given[one[1]] < most]
        if not short:
            break
        given[max(short, key=lambda one: (one[0] / (given[one[1]] + 1), -one[1]))[1]] += 1
    return given


def worth(scenario: Scenario, group: Devices) -> list[float | None]:
    """Return the demand for each model in devices of a group; None: it cannot run there."""
    return [
        rate_per_s / capacity_per_s(service, scenario.policy.max_batch, usual_s(scenario, model))
        if (service := model.service.get(group.hardware))
        else None
        for model, rate_per_s in zip(scenario.models, mean_rates(scenario), strict=True)
    ]
