"""A thousand intrusions into a book of 2,000 entries: all are found and placed, by both verifiers."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from opsrail.clock import SystemClock
from opsrail.ledger import book, keys, verifier
from opsrail.ledger.anchor import Anchor
from opsrail.ledger.audit import VerifyReport
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.entries import entry
from opsrail.ledger.sequencer import Sequencer
from opsrail.store.sqlite import SqliteStore
from tests.integration.ledger.intruder import EXACT, IN_DATABASE, WITHIN_RANGE, Loot

ENTRIES = 2_000
WRITERS = 4
INTRUSIONS = 1_000


async def write_book(path: Path, signer: keys.Signer, anchor: Anchor, random: Random) -> None:
    """Write 2,000 entries by four writers under some twenty checkpoints, and ten that wait."""
    clock = SystemClock()
    stores = [SqliteStore(path, chain=WriterChain(clock), clock=clock) for _ in range(WRITERS)]
    for store in stores:
        await store.open()
    sequencer = Sequencer(stores[0], signer, clock, "worker-1", anchor=anchor)
    written = 0
    while written < ENTRIES:
        for store in random.sample(stores, 3):
            count = min(random.randrange(10, 60), ENTRIES - written)
            fields = {"verdict": "approve", "score": random.random()}
            await store.commit(
                [
                    entry("decision.made", f"decision-{written + at}", written + at, fields)
                    for at in range(count)
                ]
            )
            written += count
        await sequencer.tick()
    await stores[1].commit([entry("decision.made", f"waiting-{at}", at, {}) for at in range(10)])
    for store in stores:
        await store.close()


def disagreement(
    loot: Loot, folder: Path, known: verifier.Known, note: str, report: VerifyReport
) -> str:
    """Return how the offline verifier's finding differs from the report."""
    loot.dump(folder)
    _, faults = verifier.check_folder(folder, known, [("external", note)])
    first = faults[0][0] if faults else None
    return (
        ""
        if first == report.first_bad_index
        else f"verifier says {first}, book {report.first_bad_index}"
    )


@pytest.mark.slow
async def test_a_thousand_intrusions_are_found_and_their_first_place_named(tmp_path: Path) -> None:
    random = Random(14)
    signer = keys.load_or_create_signer(tmp_path / "ledger.key", SystemClock())
    anchor = Anchor(tmp_path / "checkpoint.note")
    path = tmp_path / "book.db"
    await write_book(path, signer, anchor, random)
    note = anchor.read() or ""
    known = dict(verifier.parse_key(str(key)) for key in signer.verifiers)
    store = SqliteStore(path, clock=SystemClock())
    await store.open()
    before = await book.verify(store, signer.verifiers, [note])
    loot = Loot.take(path, signer)
    missed: list[str] = []
    for number in range(INTRUSIONS):
        intrude = random.choice((*EXACT, *EXACT, *EXACT, *IN_DATABASE, *WITHIN_RANGE))
        loot.connection.execute("BEGIN")
        expected = intrude(loot, random)
        loot.connection.execute("COMMIT")
        report = await book.verify(store, signer.verifiers, [note])
        label = f"{number} {intrude.__name__}: expected {expected}, found {[str(fault) for fault in report.faults[:3]]}"
        if report.is_intact:
            missed.append(f"{label}: not found")
        elif intrude in WITHIN_RANGE and expected is not None:
            first = min(
                (fault for fault in report.faults if fault.index is not None),
                key=lambda fault: fault.index or 0,
            )
            if not (first.index or 0) <= expected < (first.until or 0):
                missed.append(f"{label}: outside")
        elif report.first_bad_index != expected:
            missed.append(f"{label}: elsewhere")
        if (
            intrude in EXACT
            and number % 4 == 0
            and (other := disagreement(loot, tmp_path / "dump", known, note, report))
        ):
            missed.append(f"{label}: {other}")
        loot.restore()
    after = await book.verify(store, signer.verifiers, [note])
    await store.close()

    assert (before.entries, before.waiting, before.is_intact) == (ENTRIES, 10, True)
    assert "\n".join(missed) == ""
    assert after.is_intact
