"""How long `opsrail --help` takes: what every command pays before it does anything."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.figures import Report, machine, rounded

TARGETS = {"opsrail_help_ms": "<= 250"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--times", type=int, default=15)


def run(asked: argparse.Namespace) -> Report:
    """Time the installed command; the first run, which may compile or read from disk, does not count."""
    taken_on = machine()
    command = [str(Path(sys.executable).with_name("opsrail")), "--help"]
    bare = [sys.executable, "-c", ""]
    _ms(command)
    took_ms, bare_ms = [], []
    for _ in range(asked.times):
        took_ms.append(_ms(command))
        bare_ms.append(_ms(bare))
    figures = {
        "opsrail_help_ms": rounded(statistics.median(took_ms)),
        "opsrail_help_min_ms": rounded(min(took_ms)),
        "opsrail_help_max_ms": rounded(max(took_ms)),
        "bare_python_ms": rounded(statistics.median(bare_ms)),
    }
    return Report("help", figures, targets=TARGETS, machine=taken_on)


def _ms(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return 1000 * (time.perf_counter() - begun)
