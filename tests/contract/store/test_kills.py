"""A process killed anywhere in a commit: what it acknowledged is there, what it did not is there whole or not at all."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from opsrail.ledger.chain import chain_hash
from opsrail.values.cases import InboxRow, KeyRow
from opsrail.values.ledger import LedgerEntryRow
from tests.contract.store.opened import opened
from tests.contract.store.writer_child import WRITERS, store_at

POINTS = ["commit.begun", "commit.written", "commit.done"]
pytestmark = pytest.mark.crash


@pytest.mark.parametrize("point", POINTS)
def test_sqlite_keeps_what_it_acknowledged(tmp_path: Path, point: str) -> None:
    killed_and_checked(str(tmp_path / "cases.db"), point)


@pytest.mark.connected
@pytest.mark.parametrize("point", POINTS)
def test_postgres_keeps_what_it_acknowledged(database_url: str, point: str) -> None:
    killed_and_checked(database_url, point)


def killed_and_checked(place: str, point: str) -> None:
    acknowledged: list[int] = []
    for nth in (1, 7):
        child = subprocess.run(
            [sys.executable, "-m", "tests.contract.store.writer_child", place, f"{point}:{nth}"],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert child.returncode == -signal.SIGKILL, child.stderr
        acknowledged += map(int, child.stdout.split())
    rows, keys, entries = asyncio.run(left_at(place))

    assert rows == keys
    assert set(acknowledged) <= set(rows)
    assert len(rows) <= len(acknowledged) + 2 * WRITERS
    assert Counter(entry.subject_id for entry in entries) == Counter(
        f"{number:05d}" for number in rows
    )
    for before, after in pairwise(entries):
        if before.writer == after.writer:
            assert (after.seq, after.prev_hash) == (
                before.seq + 1,
                chain_hash(before.prev_hash, before.leaf_hash),
            )


async def left_at(place: str) -> tuple[list[int], list[int], list[LedgerEntryRow]]:
    async with opened(store_at(place)) as store:
        rows = [row.at_ms for row in await store.select(InboxRow)]
        keys = [row.at_ms for row in await store.select(KeyRow)]
        return rows, keys, await store.select(LedgerEntryRow)
