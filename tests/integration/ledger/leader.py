"""A process that sequences a SQLite file until it is killed: `python -m ...leader FOLDER HOLDER CRASH_POINT`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from opsrail import faults
from opsrail.clock import SystemClock
from opsrail.ledger.anchor import Anchor
from opsrail.ledger.keys import load_signer
from opsrail.ledger.sequencer import Sequencer
from opsrail.store.sqlite import SqliteStore


async def lead(folder: Path, holder: str, crash: str) -> None:
    clock = SystemClock()
    store = SqliteStore(folder / "book.db", clock=clock)
    await store.open()
    sequencer = Sequencer(
        store,
        load_signer(folder / "ledger.key"),
        clock,
        holder,
        anchor=Anchor(folder / "checkpoint.note"),
        lease_ms=200,
        interval_s=0.01,
    )
    print("ready", flush=True)
    faults.arm_from(crash)
    await sequencer.run()


if __name__ == "__main__":
    asyncio.run(lead(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
