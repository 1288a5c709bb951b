"""When requests come: by chance, in bursts, by the time of day, or as they once came. Frozen values; chance is an argument.

Each yields moments in seconds from the begin, ascending, without end (a recording begins anew when it is over).
"""

from __future__ import annotations

import bisect
import csv
import gzip
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Annotated, Literal, TextIO

from pydantic import Field

from opsrail.clock import Chance
from opsrail.errors import Fault, InvalidInput
from opsrail.lab.parts import InFolder, Part

Rate = Annotated[float, Field(gt=0, le=1e8)]
MOST_FAULTS = 20
JITTER_S = 0.5
"""How far copies of one recorded request may lie from it; half a second: bursts stay where they were, to the second."""


class Poisson(Part):
    """Many callers who know nothing of each other.

    Attributes:
        rate_per_s: Mean, requests a second.
    """

    kind: Literal["poisson"] = "poisson"
    rate_per_s: Rate

    @property
    def mean_per_s(self) -> float:
        """Return the mean rate."""
        return self.rate_per_s

    def moments(self, chance: Chance) -> Iterator[float]:
        """Yield when requests come."""
        now_s, rate_per_s, gap_s = 0.0, self.rate_per_s, chance.expovariate
        while True:
            now_s += gap_s(rate_per_s)
            yield now_s


class Bursts(Part):
    """Two rates that take turns; each by chance within its time.

    Attributes:
        quiet_per_s: Rate between bursts; 0: none.
        quiet_s: How long it holds; with `is_regular` off, on average (exponential).
    """

    kind: Literal["bursts"] = "bursts"
    quiet_per_s: float = Field(ge=0, le=1e8)
    burst_per_s: Rate
    quiet_s: float = Field(gt=0, le=1e6)
    burst_s: float = Field(gt=0, le=1e6)
    is_regular: bool = True

    @property
    def mean_per_s(self) -> float:
        """Return the mean rate over a period."""
        asked = self.quiet_per_s * self.quiet_s + self.burst_per_s * self.burst_s
        return asked / (self.quiet_s + self.burst_s)

    def moments(self, chance: Chance) -> Iterator[float]:
        """Yield when requests come; it begins quiet."""
        begin_s = 0.0
        turns = ((self.quiet_per_s, self.quiet_s), (self.burst_per_s, self.burst_s))
        for number in count():
            rate_per_s, mean_s = turns[number % 2]
            end_s = begin_s + (mean_s if self.is_regular else chance.expovariate(1 / mean_s))
            now_s = begin_s
            while rate_per_s > 0 and (now_s := now_s + chance.expovariate(rate_per_s)) < end_s:
                yield now_s
            begin_s = end_s


class Daily(Part):
    """A rate that swings with the time of day as a cosine.

    Attributes:
        swing_ratio: How far it goes above and below its mean, 0..1; at 1 it falls to nothing.
        peak_at_s: Time of day at which it is highest.
        day_s: Length of the day; shorten it to see several in one run.
    """

    kind: Literal["daily"] = "daily"
    rate_per_s: Rate
    swing_ratio: float = Field(0.8, ge=0, le=1)
    peak_at_s: float = Field(50_400.0, ge=0)
    day_s: float = Field(86_400.0, gt=0)

    @property
    def mean_per_s(self) -> float:
        """Return the mean rate of a day."""
        return self.rate_per_s

    def moments(self, chance: Chance) -> Iterator[float]:
        """Yield when requests come.

        Source:
            Thinning: Lewis and Shedler, Simulation of nonhomogeneous Poisson processes (1979).
        """
        highest_per_s = self.rate_per_s * (1 + self.swing_ratio)
        turn, now_s = 2 * math.pi / self.day_s, 0.0
        while True:
            now_s += chance.expovariate(highest_per_s)
            swing = 1 + self.swing_ratio * math.cos(turn * (now_s - self.peak_at_s))
            if chance.random() * (1 + self.swing_ratio) < swing:
                yield now_s


