"""What a store carries: three-step cases, five durable commits each, many in flight.

A case is one insert of its row, three journal entries each under "this worker is alive", and one update of its row with an
action and a ledger entry. Run: `python bench/store.py sqlite postgres --cases 10000 --in-flight 200`.
PostgreSQL runs as a throwaway server with fsync on. Figures: cases/s, commits/s and rows/s by wall clock; CPU a case on the
event loop's thread, and in the whole process (the database server's own CPU is not in it).
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from opsrail.clock import SystemClock
from opsrail.ledger.chain import WriterChain
from opsrail.ports import Store
from opsrail.store.memory import MemoryStore
from opsrail.store.sqlite import SqliteStore
from opsrail.values.cases import CaseRow, CaseState, JournalRow, OutboxRow, OutboxState, WorkerRow
from opsrail.values.rows import Append, Insert, Require, Update

INPUT = '{"claim":{"age":41,"amount":"1234.50","make":"opel","notes":"' + "x" * 200 + '"}}'
RESULT = '{"ok":true,"text":"' + "y" * 120 + '"}'
BODY = b'{"case":"' + b"z" * 300 + b'"}'
COMMITS = 5
ROWS = 8
CLOCK = SystemClock()


def case_row(case_id: str) -> CaseRow:
    now = CLOCK.now_ms()
    return CaseRow(
        id=case_id, automation="claims-intake", definition="sha256:" + "0" * 64, state=CaseState.RUNNING,
        source="http", input=INPUT, outcome=None, reason=None, waiting_for=None, owner="worker", failures=0, losses=0,
        progress=0, priority=5, due_at_ms=None, correlation_id="0" * 32, salt="0" * 64, accepted_at_ms=now,
        updated_at_ms=now, settled_at_ms=None,
    )  # fmt: skip


async def one_case(store: Store, alive: Require) -> None:
    case_id = CLOCK.new_id()
    await store.commit([Insert(case_row(case_id)), alive])
    for seq in range(3):
        entry = JournalRow(
            case_id, seq, "step", "read_receipt", "d" * 64, RESULT, 1, CLOCK.now_ms()
        )
        await store.commit([alive, Insert(entry)])
    now = CLOCK.now_ms()
    key = f"{case_id}-3"
    await store.commit(
        [
            alive,
            Update(
                CaseRow,
                (case_id,),
                {
                    "state": CaseState.SETTLED,
                    "outcome": RESULT,
                    "owner": None,
                    "settled_at_ms": now,
                    "updated_at_ms": now,
                },
                {"owner": "worker", "state": CaseState.RUNNING},
            ),
            Insert(
                OutboxRow(
                    key,
                    case_id,
                    "claims-intake",
                    "pay",
                    RESULT,
                    OutboxState.DUE,
                    None,
                    0,
                    now,
                    None,
                    None,
                    now,
                    None,
                )
            ),
            Append("case.settled", case_id, now, BODY),
        ]
    )


async def measure(name: str, store: Store, cases: int, in_flight: int) -> None:
    await store.open()
    await store.commit([Insert(WorkerRow("worker", "host", 1, "alive", 0, 0))])
    alive = Require(WorkerRow, ("worker",), {"state": "alive"}, "fenced")
    await load(store, alive, in_flight, in_flight)
    wall, loop_cpu, cpu = time.perf_counter(), time.thread_time(), time.process_time()
    await load(store, alive, cases, in_flight)
    wall, loop_cpu, cpu = (
        time.perf_counter() - wall,
        time.thread_time() - loop_cpu,
        time.process_time() - cpu,
    )
    lone = sorted([await timed(store, alive) for _ in range(100)])
    print(
        f"{name:9} {in_flight:4} in flight  {cases / wall:7.0f} cases/s {cases * COMMITS / wall:7.0f} commits/s"
        f" {cases * ROWS / wall:7.0f} rows/s"
        f"  CPU us a case: loop {loop_cpu / cases * 1e6:4.0f}, process {cpu / cases * 1e6:4.0f}"
        f"  lone case ms: p50 {lone[50] * 1e3:.1f} p99 {lone[98] * 1e3:.1f}"
    )
    await store.close()


async def load(store: Store, alive: Require, cases: int, in_flight: int) -> None:
    left = iter(range(cases))

    async def one_after_another() -> None:
        for _ in left:
            await one_case(store, alive)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(in_flight):
            tasks.create_task(one_after_another())


async def timed(store: Store, alive: Require) -> float:
    start = time.perf_counter()
    await one_case(store, alive)
    return time.perf_counter() - start


def stores(names: list[str], folder: Path) -> Iterator[tuple[str, Store]]:
    for name in names:
        chain = WriterChain(CLOCK)
        if name == "memory":
            yield name, MemoryStore(chain)
        elif name == "sqlite":
            yield name, SqliteStore(folder / f"{CLOCK.new_id()}.db", chain=chain, clock=CLOCK)
        elif name == "postgres":
            from opsrail.store.postgres import PostgresStore
            from tests.support.postgres import cluster

            with cluster(fsync=True) as server:
                yield name, PostgresStore(server.url, chain=chain, clock=CLOCK)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stores", nargs="+", choices=["memory", "sqlite", "postgres"])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[200])
    parser.add_argument(
        "--folder", type=Path, help="where the SQLite file lies (default: a temporary folder)"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        for in_flight in asked.in_flight:
            for name, store in stores(asked.stores, Path(folder)):
                asyncio.run(measure(name, store, asked.cases, in_flight))


if __name__ == "__main__":
    main()
