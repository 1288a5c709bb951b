"""An old backup is restored: noticed at once, and written on only after an operator accepted it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from opsrail.clock import SystemClock
from opsrail.errors import LedgerBroken
from opsrail.ledger import book, keys
from opsrail.ledger.anchor import Anchor, acknowledge_rollback, check_anchored
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.entries import entry
from opsrail.ledger.sequencer import Sequencer
from opsrail.store.sqlite import SqliteStore
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.rows import equals


async def boot(folder: Path, boot_number: int, count: int) -> None:
    """Run a service for so many entries."""
    clock = SystemClock()
    store = SqliteStore(folder / "book.db", chain=WriterChain(clock), clock=clock)
    await store.open()
    try:
        signer = keys.load_or_create_signer(folder / "ledger.key", clock)
        anchor = Anchor(folder / "checkpoint.note")
        await check_anchored(store, signer.verifiers, anchor.read())
        sequencer = Sequencer(store, signer, clock, f"boot-{boot_number}", anchor=anchor)
        for number in range(count):
            await store.commit([entry("case.settled", f"case-{boot_number}-{number}", number, {})])
        await sequencer.tick()
        await sequencer.resign()
    finally:
        await store.close()


async def test_a_restored_backup_is_noticed_acknowledged_and_recorded(tmp_path: Path) -> None:
    await boot(tmp_path, 1, 20)
    shutil.copy(tmp_path / "book.db", tmp_path / "backup.db")
    await boot(tmp_path, 2, 50)
    shutil.copy(tmp_path / "backup.db", tmp_path / "book.db")
    with pytest.raises(
        LedgerBroken, match="rolled back: the database has 20 entries, but a checkpoint of 70"
    ):
        await boot(tmp_path, 3, 1)
    clock = SystemClock()
    signer = keys.load_signer(tmp_path / "ledger.key")
    anchor = Anchor(tmp_path / "checkpoint.note")
    store = SqliteStore(tmp_path / "book.db", chain=WriterChain(clock), clock=clock)
    await store.open()
    await acknowledge_rollback(
        store, anchor, signer.verifiers, clock, operator="ann", reason="disk lost"
    )
    await store.close()
    await boot(tmp_path, 4, 5)
    await store.open()
    report = await book.verify(store, signer.verifiers, [anchor.read() or ""])
    acknowledged = await store.select(LedgerEntryRow, *equals(kind="ledger.rollback_acknowledged"))
    await store.close()

    assert report.is_intact
    assert report.entries == 20 + 1 + 5
    assert [row.subject_id for row in acknowledged] == ["ledger"]
