"""What each write does, alone and among many."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from opsrail.errors import Fenced, InvalidInput, StaleWrite
from opsrail.ledger.chain import chain_hash
from opsrail.ports import Store
from opsrail.testing.contracts.store_rows import ALIVE, WORKER, inbox, outbox, refused
from opsrail.values.cases import InboxRow, OutboxRow, WorkerRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.registry import RolloutRow
from opsrail.values.rows import Append, Delete, Insert, Require, Update, Where, Write


class WritesContract:
    """Commits are whole, in order, and refused for a reason."""

    async def test_a_commit_is_whole_or_nothing(self, store: Store) -> None:
        await store.commit([Insert(inbox(1)), Insert(inbox(2))])
        with pytest.raises(StaleWrite, match="i0009"):
            await store.commit(
                [
                    Insert(inbox(3)),
                    Update(InboxRow, ("i0001",), {"topic": "new"}),
                    Delete(InboxRow, {"id": "i0002"}),
                    Update(InboxRow, ("i0009",), {"topic": "new"}),
                ]
            )

        assert await store.select(InboxRow) == [inbox(1), inbox(2)]

    async def test_writes_of_a_commit_happen_in_order(self, store: Store) -> None:
        await store.commit(
            [
                Insert(inbox(1)),
                Update(InboxRow, ("i0001",), {"topic": "second"}, {"topic": "t"}),
                Require(InboxRow, ("i0001",), {"topic": "second"}),
                Delete(InboxRow, {"topic": "second"}),
                Insert(inbox(1, topic="third")),
                Insert(inbox(2)),
                Delete(InboxRow, {"id": "i0002"}),
            ]
        )

        assert await store.select(InboxRow) == [inbox(1, topic="third")]

    async def test_a_key_is_given_once(self, store: Store) -> None:
        outcomes = await asyncio.gather(
            *(refused(store, Insert(inbox(1, topic=str(n)))) for n in range(20))
        )
        with pytest.raises(StaleWrite, match="i0001"):
            await store.commit([Insert(inbox(1))])

        assert outcomes == [False] + [True] * 19
        assert await store.select(InboxRow) == [inbox(1, topic="0")]

    async def test_an_update_counts_only_for_the_row_it_expects(self, store: Store) -> None:
        await store.commit([Insert(outbox(1)), Insert(outbox(2, owner="w1"))])
        await store.commit(
            [
                Update(
                    OutboxRow,
                    ("o0001",),
                    {"owner": "w1", "attempts": 1},
                    {"owner": None, "attempts": 0},
                )
            ]
        )

        assert await refused(store, Update(OutboxRow, ("o0001",), {"owner": "w2"}, {"owner": None}))
        assert await refused(store, Update(OutboxRow, ("o0002",), {"owner": "w2"}, {"owner": None}))
        assert await refused(store, Update(OutboxRow, ("o0003",), {"owner": "w2"}))
        await store.commit([Update(OutboxRow, ("o0002",), {"owner": None}, {"owner": "w1"})])
        shown = [(row.owner, row.attempts) for row in await store.select(OutboxRow)]
        assert shown == [("w1", 1), (None, 0)]

    async def test_a_delete_takes_all_rows_that_fit_and_none_is_fine(self, store: Store) -> None:
        rows = [outbox(1), outbox(2, owner="w1"), outbox(3), outbox(4, owner="w2")]
        await store.commit([Insert(row) for row in rows])
        await store.commit(
            [
                Delete(OutboxRow, {"owner": "nobody"}),
                Delete(OutboxRow, {"owner": None, "case_id": "c"}),
            ]
        )
        await store.commit([Delete(OutboxRow, {"key": "o0004"})])

        assert await store.select(OutboxRow) == [rows[1]]

    async def test_a_requirement_refuses_the_whole_commit(self, store: Store) -> None:
        await store.commit([Insert(WORKER)])
        await store.commit([ALIVE, Insert(inbox(1)), Require(InboxRow, ("i0001",), {})])
        with pytest.raises(StaleWrite, match="w1"):
            await store.commit([Require(WorkerRow, ("w1",), {"state": "dead"}), Insert(inbox(2))])
        with pytest.raises(StaleWrite, match="i0009"):
            await store.commit([Require(InboxRow, ("i0009",), {}), Insert(inbox(2))])
        await store.commit([Update(WorkerRow, ("w1",), {"state": "dead"})])
        with pytest.raises(Fenced, match="w1"):
            await store.commit([Insert(inbox(2)), ALIVE])

        assert await store.select(InboxRow) == [inbox(1)]

    async def test_nothing_to_write_is_fine(self, store: Store) -> None:
        await store.commit([])

        assert await store.count(InboxRow) == {(): 0}

    async def test_many_rows_in_one_commit(self, store: Store) -> None:
        await store.commit([Insert(inbox(number)) for number in range(5_000)])
        await store.commit(
            [Update(InboxRow, (f"i{number:04d}",), {"topic": "new"}) for number in range(1_000)]
        )
        await store.commit([Delete(InboxRow, {"id": f"i{number:04d}"}) for number in range(500)])

        assert await store.count(InboxRow, by=["topic"]) == {("new",): 500, ("t",): 4_000}

    @pytest.mark.parametrize(
        "write",
        [
            Insert(("no", "row")),
            Insert(InboxRow._make(("i0001", "c", "t", "{}", "late"))),
            Insert(InboxRow._make((None, "c", "t", "{}", 1))),
            Insert(InboxRow._make(("i0001", "c", "t", b"{}", 1))),
            Insert(RolloutRow("p", "live", "m", 1, True, 1, 0)),
            Update(InboxRow, ("i0001",), {"nope; DROP TABLE inbox": 1}),
            Update(InboxRow, ("i0001", "x"), {"topic": "new"}),
            Update(InboxRow, ("i0001",), {"id": "i0002"}),
            Update(InboxRow, ("i0001",), {}),
            Update(InboxRow, ("i0001",), {"topic": "new"}, {"nope": 1}),
            Delete(InboxRow, {}),
            Delete(InboxRow, {"nope": 1}),
            Require(WorkerRow, ("w1",), {"nope": 1}),
            Require(WorkerRow, ("w1",), {}, "maybe"),
            inbox(1),
        ],
        ids=repr,
    )
    async def test_what_is_no_write_on_a_table_of_ours_is_a_programming_error(
        self, store: Store, write: Any
    ) -> None:
        with pytest.raises(TypeError):
            await store.commit([Insert(inbox(7)), write])

        assert await store.count(InboxRow) == {(): 0}


class GroupsContract:
    """Many callers at once: as if they came one after another, and only the guilty one pays."""

    async def test_only_the_guilty_commits_of_many_are_refused(self, store: Store) -> None:
        await store.commit([Insert(WORKER), Insert(inbox(7)), Insert(outbox(1, owner="w9"))])
        stale = Update(OutboxRow, ("o0001",), {"owner": "w1"}, {"owner": None})
        outcomes = await asyncio.gather(
            *(
                refused(store, ALIVE, Insert(inbox(n)), *([stale] if n == 31 else []))
                for n in range(50)
            )
        )

        assert [n for n, is_refused in enumerate(outcomes) if is_refused] == [7, 31]
        assert await store.count(InboxRow) == {(): 49}

    async def test_commits_about_one_row_keep_their_order(self, store: Store) -> None:
        await store.commit([Insert(inbox(0))])
        steps = [
            Update(InboxRow, ("i0000",), {"at_ms": n + 1, "topic": "x"}, {"at_ms": n})
            for n in range(50)
        ]
        outcomes = await asyncio.gather(
            *(refused(store, step, Insert(inbox(n + 1))) for n, step in enumerate(steps))
        )

        assert outcomes == [False] * 50
        assert await store.get(InboxRow, "i0000") == inbox(0, topic="x")._replace(at_ms=50)

    async def test_a_row_may_be_made_changed_and_removed_by_commits_waiting_together(
        self, store: Store
    ) -> None:
        writes: list[Write] = [
            Insert(inbox(1)), Update(InboxRow, ("i0001",), {"topic": "u"}), Delete(InboxRow, {"topic": "u"}),
            Insert(inbox(1)), Delete(InboxRow, {"id": "i0001"}), Insert(inbox(1, topic="last")),
        ]  # fmt: skip
        outcomes = await asyncio.gather(*(refused(store, write) for write in writes))

        assert outcomes == [False] * 6
        assert await store.select(InboxRow) == [inbox(1, topic="last")]

    async def test_a_sweep_takes_what_came_before_it_and_leaves_what_comes_after(
        self, store: Store
    ) -> None:
        writes: list[Write] = [
            Insert(inbox(1)), Insert(inbox(2, topic="u")),
            Delete(InboxRow, {"topic": "t", "case_id": "c"}),
            Insert(inbox(3)), Update(InboxRow, ("i0002",), {"topic": "t"}),
            Delete(InboxRow, {"topic": "t"}), Insert(inbox(4)),
        ]  # fmt: skip
        outcomes = await asyncio.gather(*(refused(store, write) for write in writes))

        assert outcomes == [False] * 7
        assert await store.select(InboxRow) == [inbox(4)]

    async def test_a_worker_declared_dead_writes_no_more_from_that_place_in_the_queue_on(
        self, store: Store
    ) -> None:
        await store.commit([Insert(WORKER)])

        async def write(number: int) -> str:
            try:
                await store.commit([ALIVE, Insert(inbox(number))])
            except Fenced:
                return "fenced"
            return "written"

        async def declare_dead() -> str:
            await store.commit([Update(WorkerRow, ("w1",), {"state": "dead"}, {"state": "alive"})])
            return "dead"

        outcomes = await asyncio.gather(
            *map(write, range(10)), declare_dead(), *map(write, range(10, 20))
        )

        assert outcomes == ["written"] * 10 + ["dead"] + ["fenced"] * 10
        assert await store.count(InboxRow) == {(): 10}

    async def test_a_heartbeat_does_not_disturb_those_who_require_the_worker(
        self, store: Store
    ) -> None:
        await store.commit([Insert(WORKER)])
        beat = Update(WorkerRow, ("w1",), {"heartbeat_at_ms": 5}, {"state": "alive"})
        outcomes = await asyncio.gather(
            *(
                refused(store, *([beat] if n % 10 == 5 else [ALIVE, Insert(inbox(n))]))
                for n in range(60)
            )
        )

        assert outcomes == [False] * 60
        assert await store.count(InboxRow) == {(): 54}

    async def test_a_large_commit_does_not_take_its_neighbours_down(self, store: Store) -> None:
        outcomes = await asyncio.gather(
            *(refused(store, Insert(inbox(n, payload="x" * 1_000_000))) for n in range(40))
        )

        assert outcomes == [False] * 40

    async def test_a_caller_that_gives_up_tears_nothing(self, store: Store) -> None:
        async def pair(number: int) -> None:
            await store.commit([Insert(inbox(number)), Insert(outbox(number))])

        tasks = [asyncio.create_task(pair(number)) for number in range(60)]
        await asyncio.sleep(0)
        for task in tasks[::3]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        await store.commit([Insert(inbox(1_000))])
        entered = {row.id[1:] for row in await store.select(InboxRow, Where("id", "<", "i1000"))}
        left = {row.key[1:] for row in await store.select(OutboxRow)}

        assert entered == left
        assert {f"{n:04d}" for n, outcome in enumerate(outcomes) if outcome is None} <= entered
        assert all(outcome is None for n, outcome in enumerate(outcomes) if n % 3)

    async def test_ledger_entries_form_one_chain_whoever_is_refused(self, store: Store) -> None:
        await store.commit([Insert(inbox(n)) for n in range(0, 60, 7)])
        outcomes = await asyncio.gather(
            *(
                refused(
                    store,
                    Append("test.made", f"s{n}", n, b'{"n":%d}' % n),
                    Insert(inbox(n)),
                    Append("test.seen", f"s{n}", n, b"{}"),
                )
                for n in range(60)
            )
        )
        await store.commit([Append("test.made", "last", 60, '{"ü":1}'.encode())])
        entries = await store.select(LedgerEntryRow, order=["seq"])

        accepted = [f"s{n}" for n, is_refused in enumerate(outcomes) if not is_refused]
        assert len(accepted) == 60 - 9
        assert [entry.subject_id for entry in entries] == [
            name for name in accepted for _ in range(2)
        ] + ["last"]
        assert [entry.seq for entry in entries] == list(range(len(entries)))
        assert len({entry.writer for entry in entries}) == 1
        assert all(
            after.prev_hash == chain_hash(before.prev_hash, before.leaf_hash)
            for before, after in pairwise(entries)
        )
        assert entries[-1].body == '{"ü":1}'

    @pytest.mark.parametrize("body", [b"\xff", b"a\0b"])
    async def test_a_ledger_entry_that_cannot_be_kept_is_refused_alone(
        self, store: Store, body: bytes
    ) -> None:
        outcomes = await asyncio.gather(
            *(
                store.commit([Append("test.made", str(n), n, body if n == 3 else b"{}")])
                for n in range(9)
            ),
            return_exceptions=True,
        )

        assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, InvalidInput)] == [3]
        assert await store.count(LedgerEntryRow) == {(): 8}
