"""What is simulated: who asks when, models and what they take, devices and what they cost, and the policy that is judged.

A scenario is a frozen value; `reading.py` makes one from a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from opsrail.errors import Fault
from opsrail.lab.arrivals import Arrivals
from opsrail.lab.parts import Part
from opsrail.lab.server import Server
from opsrail.lab.service import Service
from opsrail.values.decisions import Criticality

Hardware = Literal["cpu", "gpu", "remote"]
CRITICALITIES: tuple[Criticality, ...] = ("high", "normal", "low")
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=100)]
FAULTS = "faults"
"""Key of a validation error's context: the faults between parts."""


def _all_normal() -> dict[Criticality, float]:
    return {"normal": 1.0}


class Point(Part):
    """A decision point: who asks, and how soon they need the answer.

    Attributes:
        model: Which model it asks.
        share: Its part of the scenario's arrivals; weights, they need not sum to 1. Or it has `arrivals` of its own.
        deadline_ms: After which nobody waits any more.
        slo_ms: Within which an answer is a good one; None: its deadline.
        criticality: Parts of its requests; they sum to 1.
        key_count: Requests of one of so many keys must be answered in the order they came; 0: order is free.
    """

    name: Name
    model: Name
    share: float = Field(1.0, gt=0)
    arrivals: Arrivals | None = None
    deadline_ms: float = Field(1_000.0, gt=0, le=3_600_000)
    slo_ms: float | None = Field(None, gt=0)
    criticality: dict[Criticality, Share] = Field(default_factory=_all_normal)
    key_count: int = Field(0, ge=0, le=10_000_000)

    @property
    def good_s(self) -> float:
        """Return the seconds within which an answer is a good one."""
        return (self.slo_ms or self.deadline_ms) / 1000


class Model(Part):
    """A model version.

    Attributes:
        service: What batches take, by hardware; it runs on no other.
        load_s: From when it is wanted on a device until it is warm there.
        failure_ratio: Share of batches that fail.
        hang_ratio: Share of batches that take `hang_s` more.
    """

    name: Name
    service: dict[Hardware, Service] = Field(min_length=1)
    load_s: float = Field(1.0, ge=0, le=86_400)
    failure_ratio: Share = 0.0
    hang_ratio: Share = 0.0
    hang_s: float = Field(10.0, ge=0, le=86_400)


class Devices(Part):
    """Devices of one kind; each works on one batch at a time.

    Attributes:
        holds_count: Models that are warm on one at the same time; one more, and the one asked least lately makes room.
        cost_usd_per_s: Of each device, while any model is on it, warm or loading.
        delay_ms: What an answer takes besides and without holding the device: network, the disk that keeps the record.
        server: What the process takes for a request besides its batch, on the same core; None: nothing.
        crash_every_s: Mean time between crashes of one device; what it held is lost. None: never.
        restart_s: Until a crashed device takes models again.
    """

    name: Name
    hardware: Hardware = "cpu"
    count: int = Field(ge=1, le=100_000)
    holds_count: int = Field(1, ge=1, le=1_000)
    cost_usd_per_s: float = Field(0.0, ge=0, le=1e6)
    delay_ms: float = Field(0.0, ge=0, le=60_000)
    server: Server | None = None
    crash_every_s: float | None = Field(None, gt=0)
    restart_s: float = Field(2.0, ge=0, le=86_400)


class Policy(Part):
    """What is judged: how requests queue, where they go, and how many places are warm.

    Attributes:
        queue: `lane`: the machine that serves. `fifo`: first come, first served; only `fifo_most_count` refuses.
        max_batch: Rows in a batch, at most.
        fifo_wait_ms: How long `fifo` lets the first of a batch wait for others.
        fifo_most_count: Requests that wait at one device, at most; more are shed. 0: no bound.
        placement: `least`: the warm device with the fewest rows. `two`: the better of two by chance. `any`: any.
        spill: Criticalities that may go to dearer devices when the cheaper refuse or none is warm.
        prewarm: `all`: every device, from the begin and for ever. `none`: a device loads when a request finds no warm one.
            `reactive`: as many as the last half minute needed. `forecast`: as many as the forecast says.
        load_ratio: How busy a warm device should be; the rest is room.
        keep_s: How long a device stays warm that is not needed.
        tick_s: How often places are counted.
        season_s: Length of the day that the forecast learns.
    """

    queue: Literal["lane", "fifo"] = "lane"
    max_batch: int = Field(64, ge=1, le=10_000)
    fifo_wait_ms: float = Field(0.0, ge=0, le=60_000)
    fifo_most_count: int = Field(0, ge=0)
    placement: Literal["least", "two", "any"] = "two"
    spill: tuple[Criticality, ...] = CRITICALITIES
    prewarm: Literal["all", "none", "reactive", "forecast"] = "all"
    load_ratio: float = Field(0.7, gt=0, le=1)
    keep_s: float = Field(60.0, ge=0, le=86_400)
    tick_s: float = Field(1.0, gt=0, le=3_600)
    season_s: float = Field(86_400.0, gt=0)


class Scenario(Part):
    """The whole.

    Attributes:
        seed: The same seed gives the same result, bit for bit.
        duration_s: For how long requests come. All of them are seen to their end.
        warm_up_s: Requests that come before are served and not counted.
        arrivals: When requests come, for all points that have none of their own.
    """

    name: str = "scenario"
    seed: int = 0
    duration_s: float = Field(60.0, gt=0, le=31_622_400)
    warm_up_s: float = Field(0.0, ge=0)
    arrivals: Arrivals | None = None
    points: tuple[Point, ...] = Field(min_length=1)
    models: tuple[Model, ...] = Field(min_length=1)
    devices: tuple[Devices, ...] = Field(min_length=1)
    policy: Policy = Policy()

    @model_validator(mode="after")
    def _holds_together(self) -> Scenario:
        if faults := list(_faults(self)):
            listed = "; ".join(map(str, faults))
            raise PydanticCustomError("scenario", "{listed}", {"listed": listed, FAULTS: faults})
        return self


def _faults(scenario: Scenario) -> Iterator[Fault]:
    """Yield what is wrong between the parts."""
    models = {model.name: model for model in scenario.models}
    hardware = {group.hardware for group in scenario.devices}
    if scenario.warm_up_s >= scenario.duration_s:
        yield Fault("warm_up_s", "leaves nothing to count; it must be below duration_s")
    for part in ("points", "models", "devices"):
        names = [one.name for one in getattr(scenario, part)]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Fault(part, f"{name!r} is there twice")
    for place, point in enumerate(scenario.points):
        if point.model not in models:
            yield Fault(f"points.{place}.model", f"no model {point.model!r} is declared")
        if point.arrivals is None and scenario.arrivals is None:
            yield Fault(f"points.{place}.arrivals", "neither it nor the scenario has arrivals")
        if abs(sum(point.criticality.values()) - 1) > 1e-6:
            yield Fault(f"points.{place}.criticality", "the parts do not sum to 1")
        if point.slo_ms is not None and point.slo_ms > point.deadline_ms:
            yield Fault(
                f"points.{place}.slo_ms", "is above deadline_ms, when nobody waits any more"
            )
    for place, model in enumerate(scenario.models):
        if not hardware & set(model.service):
            yield Fault(f"models.{place}.service", "names no hardware that a device has")
        for kind, service in model.service.items():
            if service.mean_s(1) <= 0:
                yield Fault(f"models.{place}.service.{kind}", "a batch of one takes no time")
