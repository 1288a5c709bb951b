"""Signs of life: who is taken for dead, and by whom."""

from __future__ import annotations

from opsrail.cases.worker import BEATS, DEAD_S, Worker
from opsrail.clock import ManualClock
from opsrail.store.memory import MemoryStore
from opsrail.values.cases import WorkerRow

BEAT_S = DEAD_S / BEATS


class Machine:
    """Two workers on one store, and a clock that the test moves."""

    def __init__(self) -> None:
        self.at_s = 0.0
        self.clock = ManualClock(lambda: self.at_s)
        self.store = MemoryStore(clock=self.clock)
        self.first, self.second = (Worker(self.store, self.clock) for _ in range(2))

    async def begin(self) -> None:
        await self.store.open()
        await self.first.register()
        await self.second.register()

    async def beats(self, *workers: Worker, for_s: float) -> None:
        end_s = self.at_s + for_s
        while self.at_s < end_s:
            self.at_s += BEAT_S
            for worker in workers:
                await worker.beat()
                await worker.bury()

    async def state(self, worker: Worker) -> str:
        row = await self.store.get(WorkerRow, worker.id)
        assert row is not None
        return row.state


async def test_the_first_to_come_back_after_an_outage_does_not_bury_the_others() -> None:
    machine = Machine()
    await machine.begin()
    await machine.beats(machine.first, machine.second, for_s=DEAD_S)
    machine.at_s += 2 * DEAD_S  # the database was away
    await machine.beats(machine.first, for_s=BEAT_S)
    await machine.beats(machine.first, machine.second, for_s=3 * DEAD_S)

    assert await machine.state(machine.second) == "alive"


async def test_who_stays_silent_after_an_outage_is_buried_a_dead_span_later() -> None:
    machine = Machine()
    await machine.begin()
    machine.at_s += 2 * DEAD_S
    await machine.beats(machine.first, for_s=DEAD_S)
    before = await machine.state(machine.second)
    await machine.beats(machine.first, for_s=2 * BEAT_S)

    assert (before, await machine.state(machine.second)) == ("alive", "dead")


async def test_who_falls_silent_alone_is_buried_after_the_dead_span() -> None:
    machine = Machine()
    await machine.begin()
    await machine.beats(machine.first, machine.second, for_s=DEAD_S)
    await machine.beats(machine.first, for_s=DEAD_S - BEAT_S)
    before = await machine.state(machine.second)
    await machine.beats(machine.first, for_s=BEAT_S)

    assert (before, await machine.state(machine.second)) == ("alive", "dead")


async def test_a_worker_that_begins_takes_over_at_once_from_who_is_long_silent() -> None:
    machine = Machine()
    await machine.begin()
    machine.at_s += 2 * DEAD_S
    fresh = Worker(machine.store, machine.clock)
    await fresh.register()
    await fresh.bury()

    assert await machine.state(machine.first) == "dead"
