"""A book with tiles of two levels: new leaders, proofs and the whole check work on it as on a small one."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from opsrail.clock import SystemClock
from opsrail.ledger import book, keys, reading, verifier
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.entries import entry
from opsrail.ledger.sequencer import Sequencer
from opsrail.store.sqlite import SqliteStore
from opsrail.values.ledger import CheckpointRow, LedgerTileRow
from opsrail.values.rows import equals

ENTRIES = 256 * 256 + 700


@pytest.mark.slow
async def test_a_book_with_tiles_of_two_levels_is_proven_taken_over_and_verified(
    tmp_path: Path,
) -> None:
    clock = SystemClock()
    store = SqliteStore(tmp_path / "book.db", chain=WriterChain(clock), clock=clock)
    await store.open()
    signer = keys.load_or_create_signer(tmp_path / "ledger.key", clock)
    random = Random(7)
    written = leaders = 0
    while written < ENTRIES:
        sequencer = Sequencer(store, signer, clock, f"worker-{leaders}")
        leaders += 1
        for _ in range(4):
            count = min(random.randrange(1, 5_000), ENTRIES - written)
            await store.commit(
                [entry("case.settled", f"case-{written + at}", at, {}) for at in range(count)]
            )
            written += count
            while await sequencer.tick():
                pass
        await sequencer.resign()
    (upper,) = await store.select(LedgerTileRow, *equals(level=1))
    known = dict(verifier.parse_key(str(key)) for key in signer.verifiers)
    faults: list[verifier.Fault] = []
    for index in (0, 65_535, 65_536, ENTRIES - 1, *(random.randrange(ENTRIES) for _ in range(20))):
        run = await reading.run_at(store, index)
        assert run is not None
        proof = await book.prove(
            store, run.writer, run.first_seq + index - run.first_index, signer.verifiers
        )
        faults += verifier.check_proof(proof, known)
    for row in await store.select(CheckpointRow):
        await book.prove_consistency(store, row.note, signer.verifiers)
    report = await book.verify(store, signer.verifiers)
    await store.close()

    assert upper.number == 0
    assert faults == []
    assert leaders > 2
    assert (report.entries, report.faults) == (ENTRIES, ())
