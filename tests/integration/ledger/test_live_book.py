"""A book is verified, proven and exported while it grows."""

from __future__ import annotations

import asyncio
from pathlib import Path

from opsrail.clock import SystemClock
from opsrail.ledger import book, exporting, keys, verifier
from opsrail.ledger.anchor import Anchor
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.entries import entry
from opsrail.ledger.sequencer import Sequencer
from opsrail.store.sqlite import SqliteStore
from opsrail.values.ledger import LedgerEntryRow

ROUNDS = 60


async def write(store: SqliteStore, sequencer: Sequencer) -> None:
    """Append and sequence, many times."""
    for round_number in range(ROUNDS):
        fields = {"round": round_number}
        await store.commit(
            [entry("case.settled", f"case-{round_number}", at, fields) for at in range(37)]
        )
        await sequencer.tick()


async def check(
    store: SqliteStore,
    signer: keys.Signer,
    anchor: Anchor,
    folder: Path,
    writer: asyncio.Task[None],
) -> list[str]:
    """Verify, prove and export until the writer is done; return everything that did not fit."""
    known = dict(verifier.parse_key(str(key)) for key in signer.verifiers)
    faults: list[str] = []
    checks = 0
    while not writer.done() or checks < 2:
        note = await asyncio.to_thread(anchor.read)
        report = await book.verify(store, signer.verifiers, [note] if note else [])
        faults += map(str, report.faults)
        if note is not None:
            (row,) = await store.select(LedgerEntryRow, limit=1)
            proof = await book.prove(store, row.writer, row.seq, signer.verifiers)
            await exporting.export(store, folder / str(checks), signer.verifiers)
            found = verifier.check_folder(folder / str(checks), known, [("external", note)])
            faults += map(str, (*verifier.check_proof(proof, known), *found[1]))
        checks += 1
    return faults


async def test_readers_find_a_growing_book_whole_at_every_moment(tmp_path: Path) -> None:
    clock = SystemClock()
    store = SqliteStore(tmp_path / "book.db", chain=WriterChain(clock), clock=clock)
    await store.open()
    signer = keys.load_or_create_signer(tmp_path / "ledger.key", clock)
    anchor = Anchor(tmp_path / "checkpoint.note")
    writer = asyncio.create_task(
        write(store, Sequencer(store, signer, clock, "worker-1", anchor=anchor))
    )
    readers = [
        check(store, signer, anchor, tmp_path / f"reader-{number}", writer) for number in range(3)
    ]
    faults = await asyncio.gather(*readers)
    await writer
    report = await book.verify(store, signer.verifiers)
    await store.close()

    assert faults == [[], [], []]
    assert (report.entries, report.waiting) == (ROUNDS * 37, 0)
