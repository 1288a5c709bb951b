"""A file of scores and labels: CSV with the columns `score`, `label` and, where people saw a sample, `ratio`.

`score` is from 0 to 1. `label` is 1 or 0, `true` or `false`, `yes` or `no`; empty: not known. `ratio` is the chance with
which such a decision was looked at; empty: none. Other columns are left alone.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from opsrail.errors import Fault, InvalidInput

WORDS = {"1": 1.0, "true": 1.0, "yes": 1.0, "0": 0.0, "false": 0.0, "no": 0.0, "": float("nan")}
MOST_FAULTS = 50


@dataclass
class ScoreColumns:
    """The columns of a file, in its order. NaN is what is not known."""

    scores: list[float] = field(default_factory=list)
    labels: list[float] = field(default_factory=list)
    ratios: list[float] | None = None


def read_scores(path: Path) -> ScoreColumns:
    """Return the columns of a file, `.csv` or `.csv.gz`.

    Raises:
        InvalidInput: the file has no such columns, no rows, or cells that are wrong; all at once with their line (50 at
            most). Terminal: nothing was read.
    """
    faults: list[Fault] = []
    found = ScoreColumns()
    try:
        for line, row in _rows(path):
            if found.ratios is None and "ratio" in row:
                found.ratios = []
            _take(found, line, row, faults)
    except (OSError, UnicodeDecodeError, csv.Error, EOFError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from error
    if faults:
        more = len(faults) - MOST_FAULTS
        told = [*faults[:MOST_FAULTS], *([Fault("", f"{more} more faults")] if more > 0 else [])]
        raise InvalidInput(f"{path} cannot be used", told)
    if not found.scores:
        raise InvalidInput(f"{path} has no rows under its column names")
    return found


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, restval="")
        missing = [name for name in ("score", "label") if name not in (reader.fieldnames or ())]
        if missing:
            raise InvalidInput(
                f"{path} has no column {' and no column '.join(missing)}; its first line names the columns"
            )
        for row in reader:
            yield reader.line_num, row


def _take(found: ScoreColumns, line: int, row: Mapping[str, str], faults: list[Fault]) -> None:
    label = WORDS.get(row["label"].strip().lower())
    score = _number(row["score"], 0.0, 1.0)
    if score is None or score != score:
        faults.append(Fault(f"line {line} score", f"{row['score']!r} is no number from 0 to 1"))
    if label is None:
        faults.append(Fault(f"line {line} label", f"{row['label']!r} is neither 1 nor 0 nor empty"))
    found.scores.append(score or 0.0)
    found.labels.append(label or 0.0)
    if found.ratios is not None:
        ratio = _number(row["ratio"], 0.0, 1.0)
        if ratio is None or ratio == 0:
            faults.append(
                Fault(
                    f"line {line} ratio", f"{row['ratio']!r} is not above 0 and up to 1, nor empty"
                )
            )
        found.ratios.append(ratio or 0.0)


def _number(text: str, least: float, most: float) -> float | None:
    """Return a number in bounds, NaN for an empty cell, None for what is neither."""
    if not text.strip():
        return float("nan")
    try:
        number = float(text)
    except ValueError:
        return None
    return number if least <= number <= most else None
