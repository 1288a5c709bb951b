"""Virtual time: arrivals, batches, loads, crashes. The queues are the ones that serve; only time is not real.

A request's way: routed to a warm place of its model, cheapest group first -> offered to that place's queue -> cut into a
batch when its device is free -> ended. Each ends exactly once, at its deadline at the latest.

Same scenario, same result: things planned for one moment keep the order in which they were planned, and each source of
chance has a stream of its own, so that two policies are judged on the same arrivals.

Source:
    Event list and common random numbers: Law, Simulation Modeling and Analysis, 5th ed., 1.3 and 11.2. The better of two by
    chance: Mitzenmacher, The Power of Two Choices in Randomized Load Balancing (2001).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import cast

from opsrail.clock import chance
from opsrail.decide.asks import QUEUED, Ask, Batch
from opsrail.decide.asks import SHED as LANE_SHED
from opsrail.lab.demand import KEYLESS, Asked, demand
from opsrail.lab.fleet import Device, Fleet, Place
from opsrail.lab.process import Process, Step
from opsrail.lab.scenario import CRITICALITIES, Scenario
from opsrail.lab.server import Server
from opsrail.lab.tally import ANSWERED, FAILED, LATE, SHED, Tally
from opsrail.lab.timeline import NEVER_S, Timeline
from opsrail.lab.use import Used
from opsrail.lab.warmth import Warmth

LATER_S = 1e-6
"""Between two looks at a queue for nothing but time: a moment that is due is past then, whatever rounding does."""
Watch = Callable[[Asked, str, float], None]
"""Told of each end: the request, how it ended, and when."""


class Engine:
    """One run of a scenario.

    Args:
        watch: Told of each request's end.

    Attributes:
        tallies: By point, then criticality.
    """

    def __init__(self, scenario: Scenario, watch: Watch | None = None) -> None:
        self.scenario = scenario
        self.timeline = Timeline()
        self.fleet = Fleet(scenario, chance(f"{scenario.seed}/placement"))
        self.tallies = [[Tally() for _ in CRITICALITIES] for _ in scenario.points]
        self.used = [Used() for _ in scenario.devices]
        self._watch = watch
        self._under_way = 0
        self._service_chance = chance(f"{scenario.seed}/service")
        self._fault_chance = chance(f"{scenario.seed}/faults")
        self._keys: dict[tuple[int, int], tuple[Place, int]] = {}
        names = [model.name for model in scenario.models]
        self._point_models = [names.index(point.model) for point in scenario.points]
        self._good_s = [point.good_s for point in scenario.points]
        self._may_spill = [name in scenario.policy.spill for name in CRITICALITIES]
        self._delay_s = [group.delay_ms / 1000 for group in scenario.devices]
        self.warmth = Warmth(scenario, self.fleet, self.timeline, self._start_on)
        for group, devices in zip(scenario.devices, self.fleet.devices, strict=True):
            for device in devices:
                self._start_process(device, group.server)
        self._plan_ahead()

    @property
    def events(self) -> int:
        """Return the steps of the simulation so far."""
        return self.timeline.steps + sum(tally.arrived for point in self.tallies for tally in point)

    def run(self) -> Iterator[float]:
        """Run to the end of the last request; yield the virtual time now and then. Raises InvalidInput: a file is wrong."""
        timeline, arrive = self.timeline, self._arrive
        for number, asked in enumerate(demand(self.scenario)):
            while timeline.next_s <= asked.at_s:
                timeline.step()
            timeline.now_s = asked.at_s
            arrive(asked)
            if number % 4096 == 0:
                yield timeline.now_s
        while self._under_way:
            timeline.step()
            if timeline.steps % 4096 == 0:
                yield timeline.now_s
        for devices in self.fleet.devices:
            for device in devices:
                self.warmth.stop_paying(device)

    def _arrive(self, asked: Asked) -> None:
        self._under_way += 1
        model = self._point_models[asked.point]
        self.warmth.asked[model] += 1
        if asked.is_counted:
            self.tallies[asked.point][asked.rank].arrived += 1
        pinned = self._keys.get((asked.point, asked.key)) if asked.key != KEYLESS else None
        state = self._offer(asked, pinned[0]) if pinned else self._route(asked, model)
        if state != QUEUED:
            self._end(asked, SHED if state == LANE_SHED else LATE, self.timeline.now_s)

    def _route(self, asked: Asked, model: int) -> str:
        """Offer a request to the warm, cheapest first, then to what loads; return how it was taken."""
        ways = self.fleet.ways[model]
        if not self._may_spill[asked.rank]:
            ways = ways[:1]
        asked.is_cold, state = True, LANE_SHED
        for group in ways:
            if (place := self.fleet.pick(model, group)) is None:
                continue
            asked.is_cold = False
            if (state := self._offer(asked, place)) == QUEUED:
                return state
        cold = self.warmth.cold(model, ways)
        if cold is not None and cold.ready_s < asked.due_s:
            asked.is_cold = True
            state = self._offer(asked, cold)
        return state

    def _offer(self, asked: Asked, place: Place) -> str:
        """Offer a request to a place's queue; return how it was taken. A server process takes all in, and decides then."""
        process = place.device.process
        if process is None:
            ask = self._queue(asked, place)
            if ask.state != QUEUED:
                return ask.state
        place.rows += 1
        place.asked_s = self.timeline.now_s
        if place.held is not None:
            place.held[asked.number] = asked
        if asked.key != KEYLESS:
            self._pin(asked, place)
        if process is None:
            self._queued(asked, place)
        else:
            process.arrive(asked, place)
        return QUEUED

    def take_in(self, asked: Asked, place: Place) -> None:
        """Offer a request to its queue, now that a server process has read it."""
        ask = self._queue(asked, place)
        if ask.state == QUEUED:
            self._queued(asked, place)
            return
        place.queue.returned.append(ask)
        self._give_back(place)

    def _queue(self, asked: Asked, place: Place) -> Ask:
        return place.queue.offer(asked.number, asked, asked.rank, asked.due_s, self.timeline.now_s)

    def _queued(self, asked: Asked, place: Place) -> None:
        """See what follows from a request that was queued."""
        queue, device = place.queue, place.device
        if queue.returned:  # whom it pushed out
            self._give_back(place)
        if device.batch is None and place.is_warm:
            self._start(device)
        if place.rows and (queue.queued == 1 or asked.due_s < device.wakes_s):
            self._plan_wake(device)

    def _start_on(self, place: Place) -> None:
        self._start(place.device)
        self._plan_wake(place.device)

    def _start(self, device: Device) -> None:
        """Let a free device begin its next batch, if it has one."""
        if device.batch is not None:
            return
        if device.process is not None:
            if any(place.is_warm and place.queue.queued for place in device.places):
                device.process.begin()
        elif (step := self.batch(device)) is not None:
            seconds, then, args = step
            self.timeline.plan(self.timeline.now_s + seconds, then, *args)

    def batch(self, device: Device) -> Step | None:
        """Cut the next batch of a device; return what it takes and what follows. None: nothing can begin."""
        for place in _by_urgency(device):
            batch = place.queue.cut(self.timeline.now_s)
            if place.queue.returned:
                self._give_back(place)
            if batch is not None:
                return self._begin(device, place, batch)
        if device.process is not None:
            self._plan_wake(device)  # a look that was left to this one
        return None

    def _begin(self, device: Device, place: Place, batch: Batch) -> Step:
        rows = len(batch.asks)
        took_s = self.fleet.service(place).draw_s(rows, self._service_chance)
        model, is_failing = self.scenario.models[place.model], False
        if model.hang_ratio and self._fault_chance.random() < model.hang_ratio:
            took_s += model.hang_s
        if model.failure_ratio:
            is_failing = self._fault_chance.random() < model.failure_ratio
        self.used[device.group].begin(rows, took_s)
        device.batch = (place, batch)
        return took_s, self._finish, (device, batch, is_failing)

    def _finish(self, device: Device, batch: Batch, is_failing: bool) -> None:
        if device.batch is None or device.batch[1] is not batch:
            return  # it crashed meanwhile
        place, device.batch = device.batch[0], None
        now_s = self.timeline.now_s
        place.queue.finish(batch, now_s, is_learned=not is_failing)
        for ask in batch.asks:
            asked = cast(Asked, ask.payload)
            if is_failing:
                self._forget(asked, place)
                self._end(asked, FAILED, min(now_s, asked.due_s))
            elif device.process is None:
                self.answer(asked, place)
            else:
                device.process.record(asked, place)
        self._start(device)
        self._leave(place)

    def answer(self, asked: Asked, place: Place) -> None:
        """End a request that was served."""
        self._forget(asked, place)
        end_s = self.timeline.now_s + self._delay_s[place.device.group]
        if end_s <= asked.due_s:
            self._end(asked, ANSWERED, end_s)
        else:
            self._end(asked, LATE, asked.due_s)
        self._leave(place)

    def use(self, device: Device, seconds: float) -> None:
        """Count time that a server process took besides batches."""
        self.used[device.group].busy_s += seconds

    def _forget(self, asked: Asked, place: Place) -> None:
        """Count a request no more among those of a place."""
        place.rows -= 1
        if place.held is not None:
            del place.held[asked.number]

    def _plan_wake(self, device: Device) -> None:
        """Plan the next look at a device's queues for nothing but time."""
        wake_s = min((_wake_s(place) for place in device.places), default=NEVER_S)
        is_held = device.batch is not None or device.is_beginning
        if is_held and wake_s <= self.timeline.now_s:
            return  # what could begin will when the batch ends
        if wake_s < device.wakes_s:
            device.wakes_s = max(wake_s, self.timeline.now_s) + LATER_S
            self.timeline.plan(device.wakes_s, self._wake, device, device.wakes_s)

    def _wake(self, device: Device, planned_s: float) -> None:
        if planned_s != device.wakes_s:
            return  # another one was planned for earlier
        device.wakes_s = NEVER_S
        for place in list(device.places):
            place.queue.expire(self.timeline.now_s)
            if place.queue.returned:
                self._give_back(place)
        self._start(device)
        self._plan_wake(device)

    def _give_back(self, place: Place) -> None:
        """End what a queue gave back."""
        now_s = self.timeline.now_s
        returned, place.queue.returned = place.queue.returned, []
        for ask in returned:
            asked = cast(Asked, ask.payload)
            self._forget(asked, place)
            how = SHED if ask.state == LANE_SHED else LATE
            if how == LATE or asked.is_pinned or not self._spill(asked, place):
                self._end(asked, how, min(now_s, asked.due_s))
        self._leave(place)

    def _spill(self, asked: Asked, pushed_out_of: Place) -> bool:
        """Offer who was pushed out of a queue to dearer devices; return whether they took it."""
        if not self._may_spill[asked.rank]:
            return False
        ways = self.fleet.ways[pushed_out_of.model]
        for group in ways[ways.index(pushed_out_of.device.group) + 1 :]:
            place = self.fleet.pick(pushed_out_of.model, group)
            if place is not None and self._offer(asked, place) == QUEUED:
                return True
        return False

    def _leave(self, place: Place) -> None:
        """Take a place away that gets nothing more and has nothing left."""
        if place.is_leaving and place.rows == 0 and place in place.device.places:
            self.warmth.emptied(place)

    def _end(self, asked: Asked, how: str, at_s: float) -> None:
        """Note a request's end."""
        self._under_way -= 1
        if asked.is_pinned:
            self._unpin(asked)
        if asked.is_counted:
            tally = self.tallies[asked.point][asked.rank]
            tally.ends[how] += 1
            tally.cold += asked.is_cold
            if how == ANSWERED:
                took_s = at_s - asked.at_s
                tally.times.add(took_s)
                tally.good += took_s <= self._good_s[asked.point]
        if self._watch is not None:
            self._watch(asked, how, at_s)

    def _pin(self, asked: Asked, place: Place) -> None:
        """Send the next of its key to the same queue, as long as one is under way there."""
        key = (asked.point, asked.key)
        _, count = self._keys.get(key, (place, 0))
        self._keys[key] = (place, count + 1)
        asked.is_pinned = True

    def _unpin(self, asked: Asked) -> None:
        key = (asked.point, asked.key)
        place, count = self._keys[key]
        if count > 1:
            self._keys[key] = (place, count - 1)
        else:
            del self._keys[key]

    def _plan_ahead(self) -> None:
        """Plan looks at what is warm, and crashes."""
        if self.scenario.policy.prewarm != "all":
            self.timeline.plan(self.scenario.policy.tick_s, self._look)
        for group, devices in zip(self.scenario.devices, self.fleet.devices, strict=True):
            if group.crash_every_s is not None:
                for device in devices:
                    self._plan_crash(device, group.crash_every_s)

    def _look(self) -> None:
        self.warmth.look()
        self.timeline.plan(self.timeline.now_s + self.scenario.policy.tick_s, self._look)

    def _start_process(self, device: Device, server: Server | None) -> None:
        """Let a device have a process, if it is one; what was planned for the one before happens to nobody."""
        if device.process is not None:
            device.process.is_gone = True
        if server is not None:
            device.process = Process(server, device, self, self.timeline, self._service_chance)

    def _plan_crash(self, device: Device, every_s: float) -> None:
        in_s = self._fault_chance.expovariate(1 / every_s)
        self.timeline.plan(self.timeline.now_s + in_s, self._crash, device)

    def _crash(self, device: Device) -> None:
        """Lose a device with all that is on it."""
        now_s, lost = self.timeline.now_s, list(device.places)
        self.used[device.group].crashes += 1
        device.is_up, device.batch = False, None
        self._start_process(device, self.scenario.devices[device.group].server)
        for place in lost:
            self.fleet.retire(place)
            device.places.remove(place)
            held, place.held, place.rows = place.held or {}, None, 0
            for asked in held.values():
                self._end(asked, FAILED, min(now_s, asked.due_s))
        self.warmth.stop_paying(device)
        restart_s = self.scenario.devices[device.group].restart_s
        models = [place.model for place in lost]
        self.timeline.plan(now_s + restart_s, self._restart, device, models)

    def _restart(self, device: Device, models: list[int]) -> None:
        device.is_up = True
        self.warmth.restore(device, models)
        every_s = self.scenario.devices[device.group].crash_every_s
        if every_s is not None:
            self._plan_crash(device, every_s)


def _by_urgency(device: Device) -> Sequence[Place]:
    """Return the warm places of a device, the one first whose queue has to be looked at first."""
    places = device.places
    if len(places) == 1:
        return tuple(places) if places[0].is_warm else ()
    return sorted((place for place in places if place.is_warm), key=_wake_s)


def _wake_s(place: Place) -> float:
    wake_s = place.queue.wake_s()
    return NEVER_S if wake_s is None else wake_s
