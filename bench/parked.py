"""What a hundred thousand cases cost that wait for a person: a restart, memory, and how soon a ruling wakes one.

Three processes, each this module: `fill` lets cases in and runs each to its park through the real road, then is killed;
`restart` is the process that is measured, on that folder and on an empty one; `rule` only opens the store and rules, as the
command line does. A wake is timed from before the ruling is asked for until its case is settled and durable.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.cases import STUCK_S, sequenced
from bench.figures import Report, machine, percentile, rounded, say
from bench.rounds import ROOT, ours
from opsrail.app import App, build
from opsrail.cases.intake import Submission
from opsrail.cases.loader import load_file
from opsrail.config import Config
from opsrail.values.cases import CaseRow, CaseState
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.values.rows import Where

NOTE = "the amount is above what this desk may settle alone; compare the receipt with the claim"
IN_FLIGHT = 200
REST_S = 2.0
"""How long the process idles before its memory is read: a heartbeat and a look for due work lie within."""
VERDICT = "approve"
TARGETS = {
    "restart_ready_s": "<= 5",
    "memory_over_empty_mib": "<= 150",
    "wake_p50_ms": "<= 50",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=100_000, help="parked cases")
    parser.add_argument("--rulings", type=int, default=200, help="rulings of each kind")
    parser.add_argument("--folder", type=Path, help="where the files lie (default: temporary)")


def run(asked: argparse.Namespace) -> Report:
    """Fill a folder, restart on it and on an empty one, and compare."""
    taken_on = machine(asked.folder)
    with (
        tempfile.TemporaryDirectory(dir=asked.folder) as full,
        tempfile.TemporaryDirectory(dir=asked.folder) as empty,
    ):
        say(f"parking {asked.count:,} cases")
        filled = ours("bench.parked", "fill", full, asked.count, status=-signal.SIGKILL)
        say(f"parked in {filled['fill_s']:.0f} s; the process was killed; starting anew")
        bare = _restarted(Path(empty), 0, 0)
        found = _restarted(Path(full), asked.count, asked.rulings)
        stored_bytes = sum(path.stat().st_size for path in Path(full).iterdir())
    figures = {
        "parked_count": asked.count,
        "restart_ready_s": found["settled_s"],
        "restart_app_ready_s": found["ready_s"],
        "empty_restart_ready_s": bare["settled_s"],
        "empty_restart_app_ready_s": bare["ready_s"],
        "memory_over_empty_mib": found["rss_mib"] - bare["rss_mib"],
        "peak_memory_over_empty_mib": found["peak_mib"] - bare["peak_mib"],
        "empty_memory_mib": bare["rss_mib"],
        "idle_cpu_ratio": found["idle_cpu_ratio"],
        **{name: value for name, value in found.items() if name.startswith("wake_")},
        "park_cases_per_s": asked.count / filled["fill_s"],
        "stored_bytes_per_case": stored_bytes / asked.count,
    }
    figures = {name: rounded(value) for name, value in figures.items()}
    return Report("parked", figures, targets=TARGETS, machine=taken_on)


def _restarted(folder: Path, count: int, rulings: int) -> dict[str, Any]:
    begun_s = time.time()
    found = ours("bench.parked", "restart", folder, count, rulings)
    found["ready_s"] = found.pop("ready_at_s") - begun_s
    found["settled_s"] = found.pop("settled_at_s") - begun_s
    return found


def made(folder: Path, *, runs: bool) -> App:
    """Wire an app on the folder, with the automation of this bench when it carries cases."""
    if not runs:
        return build(Config(), folder)
    definitions = load_file(Path(__file__).with_name("one_review.py"))
    return build(Config(), folder, definitions, runs=True)


# -- fill ----------------------------------------------------------------------------------------------------------------


async def fill(folder: Path, count: int) -> None:
    """Park that many cases, wait until the ledger has sequenced them, say how long it took, and die as by `kill -9`."""
    app = made(folder, runs=True)
    begun, left = time.perf_counter(), iter(range(count))

    async def one_after_another() -> None:
        for _ in left:
            state, _ = await one(app, needs_person=True)
            assert state == CaseState.WAITING

    async with app.running():
        async with asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(one_after_another())
        took_s = time.perf_counter() - begun
        parked = await app.store.count(CaseRow, Where("state", "=", CaseState.WAITING))
        reviews = await app.store.count(ReviewRow, Where("state", "=", ReviewState.OPEN))
        assert parked == reviews == {(): count}
        await sequenced(app)
        print(json.dumps({"fill_s": took_s}), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


async def one(app: App, *, needs_person: bool) -> tuple[str, str | None]:
    """Let one case in; return where its stretch ended and its outcome."""
    given = {"needs_person": needs_person, "note": NOTE}
    row, _ = await app.intake.accept(Submission("one-review", given, "bench"))
    ended = await app.runner.ending_of(row.id)
    return ended.state, ended.outcome


# -- restart -------------------------------------------------------------------------------------------------------------


async def restart(folder: Path, count: int, rulings: int) -> dict[str, float]:
    """Come up, settle a probe, read memory at rest, then time rulings."""
    app = made(folder, runs=True)
    async with app.running():
        ready_at_s = time.time()
        state, _ = await one(app, needs_person=False)
        settled_at_s = time.time()
        assert state == CaseState.SETTLED
        found = {"ready_at_s": ready_at_s, "settled_at_s": settled_at_s}
        cpu_s = time.process_time()
        await asyncio.sleep(REST_S)
        found["idle_cpu_ratio"] = (time.process_time() - cpu_s) / REST_S
        found["rss_mib"] = rss_mib()
        found["peak_mib"] = peak_mib()
        waiting = await app.desk.waiting("bench-desk", limit=2 * rulings)
        assert len(waiting) == min(2 * rulings, count), len(waiting)
        async with asyncio.timeout(STUCK_S):
            near = [await woken_here(app, review) for review in waiting[:rulings]]
            far = await woken_from_afar(app, folder, waiting[rulings:])
        for name, took_ms in (("wake", near), ("wake_other_process", far)):
            if took_ms:
                found[f"{name}_p50_ms"] = percentile(took_ms, 0.5)
                found[f"{name}_p99_ms"] = percentile(took_ms, 0.99)
        if rulings:
            found["wake_rss_mib"] = rss_mib()
            left = await app.store.count(CaseRow, Where("state", "=", CaseState.WAITING))
            assert left == {(): count - len(waiting)}, left
        assert app.broken is None, app.broken
    return found


async def woken_here(app: App, review: ReviewRow) -> float:
    """Rule in this process; return milliseconds from asking until the case is settled."""
    ending = app.runner.ending_of(review.case_id or "")
    begun = time.perf_counter()
    await app.desk.rule(review.id, VERDICT, by="bench")
    ended = await ending
    took_ms = 1000 * (time.perf_counter() - begun)
    assert ended.state == CaseState.SETTLED, ended
    assert json.loads(ended.outcome or "") == {"verdict": VERDICT}
    return took_ms


async def woken_from_afar(app: App, folder: Path, reviews: list[ReviewRow]) -> list[float]:
    """Let another process rule, one review at a time; return milliseconds from its asking until the case is settled."""
    if not reviews:
        return []
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.parked", "rule", str(folder)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    took_ms = []
    for review in reviews:
        ending = app.runner.ending_of(review.case_id or "")
        child.stdin.write(f"{review.id}\n".encode())
        ended, settled_at_s = await ending, time.time()
        began_at_s = float(await child.stdout.readline())
        assert ended.state == CaseState.SETTLED, ended
        took_ms.append(1000 * (settled_at_s - began_at_s))
    child.stdin.close()
    assert await child.wait() == 0
    return took_ms


async def rule(folder: Path) -> None:
    """Rule on the reviews named on stdin, one a line; print when each was begun."""
    app = made(folder, runs=False)
    async with app.opened():
        while line := await asyncio.to_thread(sys.stdin.readline):
            began_at_s = time.time()
            await app.desk.rule(line.strip(), VERDICT, by="bench elsewhere")
            print(began_at_s, flush=True)


def rss_mib() -> float:
    """Return the memory this process has in RAM now; where the system has no /proc, the most it ever had."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return peak_mib()
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_mib() -> float:
    """Return the most memory this process ever had in RAM."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def main() -> None:
    """Be one of the processes: fill FOLDER COUNT | restart FOLDER COUNT RULINGS | rule FOLDER."""
    part, folder, *numbers = sys.argv[1:]
    if part == "fill":
        asyncio.run(fill(Path(folder), int(numbers[0])))
    elif part == "restart":
        print(json.dumps(asyncio.run(restart(Path(folder), *map(int, numbers)))))
    else:
        asyncio.run(rule(Path(folder)))


if __name__ == "__main__":
    main()
