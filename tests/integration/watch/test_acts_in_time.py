"""From when evidence is enough to when no process asks the bad version any more: measured on real processes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.guard import LIMIT_S, late_ms, looking, rolled_back
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.rollouts import AlarmRow
from opsrail.values.rows import equals

ROOT = Path(__file__).parents[3]
WITHIN_MS = 5_000
"""Two seconds, and what a busy machine adds; `bench guard` measures it on one that is not. Ours."""


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


@pytest.mark.slow
def test_one_process_on_sqlite_goes_back_in_time(
    started: Callable[..., Server], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    server = started(folder, "", "prepare")
    asyncio.run(rolled_back(folder, ""))
    said = server.stop()

    assert said[-1] == {"what": "ended", "state": "rolled-back", "faults": {}}
    assert 0 <= asyncio.run(late_ms(folder, "")) <= WITHIN_MS


@pytest.mark.connected
def test_two_processes_on_postgresql_go_back_in_time_and_one_of_them_acts(
    started: Callable[..., Server], tmp_path: Path, database_url: str
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    servers = [started(folders[0], database_url, "prepare"), started(folders[1], database_url)]
    asyncio.run(rolled_back(folders[0], database_url))
    ended = [server.stop()[-1] for server in servers]

    assert [(each["state"], each["faults"]) for each in ended] == [("rolled-back", {})] * 2
    assert 0 <= asyncio.run(late_ms(folders[0], database_url)) <= WITHIN_MS
    assert asyncio.run(written(folders[0], database_url)) == (1, 1)


async def written(folder: Path, url: str) -> tuple[int, int]:
    """Return how many alarms and how many entries of the ledger tell of it."""
    async with looking(folder, url) as store:
        entries = await store.select(LedgerEntryRow, *equals(kind="rollout.rolled-back"))
        return len(await store.select(AlarmRow)), len(entries)
