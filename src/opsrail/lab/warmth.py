"""Loads and lets go models as a policy wants it, and counts what devices cost meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from opsrail.lab.fleet import Device, Fleet, Place
from opsrail.lab.scenario import Scenario
from opsrail.lab.timeline import Timeline
from opsrail.lab.warming import apportioned, capacity_per_s, usual_s, warming_of, worth


class Warmth:
    """What is warm where.

    Args:
        became_warm: Told of a place that takes requests from now on.

    Attributes:
        asked: Requests since the last look, by model; who routes them counts them.
        loads: Models loaded, by group; those at the begin not counted.
        paid_s: Device time that was paid, by group.
    """

    def __init__(
        self,
        scenario: Scenario,
        fleet: Fleet,
        timeline: Timeline,
        became_warm: Callable[[Place], None],
    ) -> None:
        self._scenario = scenario
        self._policy = scenario.policy
        self._fleet = fleet
        self._timeline = timeline
        self._became_warm = became_warm
        self._load_s = [model.load_s for model in scenario.models]
        self._warming = [
            warming_of(scenario.policy, self._per_device_per_s(place))
            for place in range(len(scenario.models))
        ]
        self._surplus_since_s: list[float | None] = [None] * len(scenario.models)
        self.asked = [0] * len(scenario.models)
        self.loads = [0] * len(scenario.devices)
        self.paid_s = [0.0] * len(scenario.devices)
        self._is_fixed = scenario.policy.prewarm == "all"
        if self._is_fixed:
            self._fill()

    def look(self) -> None:
        """Hold what is warm against what is wanted."""
        now_s, ahead = self._timeline.now_s, self._policy.prewarm != "none"
        for model, warming in enumerate(self._warming):
            if warming is None:
                continue
            warming.observe(now_s, self.asked[model])
            self.asked[model] = 0
            wanted = warming.wanted(now_s, self._load_s[model] + 2 * self._policy.tick_s)
            placed = self._fleet.placed_count(model)
            if ahead:
                for _ in range(wanted - placed):
                    if self.load(model, self._fleet.ways[model]) is None:
                        break
            self._let_go(model, placed - wanted, now_s)

    def cold(self, model: int, groups: Sequence[int]) -> Place | None:
        """Return a place that will be warm for who found none; one is begun unless one is under way."""
        if self._is_fixed:
            return None
        for place in self._fleet.loading[model]:
            if place.device.group in groups:
                return place
        return self.load(model, groups)

    def load(self, model: int, groups: Sequence[int]) -> Place | None:
        """Begin to load a model where there is room, or where another has nothing to do; None: nowhere."""
        fleet, now_s = self._fleet, self._timeline.now_s
        device = fleet.room_for(model, groups)
        if device is None:
            idle = fleet.idle_place(model, groups, now_s - self._policy.tick_s)
            if idle is None or any(place.model == model for place in idle.device.places):
                return None
            device = idle.device
            fleet.retire(idle)
            fleet.unload(idle)
        self.loads[device.group] += 1
        return self.begin(device, model)

    def begin(self, device: Device, model: int) -> Place:
        """Load a model on a device that has room for it."""
        now_s = self._timeline.now_s
        place = self._fleet.begin(device, model, now_s)
        place.ready_s = now_s + self._load_s[model]
        self._timeline.plan(place.ready_s, self._loaded, place)
        return place

    def restore(self, device: Device, models: Sequence[int]) -> None:
        """Let a device that was down take models again: the ones it had, or what is wanted by then."""
        self._fleet.offer_empty(device)
        if self._is_fixed:
            for model in models:
                self.loads[device.group] += 1
                self.begin(device, model)

    def emptied(self, place: Place) -> None:
        """Take a place away that got no more requests and has none left."""
        device = place.device
        self._fleet.unload(place)
        if not device.places:
            self.stop_paying(device)

    def stop_paying(self, device: Device) -> None:
        """Close the account of a device that holds nothing."""
        if device.paid_since_s is not None:
            self.paid_s[device.group] += self._timeline.now_s - device.paid_since_s
            device.paid_since_s = None

    def _loaded(self, place: Place) -> None:
        if not place.is_leaving:
            self._fleet.become_warm(place)
            self._became_warm(place)

    def _let_go(self, model: int, surplus: int, now_s: float) -> None:
        """Retire what was not needed for long enough; places that load are left to finish."""
        if surplus <= 0:
            self._surplus_since_s[model] = None
            return
        since_s = self._surplus_since_s[model]
        if since_s is None:
            self._surplus_since_s[model] = since_s = now_s
        if now_s - since_s < self._policy.keep_s:
            return
        warm = sorted(self._fleet.places(model), key=_dearest_and_idlest(self._scenario))
        for place in warm[:surplus]:
            self._fleet.retire(place)
            if place.rows == 0:
                self.emptied(place)

    def _per_device_per_s(self, model: int) -> float:
        """Return what one warm device should get: on the cheapest hardware, with the policy's room."""
        declared = self._scenario.models[model]
        hardware = self._scenario.devices[self._fleet.ways[model][0]].hardware
        return self._policy.load_ratio * capacity_per_s(
            declared.service[hardware],
            self._policy.max_batch,
            usual_s(self._scenario, declared),
        )

    def _fill(self) -> None:
        """Put models on all devices, as many of each as its demand needs."""
        for number, group in enumerate(self._scenario.devices):
            devices = self._fleet.devices[number]
            seats = apportioned(
                worth(self._scenario, group), group.count * group.holds_count, group.count
            )
            at = 0
            for model, places in enumerate(seats):
                for _ in range(places):
                    place = self._fleet.begin(devices[at % group.count], model, 0.0)
                    place.ready_s = 0.0
                    self._fleet.become_warm(place)
                    at += 1


def _dearest_and_idlest(scenario: Scenario) -> Callable[[Place], tuple[float, int, int, int]]:
    def order(place: Place) -> tuple[float, int, int, int]:
        group = place.device.group
        cost = scenario.devices[group].cost_usd_per_s
        return -cost, place.rows, group, -place.device.number

    return order
