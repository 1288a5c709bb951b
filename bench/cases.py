"""How many three-step cases a second, each step durable before the next, beside DBOS in the same run.

The parent starts one process a round, ours and the peer's in turn, each on an empty database; a round of ours is `main`
below: the whole App runs (ledger, heartbeat, outbox and watchdog included), `in_flight` callers each let a case in, wait
until it is settled, and check its outcome. After the clock stopped the rows are counted: three journal rows a case, one
entry `case.accepted` and one `case.settled`, all sequenced under a signed checkpoint.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.figures import Report, machine, percentile, rounded, say, summary
from bench.rounds import ROOT, ours, started
from opsrail.app import App, build
from opsrail.cases.intake import Submission
from opsrail.cases.loader import load_file
from opsrail.config import Config, StoreConfig
from opsrail.values.cases import CaseState, JournalRow
from opsrail.values.ledger import CheckpointRow, LedgerEntryRow, LedgerPendingRow

STEPS = 3
WARM_CASES = 200
SEQUENCED_TIMEOUT_S = 300
STUCK_S = 300
"""A load that takes longer is given up: a case of it never ended."""
PEER_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
PEER = ROOT / "bench" / "peers" / "dbos_cases.py"
ROUND_FIGURES = {
    "cases": "per_s",
    "p50": "ms",
    "p99": "ms",
    "lone_case_p50": "ms",
    "lone_case_p99": "ms",
    "cpu_per_case": "ms",
    "loop_cpu_per_case": "ms",
    "ledger_behind": "count",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cases", type=int, default=5_000, help="cases in a round of ours")
    parser.add_argument("--peer-cases", type=int, default=400, help="workflows in a peer's round")
    parser.add_argument("--lone", type=int, default=200, help="cases run one at a time in a round")
    parser.add_argument("--in-flight", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stores", nargs="+", choices=["sqlite", "postgres"],
                        default=["sqlite", "postgres"])  # fmt: skip
    parser.add_argument("--no-peer", action="store_true", help="measure opsrail alone")
    parser.add_argument("--folder", type=Path, help="where SQLite files lie (default: temporary)")


def run(asked: argparse.Namespace) -> Report:
    """Run the rounds in turn, ours and the peer's, and put their figures side by side."""
    if not asked.no_peer and not PEER_PYTHON.exists():
        raise SystemExit(
            "the peer is not installed; run `make bench`, which makes .venv-bench, or give --no-peer"
        )
    taken_on = machine(asked.folder)
    figures: dict[str, float] = {}
    peer: dict[str, Any] = {}
    for store in asked.stores:
        own, others = _rounds(asked, store)
        figures |= _summaries(store, own)
        if others:
            peer |= {key: others[0][key] for key in ("version", f"{store}_durability")}
            peer |= _summaries(store, others)
            ratios = [a["cases"] / b["cases"] for a, b in zip(own, others, strict=True)]
            figures[f"ratio_dbos_{store}"] = rounded(statistics.median(ratios))
            figures[f"ratio_dbos_{store}_min"] = rounded(min(ratios))
    if "sqlite_lone_case_p50_ms" in figures:
        figures["lone_case_p50_ms"] = figures["sqlite_lone_case_p50_ms"]
    return Report("cases", figures, {"dbos": peer} if peer else {}, machine=taken_on)


