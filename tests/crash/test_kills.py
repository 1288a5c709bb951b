"""F1, F3, F4, F30: workers that are killed at any moment, for good, or frozen and thawed."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from opsrail.errors import DataDirInUse
from opsrail.values.cases import CaseRow, JournalRow, OutboxRow, OutboxState, WorkerRow
from opsrail.values.decisions import DecisionRow
from opsrail.values.rows import Where
from tests.crash.conftest import Record
from tests.support.chaos import Site, until

SEED = 20_260_301
KILLS = 11
FROZEN_S = 10.0
MOST = 100_000


def want_long_cases(site: Site, span_s: float, count: int = 40) -> None:
    site.wanted |= {
        f"long-{n}": {"key": f"long-{n}", "kind": "steps", "count": count, "span_s": span_s}
        for n in range(8)
    }


@pytest.mark.crash
async def test_eight_long_cases_survive_eleven_kills_on_sqlite(sqlite_site: Site) -> None:
    chance = random.Random(SEED)
    want_long_cases(sqlite_site, 0.05)
    for _ in range(KILLS):
        async with sqlite_site.worker() as worker:
            await worker.said_one("ready")
            worker.submit_again()
            await asyncio.sleep(chance.uniform(0.02, 0.4))
            await worker.kill()
    await sqlite_site.finish()

    assert (SEED, await sqlite_site.broken_promises()) == (SEED, [])


@pytest.mark.crash
@pytest.mark.connected
async def test_eight_long_cases_survive_eleven_kills_among_three_processes(
    postgres_site: Site,
) -> None:
    chance = random.Random(SEED)
    want_long_cases(postgres_site, 0.05)
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(postgres_site.worker()) for _ in range(3)]
        for worker in workers:
            await worker.said_one("ready")
        await workers[0].submit_all()
        for number in range(KILLS):
            await asyncio.sleep(chance.uniform(0.1, 2.0))
            place = number % len(workers)
            await workers[place].kill()
            workers[place] = await stack.enter_async_context(postgres_site.worker())
            await workers[place].said_one("ready")
        await workers[0].rest()

    assert (SEED, await postgres_site.broken_promises()) == (SEED, [])


@pytest.mark.crash
@pytest.mark.connected
async def test_the_cases_of_a_machine_that_dies_for_good_go_on_elsewhere_within_ten_seconds(
    postgres_site: Site, record: Record
) -> None:
    del postgres_site.settings["OPSRAIL_CASES__DEAD_S"]
    want_long_cases(postgres_site, 0.5, 12)
    async with AsyncExitStack() as stack:
        dead, *others = [await stack.enter_async_context(postgres_site.worker()) for _ in range(3)]
        for worker in (dead, *others):
            await worker.said_one("ready")
        await dead.submit_all()
        await postgres_site.stepped(16)
        await dead.kill()
        killed_s = time.monotonic()
        await until(lambda: len(firsts(postgres_site, dead.pid)) == 8, "all cases go on")
        await others[0].rest()
    waits_s = [at_s - killed_s for at_s in firsts(postgres_site, dead.pid).values()]
    record("first_resumed_step_s", round(max(waits_s), 2))

    assert max(waits_s) <= 10
    assert await postgres_site.broken_promises() == []


@pytest.mark.crash
@pytest.mark.connected
@pytest.mark.parametrize(
    "stop_at", ["", "case.step_ran:9", "commit.written:12", "outbox.before_send:1"]
)
async def test_a_frozen_worker_that_thaws_writes_nothing_after_the_takeover(
    stop_at: str, postgres_site: Site, record: Record
) -> None:
    """Frozen in the middle of a step, between a step and its commit, inside a transaction, or about to send."""
    site = postgres_site
    del site.settings["OPSRAIL_CASES__DEAD_S"]
    site.wanted |= {f"case-{n}": {"key": f"case-{n}", "count": 12, "span_s": 0.1} for n in range(6)}
    async with AsyncExitStack() as stack:
        zombie = await stack.enter_async_context(site.worker(stop_at=stop_at))
        name = (await zombie.said_one("ready"))["worker"]
        zombie.submit_again()
        if not stop_at:
            await site.stepped(12)
            zombie.signal(signal.SIGSTOP)
        await zombie.frozen()
        frozen_s = time.monotonic()
        site.kills += 1
        other = await stack.enter_async_context(site.worker())
        await other.submit_all()
        await other.rest()
        resumed_s = min(one["at_s"] for one in deeds(site) if one["pid"] != zombie.pid)
        await asyncio.sleep(max(frozen_s + FROZEN_S - time.monotonic(), 0))
        before = await outcome(site)
        zombie.signal(signal.SIGCONT)
        await site.has(WorkerRow, Where("pid", "=", zombie.pid), Where("state", "=", "alive"))
        await zombie.rest()
        after = await outcome(site)
    async with site.store() as store:
        boots = {
            row.id: row.state
            for row in await store.select(WorkerRow, Where("pid", "=", zombie.pid))
        }
    record("taken_over_s", round(resumed_s - frozen_s, 2))

    sent_late = [
        one for one in site.trace("sent") if one["pid"] == zombie.pid and one["at_s"] > frozen_s
    ]

    assert after == before
    assert sent_late == []
    assert boots[name] == "dead"
    assert resumed_s - frozen_s <= 10
    assert await site.broken_promises() == []


@pytest.mark.crash
@pytest.mark.connected
async def test_a_frozen_worker_that_thaws_beside_the_new_owner_leaves_the_journal_to_it(
    postgres_site: Site,
) -> None:
    site = postgres_site
    site.wanted |= {
        f"case-{n}": {"key": f"case-{n}", "kind": "steps", "count": 30, "span_s": 0.25}
        for n in range(6)
    }
    async with site.worker() as zombie:
        await zombie.said_one("ready")
        await zombie.submit_all()
        await site.stepped(18)
        zombie.signal(signal.SIGSTOP)
        site.kills += 1
        async with site.worker() as other:
            await until(lambda: len(firsts(site, zombie.pid)) == 6, "all cases go on")
            before = await written_by(site, zombie.pid)
            zombie.signal(signal.SIGCONT)
            await other.rest()
    after = await written_by(site, zombie.pid)

    assert before
    assert after == before
    assert await site.broken_promises(repeats=2) == []


async def test_a_second_process_on_the_same_folder_is_refused_at_once(sqlite_site: Site) -> None:
    async with sqlite_site.worker() as first:
        await first.said_one("ready")
        async with sqlite_site.worker() as second:
            code = await second.ended()
        first.submit("one", kind="steps")
        await first.submit_all()
        await first.rest()

    assert code == 1
    assert f"{DataDirInUse.__name__}: " in sqlite_site.logs()
    assert f"is run by process {first.pid}; stop it, or use another folder" in sqlite_site.logs()
    assert await sqlite_site.broken_promises() == []


@pytest.mark.connected
async def test_two_processes_on_one_database_share_its_cases(postgres_site: Site) -> None:
    postgres_site.settings |= {"OPSRAIL_CASES__AT_ONCE": "4"}
    postgres_site.wanted |= {
        f"case-{n}": {"key": f"case-{n}", "count": 4, "span_s": 0.05} for n in range(24)
    }
    async with postgres_site.worker() as first, postgres_site.worker() as second:
        await first.said_one("ready")
        await second.said_one("ready")
        await asyncio.gather(first.submit_all(), second.submit_all())
        await first.rest()

    assert {one["pid"] for one in postgres_site.trace("steps")} == {first.pid, second.pid}
    assert await postgres_site.broken_promises() == []


def firsts(site: Site, dead_pid: int) -> dict[str, float]:
    """Return when each case first went on in a process other than the dead one, s."""
    found: dict[str, float] = {}
    for one in site.trace("steps"):
        if one["pid"] != dead_pid:
            found.setdefault(one["key"], one["at_s"])
    return found


async def written_by(site: Site, pid: int) -> set[tuple[str, int]]:
    """Return the places in journals that hold the result of a step which ran in a process."""
    async with site.store() as store:
        rows = await store.select(JournalRow, Where("result", "=", str(pid)), limit=MOST)
    return {(row.case_id, row.seq) for row in rows}


def deeds(site: Site) -> list[dict[str, Any]]:
    """Return everything that cases did outside."""
    return [*site.trace("steps"), *site.trace("sent")]


async def outcome(site: Site) -> Sequence[object]:
    """Return every row that says what became of the cases."""
    async with site.store() as store:
        tables = (CaseRow, JournalRow, OutboxRow, DecisionRow)
        rows = [await store.select(table, limit=MOST) for table in tables]
        due = await store.select(OutboxRow, Where("state", "=", OutboxState.DUE))
    assert due == []
    return rows
