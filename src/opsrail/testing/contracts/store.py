"""What `ports.Store` promises.

Subclass `StoreContract` and give it a fixture `store`: open, empty, made with `chain=WriterChain(clock)`. An adapter that
several processes share also subclasses `SharedStoreContract`, with a second store `other` open on the same database.
The tests are coroutines: run them under pytest-asyncio in its auto mode.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from opsrail.errors import Fenced
from opsrail.ports import Store
from opsrail.testing.contracts.store_columns import ColumnsContract
from opsrail.testing.contracts.store_reads import LifeContract, ReadsContract, TakesContract
from opsrail.testing.contracts.store_rows import ALIVE, WORKER, inbox, outbox, refused
from opsrail.testing.contracts.store_values import ValuesContract
from opsrail.testing.contracts.store_writes import GroupsContract, WritesContract
from opsrail.values.cases import InboxRow, OutboxRow, WorkerRow
from opsrail.values.rows import Insert, Update, Where


class StoreContract(
    ValuesContract,
    WritesContract,
    GroupsContract,
    ReadsContract,
    ColumnsContract,
    TakesContract,
    LifeContract,
):
    """Everything that one process may rely on."""


class SharedStoreContract:
    """What processes that share a database may rely on; `store` and `other` stand for two of them."""

    async def test_each_reads_what_the_other_committed(self, store: Store, other: Store) -> None:
        await store.commit([Insert(inbox(1))])
        await other.commit([Update(InboxRow, ("i0001",), {"topic": "x"}, {"topic": "t"})])

        assert await store.get(InboxRow, "i0001") == inbox(1, topic="x")
        assert await refused(store, Update(InboxRow, ("i0001",), {"topic": "y"}, {"topic": "t"}))
        assert await refused(store, Insert(inbox(1)))

    async def test_a_change_by_the_other_is_signalled_soon(
        self, store: Store, other: Store
    ) -> None:
        await store.commit([Insert(WORKER)])
        for number in range(3):
            store.changed(OutboxRow).clear()
            await other.commit([Insert(outbox(number))])
            await asyncio.wait_for(store.changed(OutboxRow).wait(), timeout=20)

        assert await store.count(OutboxRow) == {(): 3}

    async def test_takers_of_two_processes_never_take_a_row_twice(
        self, store: Store, other: Store
    ) -> None:
        await store.commit([Insert(outbox(n)) for n in range(300)])

        async def take_all(hand: Store, owner: str) -> list[str]:
            mine: list[str] = []
            while await hand.count(OutboxRow, Where("owner", "null", True)) != {(): 0}:
                taken = await hand.take(
                    OutboxRow, Where("owner", "null", True), set={"owner": owner}, limit=7
                )
                mine += [row.key for row in taken]
            return mine

        hands = await asyncio.gather(*(take_all((store, other)[n % 2], f"w{n}") for n in range(8)))

        assert Counter(key for hand in hands for key in hand) == Counter(
            f"o{n:04d}" for n in range(300)
        )

    async def test_one_of_two_writers_wins(self, store: Store, other: Store) -> None:
        await store.commit([Insert(inbox(0))])

        async def race(hand: Store, number: int) -> bool:
            step = Update(InboxRow, ("i0000",), {"at_ms": number + 1}, {"at_ms": number})
            return not await refused(hand, step, Insert(inbox(number + 1, topic="won")))

        wins = [
            sum(
                await asyncio.gather(
                    race(store, number),
                    race(other, number),
                    race(store, number),
                    race(other, number),
                )
            )
            for number in range(25)
        ]

        assert wins == [1] * 25
        assert await other.count(InboxRow, Where("topic", "=", "won")) == {(): 25}

    async def test_a_worker_declared_dead_by_the_other_writes_no_more(
        self, store: Store, other: Store
    ) -> None:
        await store.commit([Insert(WORKER)])
        written: list[int] = []
        is_under_way = asyncio.Event()

        async def write_on() -> None:
            for number in range(100_000):
                await store.commit([ALIVE, Insert(inbox(number))])
                written.append(number)
                if number == 5:
                    is_under_way.set()

        writing = asyncio.create_task(write_on())
        await is_under_way.wait()
        await other.commit([Update(WorkerRow, ("w1",), {"state": "dead"}, {"state": "alive"})])
        rows_then = await other.count(InboxRow)
        with pytest.raises(Fenced):
            await writing

        assert await other.count(InboxRow) == rows_then == {(): len(written)}
