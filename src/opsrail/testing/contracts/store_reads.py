"""What a store answers, how rows change hands, and how it lives and ends."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from opsrail.errors import InvalidInput, StoreUnavailable
from opsrail.ports import Store
from opsrail.testing.contracts.store_rows import inbox, outbox, refused
from opsrail.values.cases import CaseRow, InboxRow, JournalRow, OutboxRow
from opsrail.values.rows import Insert, Require, Update, Where, equals


class ReadsContract:
    """Questions about rows."""

    async def test_a_row_that_is_not_there_is_none(self, store: Store) -> None:
        assert await store.get(InboxRow, "i0001") is None
        assert await store.get(JournalRow, "c", 0) is None

    async def test_every_condition(self, store: Store) -> None:
        rows = [outbox(n, owner=None if n % 3 else f"w{n}", due_at_ms=n * 10) for n in range(9)]
        await store.commit([Insert(row) for row in rows])

        async def asked(*where: Where) -> list[int]:
            return [int(row.key[1:]) for row in await store.select(OutboxRow, *where)]

        assert await asked(Where("due_at_ms", "=", 30)) == [3]
        assert await asked(Where("due_at_ms", "!=", 30)) == [0, 1, 2, 4, 5, 6, 7, 8]
        assert await asked(Where("due_at_ms", "<", 20)) == [0, 1]
        assert await asked(Where("due_at_ms", "<=", 20)) == [0, 1, 2]
        assert await asked(Where("due_at_ms", ">", 60)) == [7, 8]
        assert await asked(Where("due_at_ms", ">=", 60), Where("key", "!=", "o0007")) == [6, 8]
        assert await asked(Where("due_at_ms", "in", (10, 20, 99, 20))) == [1, 2]
        assert await asked(Where("owner", "in", ("w0", "w6", "it's"))) == [0, 6]
        assert await asked(Where("owner", "in", ())) == []
        assert await asked(Where("owner", "!=", "w0")) == [3, 6]
        assert await asked(Where("owner", "null", True)) == [1, 2, 4, 5, 7, 8]
        assert await asked(Where("owner", "null", False)) == [0, 3, 6]
        assert await asked(*equals(owner=None, due_at_ms=40)) == [4]
        assert await asked(Where("owner", "=", "' OR 1=1 --")) == []

    async def test_many_values_in_a_condition(self, store: Store) -> None:
        await store.commit([Insert(inbox(n)) for n in range(10)])
        found = await store.select(
            InboxRow, Where("id", "in", tuple(f"i{n:04d}" for n in range(5, 40_000)))
        )

        assert [row.at_ms for row in found] == [5, 6, 7, 8, 9]

    async def test_order_and_limit(self, store: Store) -> None:
        owners = ["b", None, "a", "é", "Z", None, "a\uffff", "a\U00010000", "10", "9"]
        await store.commit([Insert(outbox(n, owner=owner)) for n, owner in enumerate(owners)])
        up = [row.owner for row in await store.select(OutboxRow, order=["owner"])]
        down = await store.select(OutboxRow, order=["owner"], descending=True)
        keys = [row.key for row in await store.select(OutboxRow, descending=True, limit=3)]
        ties = [row.key for row in await store.select(OutboxRow, order=["case_id"], limit=2)]

        assert up == [None, None, *sorted(owner for owner in owners if owner is not None)]
        assert [row.owner for row in down] == up[::-1]
        assert [row.key for row in down[-2:]] == ["o0005", "o0001"]
        assert keys == ["o0009", "o0008", "o0007"]
        assert ties == ["o0000", "o0001"]
        assert await store.select(OutboxRow, limit=0) == []

    async def test_rows_are_counted_by_their_values(self, store: Store) -> None:
        await store.commit(
            [Insert(outbox(n, owner="w" if n % 2 else None, due_at_ms=n % 3)) for n in range(12)]
        )

        assert await store.count(OutboxRow) == {(): 12}
        assert await store.count(OutboxRow, by=["owner"]) == {(None,): 6, ("w",): 6}
        assert await store.count(OutboxRow, Where("due_at_ms", "<", 2), by=["owner", "due_at_ms"]) == {
            (None, 0): 2, (None, 1): 2, ("w", 0): 2, ("w", 1): 2,
        }  # fmt: skip
        assert await store.count(OutboxRow, Where("key", "=", "none"), by=["owner"]) == {}

    @pytest.mark.parametrize(
        "where",
        [
            Where("nope", "=", 1),
            Where("id", "LIKE", "i%"),
            Where("id", "=", None),
            Where("id", "in", "i1"),
            Where("id", "null", 1),
        ],
        ids=repr,
    )
    async def test_a_question_that_makes_no_sense_is_a_programming_error(
        self, store: Store, where: Where
    ) -> None:
        with pytest.raises(TypeError):
            await store.select(InboxRow, where)
        with pytest.raises(TypeError):
            await store.count(InboxRow, where)

    async def test_what_was_committed_is_read_at_once(self, store: Store) -> None:
        async def write_and_read(number: int) -> bool:
            await store.commit([Insert(inbox(number))])
            return await store.get(InboxRow, f"i{number:04d}") == inbox(number)

        assert all(await asyncio.gather(*map(write_and_read, range(50))))


class TakesContract:
    """Rows change hands once."""

    async def test_taken_rows_come_back_changed_and_in_order(self, store: Store) -> None:
        rows = [outbox(n, due_at_ms=100 - n) for n in range(6)]
        await store.commit([Insert(row) for row in rows])
        taken = await store.take(
            OutboxRow, Where("due_at_ms", "<", 99), set={"owner": "w1", "due_at_ms": 500}, add={"attempts": 2},
            order=["due_at_ms"], limit=3,
        )  # fmt: skip

        assert taken == [rows[n]._replace(owner="w1", due_at_ms=500, attempts=2) for n in (5, 4, 3)]
        assert await store.select(OutboxRow, Where("owner", "=", "w1"), descending=True) == taken
        assert await store.take(OutboxRow, Where("owner", "=", "w7"), set={"owner": "w1"}) == []
        assert await store.take(OutboxRow, set={"owner": None}, limit=0) == []

    async def test_many_takers_never_take_a_row_twice(self, store: Store) -> None:
        await store.commit([Insert(outbox(n)) for n in range(300)])

        async def take_all(owner: str) -> list[str]:
            mine: list[str] = []
            while taken := await store.take(
                OutboxRow, Where("owner", "null", True), set={"owner": owner}, limit=7
            ):
                mine += [row.key for row in taken]
            return mine

        hands = await asyncio.gather(*(take_all(f"w{n}") for n in range(12)))

        assert Counter(key for hand in hands for key in hand) == Counter(
            f"o{n:04d}" for n in range(300)
        )
        assert await store.count(OutboxRow, Where("owner", "null", True)) == {(): 0}

    @pytest.mark.parametrize(
        "words",
        [
            {"set": {"nope": 1}},
            {"set": {"owner": 3}},
            {"set": {"key": "o2"}},
            {"set": {"owner": "w"}, "add": {"owner": 1}},
            {"set": {"owner": "w"}, "add": {"state": 1}},
            {"set": {}},
        ],
        ids=repr,
    )
    async def test_a_take_that_makes_no_sense_is_a_programming_error(
        self, store: Store, words: Any
    ) -> None:
        with pytest.raises(TypeError):
            await store.take(OutboxRow, **words)

    async def test_a_take_past_64_bits_is_refused_alone(self, store: Store) -> None:
        await store.commit([Insert(inbox(1)._replace(at_ms=2**63 - 1)), Insert(inbox(2))])
        outcomes = await asyncio.gather(
            store.take(InboxRow, Where("id", "=", "i0001"), set={"topic": "x"}, add={"at_ms": 1}),
            store.commit([Insert(inbox(3))]),
            store.take(InboxRow, Where("id", "=", "i0002"), set={"topic": "x"}, add={"at_ms": 1}),
            return_exceptions=True,
        )

        assert isinstance(outcomes[0], InvalidInput)
        assert outcomes[1] is None
        assert outcomes[2] == [inbox(2, topic="x")._replace(at_ms=3)]


class LifeContract:
    """Signals, the clock, the self-check, the end."""

    async def test_a_commit_signals_the_tables_it_added_to_or_changed(self, store: Store) -> None:
        await store.commit([Insert(inbox(1))])
        events = {row_type: store.changed(row_type) for row_type in (InboxRow, OutboxRow, CaseRow)}

        async def signalled() -> set[object]:
            await asyncio.sleep(0)
            found: set[object] = {row_type for row_type, event in events.items() if event.is_set()}
            for event in events.values():
                event.clear()
            return found

        assert await signalled() == {InboxRow}
        await store.commit([Insert(outbox(1)), Update(InboxRow, ("i0001",), {"topic": "x"})])
        assert await signalled() == {InboxRow, OutboxRow}
        await refused(store, Insert(inbox(1)), Insert(outbox(2)))
        assert await signalled() == set()
        await store.commit([Require(InboxRow, ("i0001",), {"topic": "x"})])
        await store.select(InboxRow)
        assert await signalled() == set()
        assert store.changed(InboxRow) is events[InboxRow]

    async def test_the_clock_of_the_database_goes_on(self, store: Store) -> None:
        first = await store.now_ms()
        second = await store.now_ms()

        assert 1_600_000_000_000 < first <= second + 1_000

    async def test_the_self_check_says_what_is_and_what_should_be(self, store: Store) -> None:
        findings = await store.check()

        assert findings
        assert {finding.level for finding in findings} <= {"ok", "warn", "fail"}
        assert all(finding.name and finding.message for finding in findings)

    async def test_closing_finishes_what_was_asked_and_refuses_what_comes_after(
        self, store: Store
    ) -> None:
        tasks = [asyncio.create_task(store.commit([Insert(inbox(n))])) for n in range(20)]
        await asyncio.sleep(0)
        await store.close()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)

        assert outcomes == [None] * 20
        for question in (
            store.commit([Insert(inbox(21))]), store.get(InboxRow, "i0001"), store.select(InboxRow), store.count(InboxRow),
            store.take(InboxRow, set={"topic": "x"}),
        ):  # fmt: skip
            with pytest.raises(StoreUnavailable, match="open"):
                await question
        await store.close()
