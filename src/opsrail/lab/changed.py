"""What a backtest writes: the decisions whose verdict changes, and scores that the next run need not ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from opsrail.lab.rescoring import Scores

OWN = ("id", "at_ms", "score", "verdict")


class Changes:
    """A Parquet file of the decisions that change; it is there when all of them are in it, and not before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None

    def add(self, part: pyarrow.Table, changed: Any, verdicts: Any, scores: Any) -> None:
        """Add those of a part: `id`, `at_ms`, `score`, `was`, the fields that were read, `now` and `score_now`."""
        names = [name for name in OWN if name in part.column_names]
        names += [name for name in part.column_names if name.startswith(("facts.", "views."))]
        called = ["was" if name == "verdict" else name for name in names]
        table = part.select(names).rename_columns(called)
        table = table.append_column("now", pyarrow.array(verdicts, pyarrow.string()))
        told = pyarrow.array(scores, pyarrow.float64(), from_pandas=True)
        table = table.append_column("score_now", told).filter(pyarrow.array(changed))
        if self._writer is None:
            self._writer = pyarrow.parquet.ParquetWriter(_beside(self._path), table.schema)
        self._writer.write_table(_as(table, self._writer.schema))

    def keep(self) -> None:
        """Put the file in its place."""
        if self._writer is not None:
            self._writer.close()
            _beside(self._path).replace(self._path)

    def drop(self) -> None:
        """Leave nothing."""
        if self._writer is not None:
            self._writer.close()
            _beside(self._path).unlink(missing_ok=True)


def _as(table: pyarrow.Table, schema: pyarrow.Schema) -> pyarrow.Table:
    """Return a table in the columns of the first part; a field that is of another kind here is left out."""
    columns = {}
    for field in schema:
        found = table.column(field.name) if field.name in table.column_names else None
        try:
            column = None if found is None else found.cast(field.type)
        except pyarrow.ArrowException:
            column = None
        columns[field.name] = (
            pyarrow.nulls(table.num_rows, field.type) if column is None else column
        )
    return pyarrow.table(columns, schema=schema)


def kept_scores(path: Path) -> Scores | None:
    """Return scores that an earlier run kept; None: there are none, or they are damaged."""
    try:
        table = pyarrow.parquet.read_table(path)
        return Scores(
            table.column("score").to_numpy(), np.array(table.column("is_unknown").to_numpy(), bool)
        )
    except (OSError, pyarrow.ArrowException, KeyError):
        return None


def keep_scores(path: Path, scores: Scores) -> None:
    """Keep scores, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table({"score": scores.values, "is_unknown": scores.is_unknown})
    beside = _beside(path)
    pyarrow.parquet.write_table(table, beside)
    beside.replace(path)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".part")