def _summaries(store: str, rounds: list[dict[str, Any]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, unit in ROUND_FIGURES.items():
        if name in rounds[0]:
            found |= summary(f"{store}_{name}", unit, [one[name] for one in rounds])
    return found


def _rounds(
    asked: argparse.Namespace, store: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    own, others = [], []
    with ExitStack() as stack:
        server = stack.enter_context(_server()) if store == "postgres" else ""
        for number in range(1, asked.rounds + 1):
            with _place(server, asked.folder) as (folder, url):
                size = (asked.cases, asked.in_flight, asked.lone)
                own.append(ours("bench.cases", folder, *size, url))
            say(f"{store} round {number}: opsrail {own[-1]['cases']:,.0f} cases/s")
            if asked.no_peer:
                continue
            with _place(server, asked.folder) as (folder, url):
                size = (asked.peer_cases, asked.in_flight, min(asked.lone, 50))
                others.append(started([str(PEER_PYTHON), str(PEER)], (folder, *size, url)))
            say(f"{store} round {number}: dbos {others[-1]['cases']:,.1f} cases/s")
    return own, others


@contextmanager
def _server() -> Iterator[str]:
    from tests.support.postgres import cluster

    with cluster(fsync=True) as server:
        yield server.url


@contextmanager
def _place(server: str, parent: Path | None) -> Iterator[tuple[Path, str]]:
    """Give an empty folder and, with a server, the URL of an empty database (else an empty text)."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        if not server:
            yield Path(folder), ""
            return
        from tests.support.postgres import fresh_database

        with fresh_database(server) as url:
            yield Path(folder), url


async def measure(folder: Path, cases: int, in_flight: int, lone: int, url: str) -> dict[str, Any]:
    """Run one round of ours and return its figures."""
    definitions = load_file(Path(__file__).with_name("three_steps.py"))
    app = build(Config(store=StoreConfig(url=url)), folder, definitions, runs=True)
    async with app.running():
        await load(app, range(WARM_CASES), in_flight)
        wall, loop_cpu, cpu = time.perf_counter(), time.thread_time(), time.process_time()
        took_ms = await load(app, range(cases), in_flight)
        wall, loop_cpu, cpu = (
            time.perf_counter() - wall,
            time.thread_time() - loop_cpu,
            time.process_time() - cpu,
        )
        pending = await app.store.select(LedgerPendingRow, limit=100_000)
        behind = sum(row.entry_count for row in pending)
        lone_ms = [await one(app, number) for number in range(lone)]
        await check(app, WARM_CASES + cases + lone)
    found = {
        "cases": cases / wall,
        "p50": percentile(took_ms, 0.5),
        "p99": percentile(took_ms, 0.99),
        "cpu_per_case": 1000 * cpu / cases,
        "loop_cpu_per_case": 1000 * loop_cpu / cases,
        "ledger_behind": behind,
    }
    if lone_ms:
        found["lone_case_p50"] = percentile(lone_ms, 0.5)
        found["lone_case_p99"] = percentile(lone_ms, 0.99)
    return found


async def load(app: App, numbers: range, in_flight: int) -> list[float]:
    """Run a case for each number, `in_flight` at once; return how long each took, milliseconds."""
    left, took_ms = iter(numbers), []

    async def one_after_another() -> None:
        for number in left:
            took_ms.append(await one(app, number))

    async with asyncio.timeout(STUCK_S), asyncio.TaskGroup() as tasks:
        for _ in range(in_flight):
            tasks.create_task(one_after_another())
    return took_ms


async def one(app: App, number: int) -> float:
    """Let one case in and wait until it is settled, as it should be; return how long that took, milliseconds."""
    begun = time.perf_counter()
    given = b'{"number":%d}' % number
    row, is_new = await app.intake.accept(Submission("three-steps", given, "bench"))
    ended = await app.runner.ending_of(row.id)
    took_ms = 1000 * (time.perf_counter() - begun)
    assert is_new
    assert ended.state == CaseState.SETTLED, ended
    assert json.loads(ended.outcome or "") == {"number": number + STEPS}
    return took_ms


async def check(app: App, cases: int) -> None:
    """Count what the cases must have left behind, and wait for the ledger."""
    assert await app.store.count(JournalRow) == {(): STEPS * cases}
    entries = await app.store.count(LedgerEntryRow, by=("kind",))
    assert entries == {("case.accepted",): cases, ("case.settled",): cases}, entries
    await sequenced(app)


async def sequenced(app: App) -> None:
    """Wait until the ledger has given every entry its place under a signed checkpoint."""
    signed = app.store.changed(CheckpointRow)
    async with asyncio.timeout(SEQUENCED_TIMEOUT_S):
        while True:
            signed.clear()
            if not (await app.store.count(LedgerPendingRow)).get((), 0):
                break
            await signed.wait()
    assert app.broken is None, app.broken


def main() -> None:
    """Run one round of ours: FOLDER CASES IN_FLIGHT LONE [URL]."""
    folder, cases, in_flight, lone, url = sys.argv[1:6]
    found = asyncio.run(measure(Path(folder), int(cases), int(in_flight), int(lone), url))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
