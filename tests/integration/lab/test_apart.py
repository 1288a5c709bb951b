"""A history whose columns another process reads, out of the two databases."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path

import pyarrow
import pytest

from opsrail.app.columns_apart import ColumnsApart
from opsrail.clock import ulid_text
from opsrail.errors import Unavailable
from opsrail.lab import history as module
from opsrail.lab.history import Apart, parts
from opsrail.lab.records import together
from opsrail.ports import Store
from opsrail.store.postgres import PostgresStore
from tests.support.history import FIRST_MS, decision, stored

NAMES = ("at_ms", "id", "score", "verdict", "proposed", "degraded", "policy_version")
LONGEST_S = 30.0


@pytest.fixture
async def apart(store: Store, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[ColumnsApart]:  # fmt: skip
    is_postgres = isinstance(store, PostgresStore)
    url = request.getfixturevalue("database_url") if is_postgres else ""
    with closing(ColumnsApart(url, tmp_path / "opsrail.db")) as reader:
        yield reader


@pytest.fixture(autouse=True)
async def short_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 100)
    await stored(store, [decision(n) for n in range(1_050)])


async def ready(reader: ColumnsApart) -> None:
    reader.start()
    assert await asyncio.to_thread(reader._is_ready.wait, LONGEST_S)


async def read(store: Store, reader: Apart | None) -> pyarrow.Table:
    return together([part async for part in parts(store, "fraud-risk", names=NAMES, apart=reader)])


class Counted:
    """A reader that counts what it was asked for, and dies before the part of that number."""

    def __init__(self, reader: ColumnsApart, dies_at: int = -1) -> None:
        self._reader = reader
        self._dies_at = dies_at
        self.asked = 0
        self.is_ready = True

    def start(self) -> None:
        self._reader.start()

    async def part(
        self, point: str, names: Sequence[str], after: str, until: str, limit: int
    ) -> tuple[pyarrow.Table, str]:
        if self.asked == self._dies_at:
            process = self._reader._process
            assert process is not None
            os.kill(process.pid, signal.SIGKILL)
        self.asked += 1
        return await self._reader.part(point, names, after, until, limit)


async def test_another_process_reads_the_same_columns(store: Store, apart: ColumnsApart) -> None:
    await ready(apart)
    counted = Counted(apart)

    table = await read(store, counted)

    assert table.equals(await read(store, None))
    assert table.num_rows == 1_050
    assert counted.asked == 5, "every other part, behind the first"


@pytest.mark.parametrize(
    "moments",
    [
        [0] * 1_050,
        [n // 350 for n in range(1_050)],
        [n * n for n in range(1_050)],
        [int(1.02**n) for n in range(1_050)],
        [0] * 120 + [10**8] * 130 + [10**8 + n for n in range(800)],
        [n if n < 525 else 10**9 + n * 50_000 for n in range(1_050)],
    ],
    ids=["at once", "gusts", "ever slower", "far apart", "a pause", "another pace"],
)
async def test_a_wrong_guess_of_where_the_next_part_begins_loses_nothing(
    store: Store, apart: ColumnsApart, moments: list[int]
) -> None:
    await ready(apart)
    at_ms = [FIRST_MS + moment for moment in moments]
    ids = [ulid_text((ms << 80) | (n + 5_000)) for n, ms in enumerate(at_ms)]
    made = [decision(n, point="gusty", id=ids[n], at_ms=at_ms[n]) for n in range(len(ids))]
    await stored(store, made)

    walk = parts(store, "gusty", names=NAMES, until_ms=at_ms[-1] + 1, apart=apart)
    found = [part async for part in walk]

    assert together(found).column("id").to_pylist() == ids
    assert max(part.num_rows for part in found) <= module.PART_ROWS


@pytest.mark.parametrize("dies_at", [0, 2, 4])
async def test_what_a_reader_that_dies_would_have_read_is_read_here(
    store: Store, apart: ColumnsApart, dies_at: int
) -> None:
    await ready(apart)
    counted = Counted(apart, dies_at)

    table = await read(store, counted)

    assert table.equals(await read(store, None))
    assert counted.asked == dies_at + 1


async def test_a_reader_starts_for_a_long_history_alone(
    store: Store, apart: ColumnsApart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 2_000)
    await read(store, apart)
    was_started = apart._process is not None
    monkeypatch.setattr(module, "PART_ROWS", 1_000)
    await read(store, apart)

    assert not was_started
    assert apart._process is not None


async def test_where_no_process_can_be_started_this_one_reads_all(
    store: Store, apart: ColumnsApart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    table = await read(store, apart)

    assert table.num_rows == 1_050
    assert apart._process is None


async def test_a_reader_that_is_not_there_says_so(tmp_path: Path) -> None:
    reader = ColumnsApart("", tmp_path / "opsrail.db")

    with pytest.raises(Unavailable, match="not running"):
        await reader.part("fraud-risk", NAMES, "", "~", 10)
