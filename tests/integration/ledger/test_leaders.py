"""Leaders that are killed while several writers append: the next goes on, and no checkpoint is taken back."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from opsrail.clock import SystemClock
from opsrail.ledger import book, keys
from opsrail.ledger.anchor import Anchor
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.entries import entry
from opsrail.ledger.sequencer import Sequencer
from opsrail.store.sqlite import SqliteStore
from opsrail.values.ledger import CheckpointRow

WRITERS = 4
CRASHES = (
    "ledger.before_sequence:1",
    "ledger.sequenced:1",
    "commit.begun:1",
    "commit.begun:2",
    "commit.written:2",
    "commit.done:2",
    "ledger.checkpointed:1",
    "ledger.sequenced:2",
    "commit.written:3",
    "ledger.checkpointed:3",
)
ENTRIES_EACH = 50
"""By each writer, while one leader lives: 2,000 in all."""


async def append(store: SqliteStore, name: str, count: int) -> None:
    """Append entries one transaction at a time."""
    for number in range(count):
        await store.commit([entry("case.settled", f"{name}-{number}", number, {"n": number})])


async def live_and_die(folder: Path, holder: str, crash: str, stores: list[SqliteStore]) -> int:
    """Run a leader beside the writers until it is killed; return its exit code."""
    leader = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.ledger.leader",
        str(folder),
        holder,
        crash,
        stdout=asyncio.subprocess.PIPE,
    )
    assert leader.stdout is not None
    await leader.stdout.readline()
    writers = [append(store, f"{holder}-{at}", ENTRIES_EACH) for at, store in enumerate(stores)]
    await asyncio.gather(*writers)
    extra = 0
    while leader.returncode is None:  # it may need more ticks, each with news, to reach its end
        await append(stores[0], f"{holder}-more-{extra}", 1)
        extra += 1
        await asyncio.wait({asyncio.ensure_future(leader.wait())}, timeout=0.05)
    return leader.returncode


@pytest.mark.crash
async def test_ten_leaders_are_killed_and_the_book_stays_one(tmp_path: Path) -> None:
    clock = SystemClock()
    signer = keys.load_or_create_signer(tmp_path / "ledger.key", clock)
    anchor = Anchor(tmp_path / "checkpoint.note")
    stores = [
        SqliteStore(tmp_path / "book.db", chain=WriterChain(clock), clock=clock)
        for _ in range(WRITERS)
    ]
    for store in stores:
        await store.open()
    notes: list[str] = []
    codes: list[int] = []
    for number, crash in enumerate(CRASHES):
        codes.append(await live_and_die(tmp_path, f"worker-{number}", crash, stores))
        if note := anchor.read():
            notes.append(note)
    last = Sequencer(stores[0], signer, clock, "worker-last", anchor=anchor)
    while not await last.tick():  # the lease of the one before runs out by the wall clock
        await append(stores[0], "worker-last", 1)
    report = await book.verify(stores[0], signer.verifiers, notes)
    checkpoints = await stores[0].select(CheckpointRow)
    for store in stores:
        await store.close()

    assert codes == [-signal.SIGKILL] * len(CRASHES)
    assert report.faults == ()
    assert report.waiting == 0
    assert report.entries >= WRITERS * ENTRIES_EACH * len(CRASHES)
    assert [row.epoch for row in checkpoints] == sorted(row.epoch for row in checkpoints)
    assert len({row.epoch for row in checkpoints}) >= 4
