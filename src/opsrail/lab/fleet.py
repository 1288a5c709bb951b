"""Devices and what is warm on them: where a request goes, which device loads, which lets go. No time passes here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from opsrail.clock import Chance
from opsrail.decide.asks import Ask, Batch
from opsrail.decide.lane import Lane
from opsrail.lab.demand import Asked
from opsrail.lab.fifo import Fifo
from opsrail.lab.scenario import Devices, Model, Scenario
from opsrail.lab.service import Service


class Queue(Protocol):
    """What the simulator drives: a `Lane` or a `Fifo`."""

    returned: list[Ask]

    @property
    def queued(self) -> int: ...
    def offer(self, key: object, payload: object, rank: int, due_s: float, now_s: float) -> Ask: ...
    def cut(self, now_s: float) -> Batch | None: ...
    def finish(self, batch: Batch, now_s: float, *, is_learned: bool = True) -> None: ...
    def expire(self, now_s: float) -> None: ...
    def wake_s(self) -> float | None: ...


class Serves(Protocol):
    """What a device may be besides: a server process, see `process`."""

    is_beginning: bool
    is_gone: bool

    def arrive(self, asked: Asked, place: Place) -> None: ...
    def begin(self) -> None: ...
    def record(self, asked: Asked, place: Place) -> None: ...


class Place:
    """One model on one device.

    Attributes:
        ready_s: When it is warm; infinite until that is known to have happened.
        rows: Requests queued and running.
        held: Its requests, where its device may crash.
        asked_s: When it was last given a request.
        slot: Its position in its model's list of warm places; -1: it is in none.
        is_leaving: Gets nothing more, and goes when it is empty.
    """

    __slots__ = (
        "asked_s", "device", "held", "is_leaving", "is_warm", "model", "queue", "ready_s", "rows", "slot",
    )  # fmt: skip

    def __init__(self, device: Device, model: int, queue: Queue, now_s: float) -> None:
        self.device = device
        self.model = model
        self.queue = queue
        self.ready_s = float("inf")
        self.is_warm = False
        self.is_leaving = False
        self.rows = 0
        self.asked_s = now_s
        self.slot = -1
        self.held: dict[int, Asked] | None = None


class Device:
    """One device.

    Attributes:
        process: The server process that it is; None: it does nothing but batches.
        places: Models on it, warm or loading.
        batch: What it works on, and for which place.
        wakes_s: When it will look at its queues again at the latest; infinite: nothing is planned.
        paid_since_s: Since when it costs; None: nothing is on it.
    """

    __slots__ = (
        "batch",
        "group",
        "is_up",
        "number",
        "paid_since_s",
        "places",
        "process",
        "wakes_s",
    )

    def __init__(self, group: int, number: int) -> None:
        self.group = group
        self.number = number
        self.places: list[Place] = []
        self.batch: tuple[Place, Batch] | None = None
        self.process: Serves | None = None
        self.wakes_s = float("inf")
        self.paid_since_s: float | None = None
        self.is_up = True

    @property
    def is_beginning(self) -> bool:
        """Whether its process will look for a batch in one of its next steps."""
        return self.process is not None and self.process.is_beginning


class Fleet:
    """All devices of a scenario.

    Attributes:
        groups: Their declarations, as in the scenario.
        devices: By group.
        warm: Places that take requests, by model, then group.
        loading: Places that are not warm yet, by model.
        ways: By model: the groups it can run on, cheapest first.
    """

    def __init__(self, scenario: Scenario, chance: Chance) -> None:
        self._policy = scenario.policy
        self._chance = chance
        self._models = scenario.models
        self.groups: Sequence[Devices] = scenario.devices
        self.devices = [
            [Device(place, number) for number in range(group.count)]
            for place, group in enumerate(scenario.devices)
        ]
        self.warm: list[list[list[Place]]] = [
            [[] for _ in scenario.devices] for _ in scenario.models
        ]
        self.loading: list[list[Place]] = [[] for _ in scenario.models]
        self.ways = [ways(model, scenario.devices) for model in scenario.models]
        self._empty = [list(reversed(group)) for group in self.devices]

    def service(self, place: Place) -> Service:
        """Return what the place's model takes on its device."""
        return self._models[place.model].service[self.groups[place.device.group].hardware]

    def pick(self, model: int, group: int) -> Place | None:
        """Return the warm place a request should go to; None: there is none."""
        places = self.warm[model][group]
        count = len(places)
        if count <= 1:
            return places[0] if count else None
        how, chance = self._policy.placement, self._chance.random
        if how == "least":
            return min(places, key=_load)
        one = places[int(chance() * count)]
        if how == "any":
            return one
        two = places[int(chance() * count)]
        return one if one.rows <= two.rows else two

    def placed_count(self, model: int) -> int:
        """Return how many places a model has, warm or on their way."""
        return len(self.loading[model]) + sum(map(len, self.warm[model]))

    def warm_count(self, model: int) -> int:
        """Return how many places take requests of a model."""
        return sum(map(len, self.warm[model]))

    def room_for(self, model: int, groups: Sequence[int]) -> Device | None:
        """Return a device that can load a model: an empty one, or one that holds fewer than it may; cheapest group first."""
        for group in groups:
            empty = self._empty[group]
            while empty and (empty[-1].places or not empty[-1].is_up):
                empty.pop()
            if empty:
                return empty[-1]
            most = self.groups[group].holds_count
            if most > 1:
                for device in self.devices[group]:
                    has = any(place.model == model for place in device.places)
                    if device.is_up and len(device.places) < most and not has:
                        return device
        return None

    def idle_place(self, model: int, groups: Sequence[int], before_s: float) -> Place | None:
        """Return the place of another model that was asked least lately, not since a moment, and has nothing to do."""
        idle = [
            place
            for group in groups
            for other, warm in enumerate(self.warm)
            if other != model
            for place in warm[group]
            if place.rows == 0 and place.asked_s < before_s
        ]
        return min(idle, key=_asked_s, default=None)

    def begin(self, device: Device, model: int, now_s: float) -> Place:
        """Put a model on a device; it is not warm yet."""
        place = Place(device, model, self._new_queue(), now_s)
        if self.groups[device.group].crash_every_s is not None:
            place.held = {}
        device.places.append(place)
        self.loading[model].append(place)
        if device.paid_since_s is None:
            device.paid_since_s = now_s
        return place

    def become_warm(self, place: Place) -> None:
        """Let a place take requests."""
        self.loading[place.model].remove(place)
        warm = self.warm[place.model][place.device.group]
        place.is_warm, place.slot = True, len(warm)
        warm.append(place)

    def retire(self, place: Place) -> None:
        """Give a place no more requests."""
        if place.slot >= 0:
            warm = self.warm[place.model][place.device.group]
            last = warm.pop()
            if last is not place:
                warm[place.slot], last.slot = last, place.slot
            place.slot = -1
        elif place in self.loading[place.model]:
            self.loading[place.model].remove(place)
        place.is_leaving = True

    def unload(self, place: Place) -> None:
        """Take a retired, empty place off its device."""
        place.device.places.remove(place)
        self.offer_empty(place.device)

    def offer_empty(self, device: Device) -> None:
        """Let a device that holds nothing be found by `room_for`."""
        if device.is_up and not device.places:
            self._empty[device.group].append(device)

    def places(self, model: int) -> Iterator[Place]:
        """Yield the places of a model that take requests."""
        for warm in self.warm[model]:
            yield from warm

    def _new_queue(self) -> Queue:
        policy = self._policy
        if policy.queue == "fifo":
            return Fifo(policy.max_batch, policy.fifo_most_count, policy.fifo_wait_ms / 1000)
        return Lane(1, policy.max_batch)


def ways(model: Model, groups: Sequence[Devices]) -> list[int]:
    """Return the groups a model can run on, cheapest first."""
    able = [place for place, group in enumerate(groups) if group.hardware in model.service]
    return sorted(able, key=lambda place: (groups[place].cost_usd_per_s, place))


def _load(place: Place) -> tuple[int, int]:
    return place.rows, place.device.number


def _asked_s(place: Place) -> tuple[float, int, int]:
    return place.asked_s, place.device.group, place.device.number
