"""A million stored decisions judged again: by another policy, and by another model.

Each measurement is a process of its own over the same SQLite file; the clock runs from before the store is opened until
the whole report is there, imports not counted. `policy_1m_s` is the question with other bands, rules kept, of a store that
was never asked before: verdicts, moves, people's hours out of the rulings, errors out of the labels; it reads columns of
rows and no record. `copy_1m_s` tells apart by two fields of the request, which stand in the records, and makes the copy;
`segments_1m_s` is the same from the copy. `model_1m_s` has an ONNX model of 80 trees score every request of a store that was
never asked before, features read from the records; `model_warm_1m_s` the same from the copy, and `model_again_1m_s` with the
scores that were kept. `..._cpu_s` is the processor's time of the same process: what the clock comes near to on a machine
that has nothing else to do. The training set's join (`bench training_set`, beside Feast's where that is installed) runs
along.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.figures import Report, machine, rounded, say
from bench.rounds import ours

MILLION = 1_000_000
TARGETS = {
    "policy_1m_s": "<= 5",
    "model_1m_s": "<= 60",
    "peak_mib": "<= 1024",
    "training_set_s": "<= 20",
    "ratio_feast": ">= 1",
}
BANDS = "approve=0.03,review=1.01"
SEGMENTS = ("BasePolicy", "AccidentArea")
ASKED = (
    ("policy_1m_s", "policy", "cold"),
    ("model_1m_s", "model", "cold"),
    ("copy_1m_s", "segments", "cold"),
    ("segments_1m_s", "segments", "kept"),
    ("policy_warm_1m_s", "policy", "kept"),
    ("model_warm_1m_s", "model", "kept"),
    ("model_again_1m_s", "model", "kept"),
)
"""Figure, question, and whether what earlier ones left is there."""
NEEDED_BYTES = 9_000_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--decisions", type=int, default=MILLION, help="stored decisions")
    parser.add_argument(
        "--no-joins", dest="joins", action="store_false", help="leave the training set's join out"
    )
    parser.add_argument(
        "--folder", type=Path, help="where the database is made, and left for the next time"
    )


def run(asked: argparse.Namespace) -> Report:
    """Make the history, ask, and put the figures together; each as seconds for a million."""
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="opsrail-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    taken_on = machine(folder)
    try:
        path = folder / f"{asked.decisions}.db"
        if not path.exists():
            if shutil.disk_usage(folder).free < NEEDED_BYTES * asked.decisions / MILLION:
                raise SystemExit(f"{folder} has too little room; name another place with --folder")
            made = path.with_suffix(".part")
            made.unlink(missing_ok=True)
            ours("bench.backtest", "make", made, asked.decisions)
            made.replace(path)
        figures, peak_mib = _figures(path, asked.decisions)
    finally:
        if asked.folder is None:
            shutil.rmtree(folder)
    joined = _joined(min(asked.decisions, MILLION)) if asked.joins else Report("", {})
    found = {**figures, "peak_mib": peak_mib, **joined.figures}
    return Report("backtest", found, joined.peers, TARGETS, taken_on)


def _joined(rows: int) -> Report:
    """Return the figures of the point-in-time join, beside Feast's where it is installed; a trial joins as few rows."""
    from bench import feast_join, training_set  # the measured processes load this module, too

    parser = argparse.ArgumentParser()
    few = ["--rows", str(rows), "--values", str(rows), "--entities", str(max(1, rows // 10))]
    chosen = few if rows < MILLION else []
    if feast_join.is_installed():
        feast_join.add_arguments(parser)
        return feast_join.run(parser.parse_args(chosen))
    say("Feast is not installed (make .venv-feast/.installed): ours alone")
    training_set.add_arguments(parser)
    return training_set.run(parser.parse_args(chosen))


def _figures(path: Path, decisions: int) -> tuple[dict[str, float], float]:
    figures: dict[str, float] = {}
    peak_mib = 0.0
    copies = path.with_name("copies")
    for name, question, state in ASKED:
        if state == "cold":
            shutil.rmtree(copies, ignore_errors=True)
        told = ours("bench.backtest", question, path, copies)
        say(f"{name}: {told}")
        if told["decisions"] != decisions:
            raise SystemExit(f"{told['decisions']:,} of {decisions:,} decisions were judged")
        figures[name] = rounded(told["took_s"] * MILLION / decisions)
        figures[name.removesuffix("_s") + "_cpu_s"] = rounded(told["cpu_s"] * MILLION / decisions)
        peak_mib = max(peak_mib, told["peak_mib"])
    shutil.rmtree(copies, ignore_errors=True)
    return figures, rounded(peak_mib)


async def ask(question: str, path: Path, copies: Path) -> dict[str, Any]:
    """Answer one question, in this process."""
    import onnxruntime  # noqa: F401 - so that the import is not in the figure
    import pyarrow
    import scipy.stats  # noqa: F401

    from opsrail.app.columns_apart import ColumnsApart
    from opsrail.clock import SystemClock
    from opsrail.connect.catalog import runtimes
    from opsrail.lab.backtester import Backtester, Question
    from opsrail.lab.whatif import bands_policy, wrong_of
    from opsrail.registry.registry import Registry
    from opsrail.store.sqlite import SqliteStore

    pyarrow.array([None])  # it looks for pandas then, which imports it where it is installed
    begun_s, cpu_s = time.perf_counter(), time.process_time()
    clock = SystemClock()
    store = SqliteStore(path, clock=clock)
    await store.open()
    registry = Registry(store, runtimes(), clock)
    model = await registry.version("claims-fraud", 2) if question == "model" else None
    asked = Question(
        "fraud-risk", bands_policy(BANDS), 0, clock.now_ms(), model=model,
        segments=SEGMENTS if question == "segments" else (), wrongs=(wrong_of("approve|fraud=2500"),),
    )  # fmt: skip
    apart = ColumnsApart("", path)
    found = await Backtester(store, registry, asked, copies, apart=apart).run()
    took_s = time.perf_counter() - begun_s
    apart.close()
    await store.close()
    (errors,) = found.errors_now
    return {
        "took_s": took_s,
        "cpu_s": time.process_time() - cpu_s,
        "peak_mib": sum(map(_peak_mib, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))),
        "decisions": found.decisions,
        "changed": found.changed,
        "hours": found.people.now_hours,
        "wrong": [errors.known, errors.rate],
        "segments": len(found.segments) - 1,
        "scores": found.scores,
    }


def _peak_mib(whose: int) -> float:
    return resource.getrusage(whose).ru_maxrss / 1024


def main(question: str, path: Path, last: str) -> None:
    """Do one thing in a process of its own."""
    if question == "make":
        from bench.history_rows import make

        make(path, int(last))
        print(json.dumps({}))
    else:
        print(json.dumps(asyncio.run(ask(question, path, Path(last)))))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
