"""A small book to test with: a store, the chain of one process, a key and a sequencer."""

from __future__ import annotations

from pathlib import Path

from opsrail.clock import SystemClock
from opsrail.ledger import keys
from opsrail.ledger.anchor import Anchor
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.entries import entry
from opsrail.ledger.sequencer import Sequencer
from opsrail.store.memory import MemoryStore
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.rows import Append


class StillClock(SystemClock):
    """Wall time moves only when told to."""

    def __init__(self, now_ms: int = 1_790_000_000_000) -> None:
        super().__init__()
        self.wall_ms = now_ms

    def now_ms(self) -> int:
        return self.wall_ms


def made(number: int, subject_id: str | None = None) -> Append:
    """Return the write of a numbered entry."""
    fields = {"number": number, "score": number / 7, "verdict": "approve"}
    return entry(
        "decision.made", subject_id or f"decision-{number}", 1_790_000_000_000 + number, fields
    )


class Desk:
    """One process of a service with a ledger, in memory."""

    def __init__(self, folder: Path) -> None:
        self.clock = StillClock()
        self.chain = WriterChain(self.clock)
        self.store = MemoryStore(self.chain, clock=self.clock)
        self.signer = keys.load_or_create_signer(
            folder / "ledger.key", self.clock, "test.example/ledger"
        )
        self.anchor = Anchor(folder / "checkpoint.note")
        self.sequencer = self.another("worker-1")
        self.known = self.signer.verifiers

    def another(self, holder: str) -> Sequencer:
        """Return a sequencer of another process on the same store."""
        return Sequencer(self.store, self.signer, self.clock, holder, anchor=self.anchor)

    async def write(self, *counts: int) -> None:
        """Commit groups of so many entries, numbered on, each group with a tick after it."""
        for count in counts:
            await self.append(count)
            await self.sequencer.tick()

    async def append(self, count: int) -> None:
        """Commit one group of entries that wait for their places."""
        at = sum((await self.store.count(LedgerEntryRow)).values())
        await self.store.commit([made(number) for number in range(at, at + count)])
