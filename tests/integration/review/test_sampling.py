"""Spot checks and control cases on both databases: several processes draw at once, and each may die."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import pytest

from opsrail import faults
from opsrail.clock import SystemClock
from opsrail.ports import Store
from opsrail.review.sampling import Sampler
from opsrail.review.unasked import is_drawn
from opsrail.values.reviews import ControlRow, Purpose, ReviewRow
from opsrail.values.rows import equals
from tests.support.sampled import QUEUE, asked, audits, decided, known, plan, put, turned

CLOCK = SystemClock()
COUNT = 300


class Killed(BaseException):
    """The process is gone."""


def die() -> None:
    raise Killed


async def wait() -> int:
    """Let a little time pass; return a moment within."""
    await asyncio.sleep(0.03)
    at_ms = time.time_ns() // 1_000_000 - 10
    await asyncio.sleep(0.03)
    return at_ms


def sampler(store: Store, **shares: float) -> Sampler:
    return Sampler(store, CLOCK, [plan(0.3)], {QUEUE: 0.5} if shares else {}, late_ms=0)


async def test_processes_that_draw_at_once_open_each_once(new_store: Callable[[], Store]) -> None:
    stores = [new_store() for _ in range(3)]
    await stores[0].open()
    for other in stores[1:]:
        await other.open()
    try:
        samplers = [sampler(store, controls=0.5) for store in stores for _ in range(2)]
        await asyncio.gather(*(one.turn() for one in samplers))
        await asyncio.gather(*(one.turn() for one in samplers))
        rows = []
        for part in range(3):
            at_ms = await wait()
            rows += [decided(at_ms, 1_000 * part + n) for n in range(COUNT // 3)]
            await put(stores[0], rows[-COUNT // 3 :])
            await put(stores[1], [known(10 * part + n) for n in range(3)])
            await put(stores[1], [asked(at_ms, 100 * part + n) for n in range(10)])
            await asyncio.gather(*(one.turn() for one in samplers))
            await asyncio.gather(*(one.turn() for one in samplers))
        found = Counter(row.decision_id for row in await audits(stores[2]))
        used = await stores[2].select(ControlRow)
        controls = await stores[2].count(ReviewRow, *equals(purpose=Purpose.CONTROL))

        wanted = {row.id for row in rows if is_drawn(row.id, row.salt, 0.3)}
        assert found == Counter(wanted)
        assert 50 < len(wanted) < 130
        assert controls == {(): sum(row.used for row in used)}
        assert {row.used for row in used} <= {0, 1}
        assert sum(one.stats().audits for one in samplers) == len(wanted)
        assert [one.stats().faults for one in samplers] == [{}] * len(samplers)
    finally:
        for store in stores:
            await store.close()


@pytest.mark.parametrize("point", ["sampling.before_open", "sampling.after_open"])
async def test_a_process_that_dies_while_it_draws_loses_and_doubles_nothing(
    store: Store, point: str
) -> None:
    await turned(sampler(store))
    at_ms = await wait()
    rows = [decided(at_ms, n) for n in range(COUNT)]
    await put(store, rows)
    with faults.armed(point, die), pytest.raises(Killed):
        await sampler(store).turn()
    died_with = len(await audits(store))
    await turned(sampler(store))
    await turned(sampler(store))

    wanted = {row.id for row in rows if is_drawn(row.id, row.salt, 0.3)}
    assert died_with == (0 if point == "sampling.before_open" else len(wanted))
    assert Counter(row.decision_id for row in await audits(store)) == Counter(wanted)
