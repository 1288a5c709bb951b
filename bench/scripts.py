"""Benches that are programs of their own, `store.py` and `receipts.py`: run, and what they print made figures."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping

from bench.figures import Report, machine, say
from bench.rounds import ROOT

STORE_LINE = re.compile(
    r"(?P<store>\w+) +(?P<in_flight>\d+) in flight +(?P<cases_per_s>\d+) cases/s +(?P<commits_per_s>\d+) commits/s"
    r" +(?P<rows_per_s>\d+) rows/s +CPU us a case: loop +(?P<loop_cpu_per_case_us>\d+), process +"
    r"(?P<cpu_per_case_us>\d+) +lone case ms: p50 (?P<lone_case_p50_ms>[\d.]+) p99 (?P<lone_case_p99_ms>[\d.]+)"
)


def store(asked: argparse.Namespace) -> Report:
    """Run `bench/store.py` with the rest of the command line (default: SQLite)."""
    return _report("store", asked.rest or ["sqlite"], _store_figures)


def receipts(asked: argparse.Namespace) -> Report:
    """Run `bench/receipts.py` with the rest of the command line."""
    return _report("receipts", asked.rest, _receipt_figures)


def _store_figures(line: str) -> Mapping[str, float]:
    found = STORE_LINE.match(line)
    if found is None:
        raise SystemExit(f"bench/store.py printed a line that is not understood here: {line}")
    store, in_flight, *figures = found.groups()
    names = list(STORE_LINE.groupindex)[2:]
    return {
        f"{store}_{in_flight}_{name}": float(value)
        for name, value in zip(names, figures, strict=True)
    }


def _receipt_figures(line: str) -> Mapping[str, float]:
    row = json.loads(line)
    side = row.pop("search_side_px")
    return {f"side_{side}_{name}": value for name, value in row.items()}


def _report(name: str, args: list[str], figures_of: Callable[[str], Mapping[str, float]]) -> Report:
    taken_on = machine()
    module = f"bench.{name}"
    figures: dict[str, float] = {}
    with subprocess.Popen(
        [sys.executable, "-m", module, *args], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            say(line.rstrip())
            figures |= figures_of(line)
    if child.returncode != 0:
        raise SystemExit(f"{module} ended with status {child.returncode}; see above")
    return Report(name, figures, machine=taken_on)
