"""How long a model takes for a batch on one class of device: by a line with noise, or as it was once measured."""

from __future__ import annotations

import bisect
import csv
import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from opsrail.clock import Chance
from opsrail.errors import Fault, InvalidInput
from opsrail.lab.arrivals import MOST_FAULTS
from opsrail.lab.parts import InFolder, Part

Samples = tuple[tuple[int, tuple[float, ...]], ...]
"""Batch size, ascending, and the seconds that batches of that size took."""
COLUMNS = ("batch_size", "seconds")


class Line(Part):
    """`fixed_ms + row_ms * rows`, times noise.

    Attributes:
        fixed_ms: What a batch costs however small it is.
        row_ms: What each row adds.
        noise_ratio: Standard deviation of the noise, as a part of the time; lognormal with mean 1, so that the mean holds.
        outlier_ratio: Share of batches that take `outlier_factor` times as long.
    """

    kind: Literal["line"] = "line"
    fixed_ms: float = Field(ge=0, le=1e7)
    row_ms: float = Field(ge=0, le=1e7)
    noise_ratio: float = Field(0.1, ge=0, le=5)
    outlier_ratio: float = Field(0.0, ge=0, le=1)
    outlier_factor: float = Field(10.0, ge=1, le=10_000)

    def mean_s(self, rows: int) -> float:
        """Return what so many rows take on average."""
        typical_s = (self.fixed_ms + self.row_ms * rows) / 1000
        return typical_s * (1 + self.outlier_ratio * (self.outlier_factor - 1))

    def draw_s(self, rows: int, chance: Chance) -> float:
        """Return what so many rows take this time."""
        took_s = (self.fixed_ms + self.row_ms * rows) / 1000
        if self.noise_ratio > 0:
            deviation = math.sqrt(math.log1p(self.noise_ratio**2))
            took_s *= chance.lognormvariate(-deviation * deviation / 2, deviation)
        if self.outlier_ratio > 0 and chance.random() < self.outlier_ratio:
            took_s *= self.outlier_factor
        return took_s


class Recorded(Part):
    """As it was measured: one of the times of that batch size, by chance; between two sizes, in proportion.

    Attributes:
        file: CSV with the columns `batch_size` and `seconds`; a relative path starts at the scenario's folder.
    """

    kind: Literal["recorded"] = "recorded"
    file: InFolder

    def mean_s(self, rows: int) -> float:
        """Return what so many rows took on average. Raises InvalidInput: see `measured`."""
        return _between(measured(self.file), rows, lambda took_s: sum(took_s) / len(took_s))

    def draw_s(self, rows: int, chance: Chance) -> float:
        """Return what so many rows take this time. Raises InvalidInput: see `measured`."""
        share = chance.random()
        return _between(measured(self.file), rows, lambda took_s: took_s[int(share * len(took_s))])


Service = Annotated[Line | Recorded, Field(discriminator="kind")]


def _between(samples: Samples, rows: int, figure: Callable[[tuple[float, ...]], float]) -> float:
    """Return a figure of the times for a batch size that need not have been measured."""
    place = bisect.bisect_left(samples, rows, key=lambda one: one[0])
    if place == len(samples):  # above all: each row adds its part
        size, took_s = samples[-1]
        return figure(took_s) * rows / size
    size, took_s = samples[place]
    if size == rows or place == 0:
        return figure(took_s)
    smaller, before_s = samples[place - 1]
    part = (rows - smaller) / (size - smaller)
    return (1 - part) * figure(before_s) + part * figure(took_s)


@lru_cache(maxsize=64)
def measured(file: Path) -> Samples:
    """Return what a file of measurements holds.

    Raises:
        InvalidInput: it is not there, lacks a column or holds what is no measurement; each with its line. Terminal.
    """
    what = f"the measurements {file} cannot be used"
    by_size: dict[int, list[float]] = defaultdict(list)
    faults: list[Fault] = []
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines)
            if set(COLUMNS) - set(rows.fieldnames or ()):
                raise InvalidInput(
                    what, [Fault("line 1", f"needs the columns {', '.join(COLUMNS)}")]
                )
            for row in rows:
                try:
                    size, took_s = _measurement(row)
                except ValueError as wrong:
                    faults.append(Fault(f"line {rows.line_num}", str(wrong)))
                else:
                    by_size[size].append(took_s)
    except (OSError, UnicodeDecodeError, csv.Error) as wrong:
        raise InvalidInput(
            what, [Fault("", getattr(wrong, "strerror", None) or str(wrong))]
        ) from wrong
    if not by_size and not faults:
        faults = [Fault("", "holds no measurement")]
    if faults:
        raise InvalidInput(what, faults[:MOST_FAULTS])
    return tuple((size, tuple(took_s)) for size, took_s in sorted(by_size.items()))


def _measurement(row: Mapping[str, str | None]) -> tuple[int, float]:
    size, took_s = (row[name] or "" for name in COLUMNS)
    if not size.strip().isdecimal() or int(size) < 1:
        raise ValueError(f"batch_size {size[:40]!r} is no whole number from 1")
    try:
        found_s = float(took_s)
    except ValueError:
        found_s = math.nan
    if not 0 <= found_s < math.inf:
        raise ValueError(f"seconds {took_s[:40]!r} is no number from 0")
    return int(size), found_s