class Replay(Part):
    """Requests as they once came, from a CSV file (`.csv` or `.csv.gz`) with a column of moments.

    Attributes:
        file: A relative path starts at the scenario's folder.
        column: Its name; values are ISO 8601 moments or seconds.
        rate_per_s: Mean rate wanted; None: as recorded.
        scaled_by: `time`: the recording runs faster or slower, its bursts with it. `copies`: it keeps its time, and of each
            request come as many as are wanted, within half a second.
        begin_s: Where in the recording to begin, in its own time.
    """

    kind: Literal["replay"] = "replay"
    file: InFolder
    column: str = "TIMESTAMP"
    rate_per_s: Rate | None = None
    scaled_by: Literal["time", "copies"] = "time"
    begin_s: float = Field(0.0, ge=0)

    @property
    def mean_per_s(self) -> float:
        """Return the mean rate. Raises InvalidInput: see `recorded`."""
        recorded_s = recorded(self.file, self.column)
        return self.rate_per_s or len(recorded_s) / _length_s(recorded_s)

    def moments(self, chance: Chance) -> Iterator[float]:
        """Yield when requests come. Raises InvalidInput: see `recorded`."""
        recorded_s = recorded(self.file, self.column)
        length_s = _length_s(recorded_s)
        factor = self.mean_per_s / (len(recorded_s) / length_s)
        first = bisect.bisect_left(recorded_s, self.begin_s % length_s)
        begin_s = self.begin_s % length_s
        whole = [at_s - begin_s for at_s in recorded_s[first:]]
        whole += [at_s - begin_s + length_s for at_s in recorded_s[:first]]
        for turn in count():
            if self.scaled_by == "time":
                yield from ((at_s + turn * length_s) / factor for at_s in whole)
            else:
                yield from (
                    at_s + turn * length_s for at_s in _copies(whole, length_s, factor, chance)
                )


Arrivals = Annotated[Poisson | Bursts | Daily | Replay, Field(discriminator="kind")]


def _copies(moments_s: list[float], length_s: float, factor: float, chance: Chance) -> list[float]:
    """Return each moment `factor` times on average, in order and within the recording."""
    found = []
    for at_s in moments_s:
        times = int(factor) + (chance.random() < factor % 1)
        for _ in range(times):
            moved_s = at_s + JITTER_S * (2 * chance.random() - 1) if factor > 1 else at_s
            found.append(min(max(moved_s, 0.0), length_s))
    return sorted(found)


def _length_s(recorded_s: tuple[float, ...]) -> float:
    """Return how long a recording lasts: its last pause is taken for a usual one."""
    return recorded_s[-1] * len(recorded_s) / (len(recorded_s) - 1)


@lru_cache(maxsize=16)
def recorded(file: Path, column: str) -> tuple[float, ...]:
    """Return the moments of a recording, seconds from its first, ascending.

    Raises:
        InvalidInput: the file is not there, has no such column, or holds what is no moment; each with its line. Terminal.
    """
    what = f"the recording {file} cannot be used"
    try:
        with _opened(file) as lines:
            rows = csv.DictReader(lines)
            if column not in (rows.fieldnames or ()):
                named = ", ".join(rows.fieldnames or ()) or "none"
                raise InvalidInput(
                    what, [Fault("line 1", f"no column {column!r}; there are: {named}")]
                )
            found, faults = _moments(rows, column)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as wrong:
        raise InvalidInput(
            what, [Fault("", getattr(wrong, "strerror", None) or str(wrong))]
        ) from wrong
    if not faults and len(set(found)) < 2:
        faults = [Fault("", "two different moments are needed at least")]
    if faults:
        raise InvalidInput(what, faults[:MOST_FAULTS])
    found.sort()
    return tuple(at_s - found[0] for at_s in found)


def _opened(file: Path) -> TextIO:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8", newline="")
    return file.open(encoding="utf-8", newline="")


def _moments(rows: csv.DictReader[str], column: str) -> tuple[list[float], list[Fault]]:
    """Return the moments of a column, seconds of any origin, and what in it is none."""
    found, faults = [], []
    for row in rows:
        text = (row[column] or "").strip()
        try:
            found.append(_seconds(text))
        except ValueError:
            faults.append(
                Fault(
                    f"line {rows.line_num}", f"{text[:40]!r} is no moment and no number of seconds"
                )
            )
    return found, faults


def _seconds(text: str) -> float:
    """Return a moment or a number as seconds. Raises ValueError: it is neither."""
    try:
        number = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(number):
        raise ValueError(text)
    return number
