"""The checkpoint outside the database: what it notices, and how an operator accepts a loss."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from opsrail.errors import LedgerBroken
from opsrail.ledger.anchor import acknowledge_rollback, check_anchored
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.rows import equals
from tests.unit.ledger.desk import Desk, made


async def fallen_back(folder: Path, entries: int) -> Desk:
    """Return a desk with the key and the external checkpoint of a book of 5, but a database of fewer entries."""
    before = Desk(folder)
    await before.store.open()
    await before.write(5)
    desk = Desk(folder)
    await desk.store.open()
    if entries:
        desk.anchor = type(desk.anchor)(folder / "elsewhere.note")
        desk.sequencer = desk.another("worker-1")
        await desk.write(entries)
        await desk.sequencer.resign()
        desk.anchor = before.anchor
        desk.sequencer = desk.another("worker-1")
    return desk


@pytest.mark.parametrize("entries", [0, 3])
async def test_a_database_older_than_the_external_checkpoint_is_not_written_on(
    tmp_path: Path, entries: int
) -> None:
    desk = await fallen_back(tmp_path, entries)
    await desk.append(1)

    with pytest.raises(
        LedgerBroken,
        match=f"rolled back: the database has {entries} entries, but a checkpoint of 5",
    ):
        await desk.sequencer.tick()


async def test_a_checkpoint_of_another_ledger_is_refused(tmp_path: Path) -> None:
    desk = await fallen_back(tmp_path, 5)
    other = await fallen_back(tmp_path / "other", 5)
    note = desk.anchor.read()

    await check_anchored(desk.store, desk.known, note)
    with pytest.raises(LedgerBroken, match="No known key"):
        await check_anchored(other.store, other.known, note)


async def test_a_rewritten_past_is_noticed_though_it_is_as_long(tmp_path: Path) -> None:
    desk = await fallen_back(tmp_path, 0)
    desk.anchor = type(desk.anchor)(tmp_path / "elsewhere.note")
    desk.sequencer = desk.another("worker-1")
    await desk.store.commit([made(number, "another") for number in range(6)])
    await desk.sequencer.tick()

    with pytest.raises(LedgerBroken, match="rewritten: its first 5 entries"):
        await check_anchored(desk.store, desk.known, (tmp_path / "checkpoint.note").read_text())


async def test_an_acknowledged_rollback_is_entered_in_the_book_and_work_goes_on(
    tmp_path: Path,
) -> None:
    desk = await fallen_back(tmp_path, 3)
    lost = desk.anchor.read()
    await acknowledge_rollback(
        desk.store,
        desk.anchor,
        desk.known,
        desk.clock,
        operator="ann",
        reason="disk lost, backup of noon restored",
    )
    count = await desk.sequencer.tick()
    (row,) = await desk.store.select(LedgerEntryRow, *equals(kind="ledger.rollback_acknowledged"))
    body = json.loads(row.body)
    (aside,) = tmp_path.glob("checkpoint.note.broken-*")

    assert count == 1
    assert (body["operator"], body["reason"]) == ("ann", "disk lost, backup of noon restored")
    assert (body["checkpoint"], body["entries"]) == (lost, 3)
    assert aside.read_text() == lost
    assert desk.anchor.read() != lost
    await desk.write(1)


async def test_there_is_nothing_to_acknowledge_in_a_book_that_fits(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    await desk.store.open()
    await desk.write(2)

    with pytest.raises(LedgerBroken, match="no rollback to acknowledge"):
        await acknowledge_rollback(
            desk.store, desk.anchor, desk.known, desk.clock, operator="ann", reason="?"
        )
    assert len(await desk.store.select(LedgerEntryRow)) == 2
