"""F6: commits that were done while their answer was lost: all goes on as if it had been told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from opsrail import faults
from opsrail.app import App, build
from opsrail.cases.intake import Submission
from opsrail.config import CasesConfig, Config, LedgerConfig
from opsrail.errors import StoreUnavailable
from opsrail.values.cases import OutboxRow, OutboxState, SwitchRow
from opsrail.values.rows import Delete, Insert, Where
from tests.crash.flow import NAME, defined
from tests.crash.worker import SetClock, Worker
from tests.support.chaos import Site

CASES = 20
WINDOW_S = 0.02
LOST_S = 3.0
PATIENCE_S = 45


async def test_work_whose_answers_are_lost_is_done_once_and_to_its_end(
    sqlite_site: Site, record: Callable[[str, object], None]
) -> None:
    site = sqlite_site
    site.wanted |= {f"case-{n}": {"key": f"case-{n}", "span_s": 0.02} for n in range(CASES)}
    lost: list[str] = []
    async with running(site, dead_s=2) as (app, worker):
        losing = asyncio.create_task(lose_answers(lost))
        for key in site.wanted:
            await submit(app, site, key)
        await losing
        await worker.answer("rest")
    record("answers_lost_count", len(lost))

    assert len(lost) > CASES
    assert await site.broken_promises() == []


async def test_an_action_whose_claim_was_not_answered_is_sent(sqlite_site: Site) -> None:
    site = sqlite_site
    site.wanted["case"] = {"key": "case"}
    lost: list[str] = []
    async with running(site, dead_s=300) as (app, worker):
        await app.store.commit([Insert(SwitchRow("actions:*", "test", "wait", 0))])
        await submit(app, site, "case")
        await site.has(OutboxRow, Where("state", "=", OutboxState.DUE))
        await app.settle_ledger()
        await app.store.commit([Delete(SwitchRow, {"name": "actions:*"})])
        with faults.armed("commit.done", lambda: lose(lost)):  # the next commit is the claim
            await worker.answer("rest")

    assert len(lost) == 1
    assert await site.broken_promises() == []


@asynccontextmanager
async def running(site: Site, *, dead_s: float) -> AsyncIterator[tuple[App, Worker]]:
    """Run an app in this process, with a desk that approves."""
    config = Config(cases=CasesConfig(dead_s=dead_s), ledger=LedgerConfig(checkpoint_s=0.2))
    app = build(config, site.folder, defined(site.traces), runs=True)
    async with asyncio.timeout(PATIENCE_S), app.running():
        worker = Worker(app, SetClock(), site.folder)
        desk = asyncio.create_task(worker.rule())
        yield app, worker
        desk.cancel()


def lose(lost: list[str]) -> None:
    lost.append("answer")
    raise StoreUnavailable("the answer was lost")


async def lose_answers(lost: list[str]) -> None:
    """Lose the answer of one commit in each window."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + LOST_S
    while loop.time() < until_s:
        with faults.armed("commit.done", lambda: lose(lost), nth=1 + len(lost) % 3):
            await asyncio.sleep(WINDOW_S)


async def submit(app: App, site: Site, key: str) -> None:
    """Submit until it is acknowledged, under one key."""
    while key not in site.acknowledged:
        try:
            given = Submission(NAME, site.wanted[key], "client", key)
            site.acknowledged[key] = (await app.intake.accept(given))[0].id
        except StoreUnavailable:
            await asyncio.sleep(0.1)
