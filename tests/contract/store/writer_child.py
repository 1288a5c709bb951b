"""A process that writes until it is killed: `python -m tests.contract.store.writer_child <path or url> <crash point>`.

Each commit is two rows and a ledger entry; its number is printed once it is acknowledged.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from opsrail import faults
from opsrail.clock import SystemClock
from opsrail.ledger.chain import WriterChain
from opsrail.ports import Store
from opsrail.store.postgres import PostgresStore
from opsrail.store.sqlite import SqliteStore
from opsrail.values.cases import InboxRow, KeyRow
from opsrail.values.rows import Append, Insert

CLOCK = SystemClock()
WRITERS = 5


def store_at(place: str) -> Store:
    chain = WriterChain(CLOCK)
    if place.startswith("postgresql://"):
        return PostgresStore(place, chain=chain, clock=CLOCK)
    return SqliteStore(Path(place), chain=chain, exclusive=True, clock=CLOCK)


async def write(store: Store, number: int) -> None:
    name = f"{number:05d}"
    await store.commit(
        [
            Insert(InboxRow(name, "c", "t", "{}", number)),
            Insert(KeyRow("s", name, "d", name, number)),
            Append("test.made", name, number, b"{}"),
        ]
    )
    print(number, flush=True)


async def main(place: str, points: str) -> None:
    store = store_at(place)
    await store.open()
    found = await store.count(InboxRow)
    first = found[()] + 1_000
    faults.arm_from(points)
    for number in range(first, first + 200, WRITERS):
        await asyncio.gather(*(write(store, number + n) for n in range(WRITERS)))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
