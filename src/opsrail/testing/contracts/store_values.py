"""What goes into a store comes out the same."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Any

import pytest

from opsrail.errors import InvalidInput
from opsrail.ports import Store
from opsrail.testing.contracts.store_rows import inbox, outbox, sample
from opsrail.values.cases import InboxRow, OutboxRow, OutboxState
from opsrail.values.decisions import DecisionRow
from opsrail.values.registry import ArtifactRow, RolloutRow
from opsrail.values.rows import Insert, Update, Where
from opsrail.values.tables import TABLES


class Level(IntEnum):
    """Numbers with names."""

    HIGH = 3


class Mixed(str, Enum):  # noqa: UP042 - the older kind, whose str() is not its value
    """Text with names."""

    WORKER = "w1"


class ValuesContract:
    """Values come back as they went in, or are refused in words."""

    @pytest.mark.parametrize("row_type", list(TABLES))
    async def test_a_row_comes_back_as_it_went_in(
        self, store: Store, row_type: type[tuple[Any, ...]]
    ) -> None:
        rows = [sample(row_type, number) for number in range(4)]
        await store.commit([Insert(row) for row in rows])
        shown = await store.select(row_type)

        assert sorted(map(repr, shown)) == sorted(map(repr, rows))
        for row in rows:
            key = [getattr(row, name) for name in TABLES[row_type].key]
            assert repr(await store.get(row_type, *key)) == repr(row)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "'\"\\`;--",
            "\x01\x1f\x7f\u0085\u2028\ufeff\uffff",
            "e\u0301 é",
            "👩‍👩‍👧 \U0010ffff",
            "a\tb\r\nc",
            "x漢" * 500_000,
        ],
        ids=[
            "empty",
            "quotes",
            "controls",
            "accents",
            "beyond the basic plane",
            "lines",
            "two million bytes",
        ],
    )
    async def test_text_is_kept_to_the_letter(self, store: Store, text: str) -> None:
        await store.commit([Insert(inbox(1, payload=text)), Insert(inbox(2, payload=text))])
        await store.commit([Update(InboxRow, ("i0002",), {"topic": text}, {"payload": text})])

        assert await store.get(InboxRow, "i0001") == inbox(1, payload=text)
        assert await store.select(InboxRow, Where("topic", "=", text)) == [
            inbox(2, payload=text, topic=text)
        ]

    @pytest.mark.parametrize("text", ["a\0b", "\ud800", "x\udfffy"])
    async def test_text_that_no_database_keeps_is_refused(self, store: Store, text: str) -> None:
        with pytest.raises(InvalidInput, match=r"inbox\.payload"):
            await store.commit([Insert(inbox(1)), Insert(inbox(2, payload=text))])

        assert await store.count(InboxRow) == {(): 0}

    @pytest.mark.parametrize(
        "number", [0, -1, 2**31, -(2**31) - 1, 2**53 + 1, 2**62, 2**63 - 1, -(2**63)]
    )
    async def test_integers_of_64_bits_are_exact(self, store: Store, number: int) -> None:
        row = inbox(1)._replace(at_ms=number)
        await store.commit([Insert(row), Insert(inbox(2))])
        await store.commit([Update(InboxRow, ("i0002",), {"at_ms": number})])
        found = await store.select(InboxRow, Where("at_ms", "=", number))

        assert [row.at_ms for row in found] == [number, number]

    @pytest.mark.parametrize(
        "number", [2**63, -(2**63) - 1, 10**5000], ids=["2^63", "-2^63-1", "10^5000"]
    )
    async def test_larger_integers_are_refused(self, store: Store, number: int) -> None:
        with pytest.raises(InvalidInput, match=r"inbox\.at_ms"):
            await store.commit([Insert(inbox(1)._replace(at_ms=number))])

    @pytest.mark.parametrize(
        "score",
        [0.0, 1.0, 0.1, 1 / 3, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -1e-7],
    )
    async def test_floats_are_kept_to_the_last_bit(self, store: Store, score: float) -> None:
        rollout = RolloutRow("p", "canary", "m", 1, score, 1, 0)
        await store.commit([Insert(rollout)])
        await store.commit([Insert(rollout._replace(point=name)) for name in "qrs"])
        found = await store.select(RolloutRow)

        assert [row.share.hex() for row in found] == [score.hex()] * 4

    async def test_sums_of_decimals_come_back_as_themselves_not_as_their_neighbours(
        self, store: Store
    ) -> None:
        given = [n * 7_919 % 10**7 / 10**7 + 0.01 * (n % 7) for n in range(20_000)]
        given += [0.6630161999999999, 0.5236594999999999, 0.7577681000000001, 1e22, 1e23]
        rows = [RolloutRow(f"{n:06}", "canary", "m", 1, one, 1, 0) for n, one in enumerate(given)]
        await store.commit([Insert(row) for row in rows])
        found = await store.select(RolloutRow, order=("point",), limit=len(rows))

        assert [row.share for row in found] == given

    @pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
    async def test_floats_that_are_no_numbers_are_refused(self, store: Store, score: float) -> None:
        with pytest.raises(InvalidInput, match=r"rollouts\.share"):
            await store.commit([Insert(RolloutRow("p", "canary", "m", 1, score, 1, 0))])

    async def test_bytes_are_kept(self, store: Store) -> None:
        content = bytes(range(256)) * 8_000
        await store.commit([Insert(ArtifactRow("d1", content)), Insert(ArtifactRow("d2", b""))])

        assert await store.select(ArtifactRow) == [
            ArtifactRow("d1", content),
            ArtifactRow("d2", b""),
        ]

    async def test_members_of_an_enum_are_kept_as_their_plain_values(self, store: Store) -> None:
        row = outbox(1)._replace(state=OutboxState.DUE, attempts=Level.HIGH, owner=Mixed.WORKER)
        await store.commit([Insert(row), Insert(outbox(2))])
        await store.commit(
            [Update(OutboxRow, ("o0002",), {"state": OutboxState.SENT}, {"state": OutboxState.DUE})]
        )
        found = await store.select(
            OutboxRow, Where("state", "in", (OutboxState.DUE, OutboxState.SENT))
        )

        assert [(row.state, row.attempts, row.owner) for row in found] == [
            ("due", 3, "w1"),
            ("sent", 0, None),
        ]
        assert {type(value) for row in found for value in row} == {str, int, type(None)}

    async def test_a_whole_number_may_stand_where_a_float_does(self, store: Store) -> None:
        await store.commit([Insert(RolloutRow("p", "live", "m", 1, 1, 1, 0))])
        (found,) = await store.select(RolloutRow)

        assert repr(found.share) == "1.0"

    async def test_booleans_come_back_as_booleans(self, store: Store) -> None:
        rows = [sample(DecisionRow, 1), sample(DecisionRow, 2)]
        await store.commit([Insert(row) for row in rows])

        assert await store.count(DecisionRow, by=["degraded"]) == {(True,): 1, (False,): 1}
        assert [
            row.degraded for row in await store.select(DecisionRow, Where("degraded", "=", True))
        ] == [True]
        assert {type(key[0]) for key in await store.count(DecisionRow, by=["degraded"])} == {bool}
