"""From when evidence is enough to when no process asks the bad version any more: measured on real processes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from opsrail.app import build
from opsrail.config import Config, StoreConfig
from opsrail.ports import Store
from opsrail.registry.rollout import Stage
from opsrail.values.decisions import DecisionRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.registry import RolloutRow
from opsrail.values.rollouts import AlarmRow, RolloutRunRow
from opsrail.values.rows import equals
from opsrail.watch.evidence import Evidence
from opsrail.watch.rollout_run import Run
from opsrail.watch.signals import CANDIDATE, seen

ROOT = Path(__file__).parents[3]
WITHIN_MS = 2_000
LIMIT_S = 60


class Server:
    """One serving process."""

    def __init__(self, folder: Path, url: str, *how: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.guarded", str(folder), *how],
            cwd=ROOT,
            env={**os.environ, "OPSRAIL_STORE__URL": url, "OPSRAIL_STORE__ALLOW_WEAK": "true"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._wait_for("ready")

    def _wait_for(self, what: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if json.loads(line)["what"] == what:
                return
        pytest.fail(f"the process ended before it was {what}")

    def stop(self) -> list[dict[str, Any]]:
        """End it in order; return all that it said."""
        said, _ = self.process.communicate("", timeout=LIMIT_S)
        return [json.loads(line) for line in said.splitlines()]


@pytest.fixture
def started() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*given: Any) -> Server:
        servers.append(Server(*given))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


def test_one_process_on_sqlite_goes_back_in_time(
    started: Callable[..., Server], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    server = started(folder, "", "prepare")
    asyncio.run(rolled_back(folder, "", server))
    said = server.stop()

    assert said[-1] == {"what": "ended", "state": "rolled-back", "faults": {}}
    took_ms, candidate_count = asyncio.run(measured(folder, ""))
    assert candidate_count >= 30
    assert took_ms <= WITHIN_MS


@pytest.mark.connected
def test_two_processes_on_postgresql_go_back_in_time_and_one_of_them_acts(
    started: Callable[..., Server], tmp_path: Path, database_url: str
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    servers = [started(folders[0], database_url, "prepare"), started(folders[1], database_url)]
    asyncio.run(rolled_back(folders[0], database_url, servers[0]))
    ended = [server.stop()[-1] for server in servers]

    assert [(each["state"], each["faults"]) for each in ended] == [("rolled-back", {})] * 2
    took_ms, _ = asyncio.run(measured(folders[0], database_url))
    print("took", took_ms)
    assert took_ms <= WITHIN_MS
    assert asyncio.run(written(folders[0], database_url)) == (1, 1)


@asynccontextmanager
async def looking(folder: Path, url: str) -> AsyncIterator[Store]:
    """Look at an installation beside the processes that serve it."""
    config = Config(store=StoreConfig(url=url, allow_weak=True))
    async with build(config, folder / "looks" if url else folder).opened() as app:
        yield app.store


async def rolled_back(folder: Path, url: str, server: Server) -> None:
    """Wait until the champion answers alone, and a moment longer: who still asks the other is to be seen."""
    async with looking(folder, url) as store:
        for _ in range(LIMIT_S * 10):
            if not await store.select(RolloutRow, *equals(stage=Stage.CANARY)):
                await asyncio.sleep(2.5)
                return
            assert server.process.poll() is None
            await asyncio.sleep(0.1)
    pytest.fail("the version was not rolled back")


async def measured(folder: Path, url: str) -> tuple[int, int]:
    """Return the time from enough evidence to the candidate's last answer, ms, and how many decisions it had made then.

    Enough is where the tests fire that are shown each decision as soon as it is made: earlier than any guard can see it.
    """
    async with looking(folder, url) as store:
        (row,) = await store.select(RolloutRunRow)
        decisions = await store.select(DecisionRow, order=("id",), limit=100_000)
    run = Run(row)
    told = [(decision, one) for decision in decisions if (one := seen(decision, run.arms()))]
    evidence, enough_ms = Evidence(run.spec), 0
    for decision, one in told:
        evidence.count_decisions([one])
        is_enough = any(reading.has_fired for reading in evidence.readings())
        if is_enough and evidence.counts[CANDIDATE] >= run.spec.judge_after_count:
            enough_ms = decision.at_ms
            break
    last_ms = max(decision.at_ms for decision, one in told if one.arm == CANDIDATE)
    return last_ms - enough_ms, evidence.counts[CANDIDATE]


async def written(folder: Path, url: str) -> tuple[int, int]:
    """Return how many alarms and how many entries of the ledger tell of it."""
    async with looking(folder, url) as store:
        entries = await store.select(LedgerEntryRow, *equals(kind="rollout.rolled-back"))
        return len(await store.select(AlarmRow)), len(entries)
