"""Any mix of commits that wait together ends as if they had come one after another, whatever the database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from opsrail import faults
from opsrail.clock import SystemClock
from opsrail.errors import OpsrailError
from opsrail.ledger.chain import WriterChain
from opsrail.ports import Store
from opsrail.store.memory import MemoryStore
from opsrail.store.postgres import PostgresStore
from opsrail.store.shapes import shape_of
from opsrail.store.sqlite import SqliteStore
from opsrail.values.cases import InboxRow, KeyRow, OutboxRow, WorkerRow
from opsrail.values.ledger import LedgerEntryRow, LedgerPendingRow, LedgerRunRow
from opsrail.values.rows import Append, Delete, Insert, Require, Update, Value, Write

CLOCK = SystemClock()
KEYS = st.sampled_from(["a", "b", "c"])
TEXTS = st.sampled_from(["t", "u"])
OWNERS = st.sampled_from([None, "w1", "w2"])
NUMBERS = st.integers(0, 3)
TABLES: tuple[type[tuple[Any, ...]], ...] = (InboxRow, OutboxRow, WorkerRow, LedgerRunRow)


def outbox(key: str, owner: str | None, due: int) -> OutboxRow:
    return OutboxRow(key, "c", "a", "pay", "{}", "due", owner, 0, due, None, None, 0, None)


def some(column: str, values: st.SearchStrategy[Value]) -> st.SearchStrategy[dict[str, Value]]:
    return st.one_of(st.just({}), st.builds(lambda value: {column: value}, values))


WRITES: st.SearchStrategy[Write] = st.one_of(
    st.builds(lambda key, topic: Insert(InboxRow(key, "c", topic, "{}", 0)), KEYS, TEXTS),
    st.builds(lambda key, owner, due: Insert(outbox(key, owner, due)), KEYS, OWNERS, NUMBERS),
    st.builds(lambda first, seq: Insert(LedgerRunRow(first, "w", seq, 1)), NUMBERS, NUMBERS),
    st.builds(lambda key, topic, was: Update(InboxRow, (key,), {"topic": topic}, was), KEYS, TEXTS, some("topic", TEXTS)),
    st.builds(
        lambda key, owner, due, was: Update(OutboxRow, (key,), {"owner": owner, "due_at_ms": due}, was),
        KEYS, OWNERS, NUMBERS, some("owner", OWNERS),
    ),
    st.builds(lambda state: Update(WorkerRow, ("w1",), {"state": state}), st.sampled_from(["alive", "dead"])),
    st.builds(lambda beat: Update(WorkerRow, ("w1",), {"heartbeat_at_ms": beat}), NUMBERS),
    st.builds(lambda key: Delete(InboxRow, {"id": key}), KEYS),
    st.builds(lambda topic: Delete(InboxRow, {"topic": topic}), TEXTS),
    st.builds(lambda owner, due: Delete(OutboxRow, {"owner": owner, "due_at_ms": due}), OWNERS, NUMBERS),
    st.just(Require(WorkerRow, ("w1",), {"state": "alive"}, "fenced")),
    st.builds(lambda key, was: Require(InboxRow, (key,), was), KEYS, some("topic", TEXTS)),
    st.builds(lambda key, was: Require(OutboxRow, (key,), was), KEYS, some("owner", OWNERS)),
    st.builds(lambda number: Append("test.made", str(number), 0, b"{}"), NUMBERS),
)  # fmt: skip
A = InboxRow("a", "c", "t", "{}", 0)
UPDATED = Update(InboxRow, ("a",), {"topic": "u"})
SWEPT_T, SWEPT_U = Delete(InboxRow, {"topic": "t"}), Delete(InboxRow, {"topic": "u"})
"""The last of these deletes what the insert before it is refused for."""
COMMITS = st.lists(st.lists(WRITES, min_size=1, max_size=4), min_size=1, max_size=12)
BEGINNING: list[Write] = [
    Insert(WorkerRow("w1", "h", 1, "alive", 0, 0)),
    Insert(InboxRow("a", "c", "t", "{}", 0)),
    Insert(outbox("a", None, 0)),
]


def require(is_so: bool) -> None:
    assert is_so


@contextmanager
def held_back() -> Iterator[threading.Event]:
    """Hold the writer inside its first transaction, so that all that is asked meanwhile becomes one group."""
    may_go = threading.Event()
    with faults.armed("commit.begun", lambda: require(may_go.wait(timeout=60))):
        try:
            yield may_go
        finally:
            may_go.set()


async def outcome(store: Store, writes: Sequence[Write]) -> str:
    try:
        await store.commit(writes)
    except OpsrailError as error:
        return f"{type(error).__name__}: {error}"
    return "written"


async def together(store: Store, commits: Sequence[Sequence[Write]]) -> list[str]:
    with held_back() as may_go:
        first = asyncio.create_task(outcome(store, [Delete(KeyRow, {"scope": "none"})]))
        rest = [asyncio.create_task(outcome(store, writes)) for writes in commits]
        await asyncio.sleep(0)
        may_go.set()
        await first
        return list(await asyncio.gather(*rest))


async def one_after_another(
    commits: Sequence[Sequence[Write]],
) -> tuple[list[str], list[list[str]]]:
    store = MemoryStore(WriterChain(CLOCK))
    await store.open()
    await store.commit(BEGINNING)
    outcomes = [await outcome(store, writes) for writes in commits]
    return outcomes, await shown(store)


async def shown(store: Store) -> list[list[str]]:
    """Return all rows; of ledger entries what they say, since each store has a chain of its own."""
    entries = await store.select(LedgerEntryRow, order=["seq"])
    tables = [list(map(repr, await store.select(table))) for table in TABLES]
    return [*tables, [repr((entry.kind, entry.subject_id)) for entry in entries]]


async def empty(store: Store) -> None:
    tables: tuple[type[tuple[Any, ...]], ...] = (*TABLES, LedgerEntryRow, LedgerPendingRow)
    found = await asyncio.gather(*(store.select(table) for table in tables))
    await store.commit(
        [
            Delete(table, dict(zip(shape_of(table).position, row, strict=True)))
            for table, rows in zip(tables, found, strict=True)
            for row in rows
        ]
    )


class MixContract:
    @pytest.fixture
    def runner(self) -> Iterator[asyncio.Runner]:
        with asyncio.Runner() as runner:
            yield runner

    @settings(
        max_examples=100,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
        ],
    )
    @given(commits=COMMITS)
    @example(commits=[[Insert(A)], [UPDATED, SWEPT_T, Insert(A), SWEPT_U]])
    def test_together_is_as_one_after_another(
        self, runner: asyncio.Runner, store: Store, commits: list[list[Write]]
    ) -> None:
        async def both() -> None:
            await empty(store)
            await store.commit(BEGINNING)
            expected = await one_after_another(commits)

            assert (await together(store, commits), await shown(store)) == expected

        runner.run(both())


class TestSqlite(MixContract):
    @pytest.fixture
    def store(self, runner: asyncio.Runner, tmp_path: Path) -> Iterator[Store]:
        store = SqliteStore(tmp_path / "cases.db", chain=WriterChain(CLOCK), clock=CLOCK)
        runner.run(store.open())
        yield store
        runner.run(store.close())


@pytest.mark.connected
class TestPostgres(MixContract):
    @pytest.fixture
    def store(self, runner: asyncio.Runner, database_url: str) -> Iterator[Store]:
        store = PostgresStore(database_url, chain=WriterChain(CLOCK), clock=CLOCK)
        runner.run(store.open())
        yield store
        runner.run(store.close())
