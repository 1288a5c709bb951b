"""F8: a clock that is set wrong by an hour, in one of two workers or in the one there is."""

from __future__ import annotations

import time

import pytest

from opsrail.clock import SystemClock
from opsrail.values.cases import CaseRow, WorkerRow
from opsrail.values.rows import Where
from tests.crash.conftest import Record
from tests.support.chaos import Site

HOUR_S = 3600
NAP_S = 3.0
NAPS = 10
TICK_S = 0.1
LATE_S = 5.0


@pytest.mark.crash
@pytest.mark.connected
async def test_a_clock_that_jumps_in_one_of_two_workers_moves_no_timer_and_loses_no_lease(
    postgres_site: Site, record: Record
) -> None:
    site = postgres_site
    begun_s: dict[str, float] = {}
    async with site.worker() as right, site.worker() as wrong:
        await right.said_one("ready")
        await wrong.said_one("ready")
        for turn, shift_s in enumerate((HOUR_S, -2 * HOUR_S)):
            said = len(wrong.said)
            wrong.send(f"shift {shift_s}")
            await wrong.said_one("shifted", after=said)
            for worker in (right, wrong):
                for number in range(NAPS):
                    key = f"nap-{turn}-{worker.pid}-{number}"
                    begun_s[key] = time.monotonic()
                    worker.submit(key, kind="naps", span_s=NAP_S, count=0)
            await right.submit_all()
            await right.rest()
        alive = await states(site)
    slept_s = {one["key"]: one["at_s"] - begun_s[one["key"]] for one in site.trace("woken")}
    record("shortest_nap_s", round(min(slept_s.values()), 3))
    record("longest_nap_s", round(max(slept_s.values()), 3))

    assert len(slept_s) == 4 * NAPS
    assert min(slept_s.values()) >= NAP_S - TICK_S
    assert max(slept_s.values()) <= NAP_S + LATE_S
    assert alive == ["alive", "alive"]
    assert await losses(site) == 0
    assert await site.broken_promises() == []


@pytest.mark.crash
async def test_a_worker_that_died_with_a_clock_an_hour_ahead_is_taken_over_at_once(
    sqlite_site: Site, record: Record
) -> None:
    sqlite_site.wanted |= {
        f"case-{n}": {"key": f"case-{n}", "kind": "steps", "count": 20, "span_s": 0.1}
        for n in range(4)
    }
    async with sqlite_site.worker() as ahead:
        await ahead.said_one("ready")
        ahead.send(f"shift {HOUR_S}")
        await ahead.said_one("shifted")
        half_an_hour_on_ms = SystemClock().now_ms() + HOUR_S * 500
        await sqlite_site.has(WorkerRow, Where("heartbeat_at_ms", ">", half_an_hour_on_ms))
        await ahead.submit_all()
        await ahead.kill()
    killed_s = time.monotonic()
    await sqlite_site.finish()
    resumed_s = (
        next(one["at_s"] for one in sqlite_site.trace("steps") if one["at_s"] > killed_s) - killed_s
    )
    record("first_resumed_step_s", round(resumed_s, 2))

    assert resumed_s <= 10
    assert await sqlite_site.broken_promises() == []


async def states(site: Site) -> list[str]:
    async with site.store() as store:
        return [row.state for row in await store.select(WorkerRow)]


async def losses(site: Site) -> int:
    async with site.store() as store:
        return sum(row.losses for row in await store.select(CaseRow))
