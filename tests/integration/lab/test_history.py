"""Histories out of the two databases."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from opsrail.clock import SystemClock
from opsrail.lab import history as module
from opsrail.lab.backtested import Backtest
from opsrail.lab.backtester import Backtester, Question
from opsrail.lab.history import history
from opsrail.lab.joins import with_outcomes
from opsrail.lab.whatif import bands_policy, wrong_of
from opsrail.ports import Store
from opsrail.registry.registry import Registry
from opsrail.values.rows import Insert
from tests.support.history import decision, decision_id, outcome, review, stored


async def test_a_history_is_the_same_from_the_database_and_from_its_copy(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 500)
    monkeypatch.setattr(module, "PAGE_ROWS", 200)
    await stored(store, [decision(n) for n in range(1_300)])
    await store.commit([Insert(review(n)) for n in range(0, 1_300, 3)])
    await store.commit([Insert(outcome(n, n % 2)) for n in range(0, 1_300, 2)])
    seen: list[int] = []
    tables = [
        await history(store, "fraud-risk", folder=folder, progress=seen.append)
        for folder in (None, tmp_path, tmp_path)
    ]
    told = await with_outcomes(store, tables[0], "fraud")

    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    assert tables[0]["id"].to_pylist() == [decision_id(n) for n in range(1_300)]
    assert seen == [600, 1200, 1300] * 3
    assert told["outcome"].to_pylist() == [None if n % 2 else 0.0 for n in range(1_300)]
    assert told["ruling"].to_pylist()[:4] == ["approve", None, None, "approve"]


async def test_a_history_is_read_while_decisions_are_written(store: Store) -> None:
    await stored(store, [decision(n) for n in range(400)])

    async def write() -> None:
        for number in range(400, 480):
            await stored(store, [decision(number)])

    writing = asyncio.create_task(write())
    read = [(await history(store, "fraud-risk", fields=[])).num_rows for _ in range(3)]
    await writing

    assert all(400 <= rows <= 480 for rows in read)
    assert (await history(store, "fraud-risk")).num_rows == 480


async def test_a_backtest_is_the_same_from_rows_from_records_and_from_the_copy(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 400)
    monkeypatch.setattr(module, "PAGE_ROWS", 200)
    await stored(store, [decision(n) for n in range(1_000)])
    await store.commit([Insert(review(n)) for n in range(0, 1_000, 3)])
    await store.commit([Insert(outcome(n, n % 2, ratio=0.5)) for n in range(0, 1_000, 2)])
    registry = Registry(store, {}, SystemClock())

    async def asked(*segments: str) -> Backtest:
        question = Question(
            "fraud-risk", bands_policy("approve=0.7,review=1.01"), 0, await store.now_ms(),
            segments=segments, wrongs=(wrong_of("approve|fraud=10"),),
        )  # fmt: skip
        return await Backtester(store, registry, question, tmp_path).run()

    narrow = await asked()
    wide = [await asked("make") for _ in range(2)]

    assert narrow.decisions == 1_000
    assert narrow.changed == 200
    assert wide[0] == wide[1]
    assert wide[0].segments[0] == narrow.segments[0]
    assert (wide[0].errors_now, wide[0].people) == (narrow.errors_now, narrow.people)
    assert [one.decisions for one in wide[0].segments[1:]] == [334, 333, 333]
    assert [one.known for one in narrow.errors_now] == [350]
