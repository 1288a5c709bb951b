"""Rows to try a model on: a CSV file or JSON Lines, read whole, for `opsrail models import`."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import orjson

from opsrail.errors import Fault, InvalidInput
from opsrail.values.columns import Category, Column

LARGEST_SAMPLE_BYTES = 50_000_000
MOST_ROWS = 100_000
"""Ours: enough to see every kind of value; training's own file need not come whole."""
TRUTHS = {"true": True, "false": False}
"""Cells that say it, in small letters; pandas writes them with a capital."""
NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


class Sample(NamedTuple):
    """Rows by name.

    Attributes:
        names: In the file's order.
        is_text: Whether values are the cells of a CSV file, in which a number is text.
    """

    names: tuple[str, ...]
    rows: Sequence[dict[str, object]]
    is_text: bool

    def is_number(self, name: str) -> bool:
        """Whether a feature holds numbers or truths and nothing else, and at least one."""
        values = [value for row in self.rows if not _is_nothing(value := row.get(name))]
        if self.is_text:
            return bool(values) and not any(
                isinstance(_cell(value, False), str) for value in values
            )
        return bool(values) and all(isinstance(value, int | float) for value in values)

    def missing(self, name: str) -> int:
        """Return in how many rows a feature has no value."""
        return sum(_is_nothing(row.get(name)) for row in self.rows)

    def values_of(self, column: Column) -> list[object]:
        """Return one feature of all rows, as a caller sends it."""
        values = [row.get(column.name) for row in self.rows]
        is_word = isinstance(column, Category)
        return [_cell(value, is_word) for value in values] if self.is_text else values

    def read_by(self, columns: Sequence[Column]) -> list[dict[str, object]]:
        """Return the rows as a caller sends them: cells of a CSV file become what their column takes."""
        if not self.is_text:
            return [dict(row) for row in self.rows]
        kinds = {column.name: isinstance(column, Category) for column in columns}
        return [
            {name: _cell(value, kinds.get(name, True)) for name, value in row.items()}
            for row in self.rows
        ]


def read_sample(path: Path) -> Sample:
    """Return the rows of a `.csv` or `.jsonl` file.

    Raises:
        InvalidInput: it is no such file, too large, or has faulty rows: all at once. Terminal.
    """
    if path.stat().st_size > LARGEST_SAMPLE_BYTES:
        raise InvalidInput(
            f"{path} is larger than {LARGEST_SAMPLE_BYTES} bytes; a part of the rows will do"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8: {error.reason}") from error
    sample, found = _csv(text) if path.suffix == ".csv" else _json_lines(text)
    if not sample.rows and not found:
        found.append(Fault("", "holds no rows"))
    if len(sample.rows) > MOST_ROWS:
        found.append(Fault("", f"holds more than {MOST_ROWS} rows; a part of them will do"))
    if found:
        raise InvalidInput(f"the sample {path} cannot be used", found)
    return sample


def _csv(text: str) -> tuple[Sample, list[Fault]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    found: list[Fault] = []
    rows: list[dict[str, object]] = []
    header: tuple[str, ...] = ()
    try:
        for cells in filter(None, reader):
            if not header:
                header = tuple(cell.strip() for cell in cells)
                if "" in header or len(set(header)) != len(header):
                    found.append(Fault("line 1", "names a column twice, or one has no name"))
            elif len(cells) == len(header):
                rows.append(dict(zip(header, cells, strict=True)))
            else:
                place = f"line {reader.line_num}"
                found.append(Fault(place, f"has {len(cells)} cells, not {len(header)}"))
    except csv.Error as error:
        found.append(Fault(f"line {reader.line_num}", str(error)))
    return Sample(header, rows, True), found


def _json_lines(text: str) -> tuple[Sample, list[Fault]]:
    found: list[Fault] = []
    rows: list[dict[str, object]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except ValueError as error:
            found.append(Fault(f"line {number}", f"is no JSON: {error}"))
            continue
        if isinstance(row, dict):
            rows.append(row)
        else:
            found.append(Fault(f"line {number}", "is no JSON object"))
    names = dict.fromkeys(name for row in rows for name in row)
    return Sample(tuple(names), rows, False), found


def _is_nothing(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _cell(value: object, is_word: bool) -> object:
    if value == "":
        return None
    if is_word:
        return value
    text = str(value)
    return float(text) if NUMBER.fullmatch(text) else TRUTHS.get(text.lower(), value)
