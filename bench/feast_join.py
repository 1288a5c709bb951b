"""The point-in-time join of `bench training_set` beside Feast's file offline store, on the same files, in turn.

Feast runs in an environment of its own (`make .venv-feast/.installed`). It asks less: values count from their event time,
also before anyone knew them, and rows for which any view has no value are left out of its result. How often either happens
in this data is counted, so that the two times can be read for what they are.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from pyarrow import parquet

from bench import training_set
from bench.figures import Report, machine, rounded, say
from bench.rounds import ROOT, started

ENVIRONMENT = ".venv-feast"
OUTPUT = "feast_set.parquet"
ROUNDS = 3
TARGETS = {"ratio_feast": ">= 1"}


def is_installed() -> bool:
    """Return whether Feast's environment is there."""
    return (ROOT / ENVIRONMENT / "bin" / "python").exists()


def feast_joined(folder: Path) -> dict[str, Any]:
    """Have Feast join the files of a folder in a process of its own.

    Returns:
        `version`, `training_set_s` (reading, joining, writing; neither its start nor the project's set-up), `peak_mib`,
        `rows_asked`, `rows_given`.
    """
    program = [str(ROOT / ENVIRONMENT / "bin" / "python"), str(ROOT / "bench/peers/feast_join.py")]
    return started(program, [folder, folder / OUTPUT])


def beside_feast(
    folder: Path, rounds: int = ROUNDS
) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """Join the files that `training_set.written` wrote, ours and Feast's in turn.

    Returns:
        Figures (`ratio_feast`: median over the rounds of Feast's time over ours of the same round), and the peer's own.
    """
    ours, theirs = [], []
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}: ours")
        ours.append(training_set.figures(folder))
        say(f"round {number + 1} of {rounds}: Feast's")
        theirs.append(feast_joined(folder))
    pairs = zip(ours, theirs, strict=True)
    ratios = [its["training_set_s"] / one["training_set_s"] for one, its in pairs]
    figures = {
        **{name: statistics.median(one[name] for one in ours) for name in ours[0]},
        "ratio_feast": rounded(statistics.median(ratios)),
        "ratio_feast_min": rounded(min(ratios)),
        "ratio_feast_max": rounded(max(ratios)),
    }
    last = theirs[-1]
    peer = {
        "version": last["version"],
        "settings": "file offline store (dask), two views of five features, ttl 90 days, Parquet to Parquet, one process",
        "training_set_s": statistics.median(one["training_set_s"] for one in theirs),
        "peak_mib": statistics.median(one["peak_mib"] for one in theirs),
        "dropped_rows_ratio": rounded(1 - last["rows_given"] / last["rows_asked"]),
        "unknown_yet_ratio": rounded(unlike(folder)["unlike_ratio"]),
    }
    return figures, {"feast": peer}


def unlike(folder: Path) -> Mapping[str, float]:
    """Return in how much of what Feast gave last its values are not ours.

    Where no value is written later than its event time they are the same. Else Feast's are values that nobody knew yet at
    the row's moment.

    Returns:
        `rows_count` compared, and `unlike_ratio` of their values, one feature a view.
    """
    given = parquet.read_table(folder / OUTPUT)
    ours = training_set.joined(folder).take(given.column("row"))
    differ = 0
    names = [features[0] for features in training_set.VIEWS.values()]
    for name in names:
        mine = pc.fill_null(ours.column(name), np.nan).to_numpy()
        other = pc.fill_null(given.column(name), np.nan).to_numpy()
        differ += int(((mine != other) & ~(np.isnan(mine) & np.isnan(other))).sum())
    count = max(1, given.num_rows * len(names))
    return {"rows_count": float(given.num_rows), "unlike_ratio": differ / count}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, default=training_set.ROWS)
    parser.add_argument("--values", type=int, default=training_set.VALUES, help="of each view")
    parser.add_argument("--entities", type=int, default=training_set.ENTITIES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)


def run(asked: argparse.Namespace) -> Report:
    """Draw the data, join it on both sides."""
    if not is_installed():
        raise SystemExit("Feast is not installed: make .venv-feast/.installed")
    taken_on = machine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        say(f"drawing {asked.rows:,} rows and {2 * asked.values:,} values")
        drawn = training_set.drawn(asked.rows, asked.values, asked.entities)
        training_set.written(drawn, folder)
        figures, peers = beside_feast(folder, asked.rounds)
    return Report("feast_join", figures, peers=peers, targets=TARGETS, machine=taken_on)
