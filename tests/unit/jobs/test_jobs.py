"""Jobs as rows: asked for, listed, cancelled, bounded; files with them. Nothing runs here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn, cast

import pytest

from opsrail.clock import SystemClock
from opsrail.errors import Conflict, NotFound, Overloaded, StoreUnavailable
from opsrail.jobs.jobs import MOST_FILES, MOST_WAITING, Jobs, job_record
from opsrail.ledger.chain import WriterChain
from opsrail.store.memory import MemoryStore
from opsrail.values.cases import WorkerRow
from opsrail.values.jobs import JobFileRow, JobRow
from opsrail.values.rows import Insert, Require, Update, Write


@pytest.fixture
async def jobs() -> Jobs:
    clock = SystemClock()
    store = MemoryStore(WriterChain(clock), clock=clock)
    await store.open()
    made = Jobs(store, clock, lambda: "w", lambda: Require(WorkerRow, ("w",), {"state": "alive"}))
    made.order = dict
    return made


async def test_a_job_is_kept_listed_and_cancelled_once(jobs: Jobs) -> None:
    first = await jobs.ask("backfill", "holder@2", "{}", by="ann")
    second = await jobs.ask("backtest", "risk", "{}", by="bob")
    gone = await jobs.cancel(first.id, by="ann")

    assert [row.id for row in await jobs.list()] == [second.id, first.id]
    assert [row.id for row in await jobs.list(state="waiting")] == [second.id]
    assert job_record(gone)["problem"]["detail"] == "ann cancelled it"
    with pytest.raises(Conflict, match="cancelled cannot cancel"):
        await jobs.cancel(first.id, by="bob")
    with pytest.raises(NotFound):
        await jobs.get("0" * 26)


async def test_so_many_wait_and_no_more(jobs: Jobs) -> None:
    for _ in range(MOST_WAITING):
        await jobs.ask("backtest", "risk", "{}", by="ann")

    with pytest.raises(Overloaded, match=f"{MOST_WAITING} jobs wait"):
        await jobs.ask("backtest", "risk", "{}", by="ann")


async def test_an_installation_in_memory_runs_none(jobs: Jobs) -> None:
    jobs.order = None

    with pytest.raises(Conflict, match="in memory"):
        await jobs.ask("backtest", "risk", "{}", by="ann")


async def test_files_are_checked_bounded_and_gone_after_a_day(jobs: Jobs) -> None:
    kept = [
        await jobs.keep_file(b"%d" % number, "text/csv", by="ann") for number in range(MOST_FILES)
    ]
    with pytest.raises(Overloaded):
        await jobs.keep_file(b"more", "text/csv", by="ann")
    with pytest.raises(Conflict, match="expected was sha256:0"):
        await jobs.check_file(kept[0].id, "sha256:0")
    await jobs.check_file(kept[0].id, kept[0].digest)
    store = jobs._store
    await store.commit([Update(JobFileRow, (kept[0].id,), {"created_at_ms": 0})])

    assert (await jobs.keep_file(b"more", "text/csv", by="ann")).size_bytes == 4
    with pytest.raises(NotFound):
        await jobs.file(kept[0].id)


async def test_a_job_whose_worker_is_dead_waits_again_and_fails_the_third_time(jobs: Jobs) -> None:
    store = jobs._store
    await store.commit([Insert(WorkerRow("w", "here", 1, "alive", 0, 0))])
    row = await jobs.ask("backtest", "risk", "{}", by="ann")
    for losses in (1, 2, 3):
        running = {"state": "running", "owner": "dead"}
        await store.commit([Update(JobRow, (row.id,), running)])
        await jobs._take_over()
        row = await jobs.get(row.id)
        assert row.losses == losses

    assert (row.state, job_record(row)["problem"]["code"]) == ("failed", "process-died")


async def run_until(jobs: Jobs, job_id: str, state: str) -> JobRow:
    """Let jobs run until one of them stands so."""
    running = asyncio.create_task(jobs.run())
    try:
        async with asyncio.timeout(20):
            while (row := await jobs.get(job_id)).state != state and not running.done():  # noqa: ASYNC110 - no event
                await asyncio.sleep(0)
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return row


async def test_a_machine_that_has_no_room_for_a_process_fails_the_job_and_not_the_server(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(module: str, order: object) -> NoReturn:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("opsrail.jobs.jobs.working", full)
    await jobs._store.commit([Insert(WorkerRow("w", "here", 1, "alive", 0, 0))])
    row = await jobs.ask("backtest", "risk", "{}", by="ann")
    row = await run_until(jobs, row.id, "failed")

    assert row.losses == 3


async def test_a_job_whose_end_could_not_be_written_is_run_again(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def done(module: str, order: object) -> AsyncIterator[AsyncIterator[Any]]:
        async def lines() -> AsyncIterator[Any]:
            yield {"result": {"rows": 1}}

        yield lines()

    store = cast(MemoryStore, jobs._store)
    commit, down = store.commit, [StoreUnavailable("the database restarts")]

    async def commits(writes: Sequence[Write]) -> None:
        is_end = any(isinstance(one, Update) and "result" in one.set for one in writes)
        if is_end and down:
            raise down.pop()
        await commit(writes)

    monkeypatch.setattr("opsrail.jobs.jobs.working", done)
    monkeypatch.setattr("opsrail.jobs.jobs.POLL_S", 0)
    monkeypatch.setattr(store, "commit", commits)
    await store.commit([Insert(WorkerRow("w", "here", 1, "alive", 0, 0))])
    row = await jobs.ask("backtest", "risk", "{}", by="ann")
    row = await run_until(jobs, row.id, "done")

    assert (down, row.losses) == ([], 0)
