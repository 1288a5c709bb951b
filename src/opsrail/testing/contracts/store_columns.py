"""What a store answers when it is asked for columns, page by page."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from opsrail.ports import Store
from opsrail.testing.contracts.store_rows import inbox, outbox, sample
from opsrail.values.cases import InboxRow, OutboxRow
from opsrail.values.rows import Insert, Where
from opsrail.values.shadows import ShadowScoreRow
from opsrail.values.tables import TABLES


class ColumnsContract:
    """Columns of many rows, by primary key."""

    @pytest.mark.parametrize("row_type", list(TABLES))
    async def test_columns_hold_what_the_rows_hold(
        self, store: Store, row_type: type[tuple[Any, ...]]
    ) -> None:
        await store.commit([Insert(sample(row_type, number)) for number in range(4)])
        names: tuple[str, ...] = getattr(row_type, "_fields")  # noqa: B009 - of a NamedTuple
        rows = await store.select(row_type)
        found = await store.columns(row_type, names)

        assert [list(map(repr, column)) for column in found] == [
            [repr(getattr(row, name)) for row in rows] for name in names
        ]

    async def test_pages_follow_each_other_without_gap_or_overlap(self, store: Store) -> None:
        await store.commit([Insert(outbox(n, due_at_ms=n % 2)) for n in range(9)])
        odd = Where("due_at_ms", "=", 1)
        first = await store.columns(OutboxRow, ["key", "due_at_ms"], odd, limit=3)
        second = await store.columns(OutboxRow, ["key"], odd, after=["o0005"], limit=3)

        assert first == [["o0001", "o0003", "o0005"], [1, 1, 1]]
        assert second == [["o0007"]]
        assert await store.columns(OutboxRow, ["key", "state"], after=["o0008"]) == [[], []]
        assert await store.columns(OutboxRow, ["key"], limit=0) == [[]]

    async def test_a_page_goes_on_behind_a_key_of_several_columns(self, store: Store) -> None:
        rows = [
            ShadowScoreRow(decision, model, number, "p", 0.5, None, None, None, 1, 0.0, 1)
            for decision in ("d1", "d2")
            for model in ("a", "b")
            for number in (1, 2)
        ]
        await store.commit([Insert(row) for row in reversed(rows)])
        found, after = [], ()
        while page := await _keys(store, after):
            found += page
            after = page[-1]

        assert found == [row[:3] for row in rows]

    async def test_pages_may_go_from_the_last_key_to_the_first(self, store: Store) -> None:
        await store.commit([Insert(outbox(n, due_at_ms=n % 2)) for n in range(9)])
        odd = Where("due_at_ms", "=", 1)
        first = await store.columns(OutboxRow, ["key"], odd, descending=True, limit=3)
        second = await store.columns(OutboxRow, ["key"], odd, after=["o0003"], descending=True)

        assert first == [["o0007", "o0005", "o0003"]]
        assert second == [["o0001"]]

    async def test_columns_that_make_no_sense_are_a_programming_error(self, store: Store) -> None:
        for names, options in (
            ([], {}), (["nope"], {}), (["id"], {"after": ["a", "b"]}), (["id"], {"after": [1]}),
        ):  # fmt: skip
            with pytest.raises(TypeError):
                await store.columns(InboxRow, names, **options)

    async def test_reading_pages_and_writing_go_on_beside_each_other(self, store: Store) -> None:
        await store.commit([Insert(inbox(n)) for n in range(0, 600, 2)])

        async def write() -> None:
            for number in range(1, 600, 2):
                await store.commit([Insert(inbox(number))])

        writing = asyncio.create_task(write())
        seen: list[str] = []
        while ids := (await store.columns(InboxRow, ["id"], after=seen[-1:], limit=20))[0]:
            seen += ids
        await writing

        assert seen == sorted(set(seen))
        assert set(seen) >= {f"i{number:04d}" for number in range(0, 600, 2)}


async def _keys(store: Store, after: Any) -> list[tuple[Any, ...]]:
    names = ("decision_id", "model_name", "model_number")
    return list(zip(*await store.columns(ShadowScoreRow, names, after=after, limit=3), strict=True))
