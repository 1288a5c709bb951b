"""How long a person takes over one claim, drawn from how long people took in a real back office.

`data/handling_seconds.csv` holds quantiles alone; `data/HANDLING_SOURCE.md` says of what. To derive it again from the log's
table of work items:

    python -m examples.claims.desk_times path/to/work_items.csv.gz > examples/claims/data/handling_seconds.csv
"""

from __future__ import annotations

import csv
import gzip
import sys
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HANDLING_FILE = Path(__file__).parent / "data" / "handling_seconds.csv"
ACTIVITIES = {
    "validate_application": "W_Valideren aanvraag",
    "assess_fraud": "W_Beoordelen fraude",
}
"""Kinds of desk work, and the log's own names for them."""
STEP_COUNT = 200
LEFT_OPEN_QUANTILE = 0.99
"""Above it lie items left open over nights rather than worked at; no draw goes there. Source: HANDLING_SOURCE.md."""


@dataclass(frozen=True, slots=True)
class DeskTimes:
    """Quantiles of the seconds one work item takes.

    Attributes:
        quantiles: Ascending, 0 to 1.
        seconds: At each quantile, ascending.
    """

    quantiles: tuple[float, ...]
    seconds: tuple[float, ...]

    def draw_s(self, uniform: float) -> float:
        """Return the seconds that a share `uniform` of work items stays under: the inverse of the distribution.

        Args:
            uniform: A number drawn evenly from [0, 1).
        """
        share = min(max(uniform, 0.0), LEFT_OPEN_QUANTILE)
        above = min(bisect_right(self.quantiles, share), len(self.quantiles) - 1)
        low, high = self.quantiles[above - 1], self.quantiles[above]
        part = (share - low) / (high - low)
        return self.seconds[above - 1] + part * (self.seconds[above] - self.seconds[above - 1])


def read_desk_times(work: str, path: Path = HANDLING_FILE) -> DeskTimes:
    """Return the times of one kind of desk work, a key of `ACTIVITIES`."""
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    seconds = tuple(float(row[f"{work}_seconds"]) for row in rows)
    return DeskTimes(tuple(float(row["quantile"]) for row in rows), seconds)


def derive(work_items: Path) -> list[list[str]]:
    """Return the rows of `handling_seconds.csv`, head first, from the log's table of completed work items."""
    with gzip.open(work_items, "rt", encoding="utf-8", newline="") as lines:
        items = [(row["activity"], float(row["handling_seconds"])) for row in csv.DictReader(lines)]
    samples = [
        sorted(s for name, s in items if name == activity) for activity in ACTIVITIES.values()
    ]
    table = [["quantile", *(f"{work}_seconds" for work in ACTIVITIES)]]
    for step in range(STEP_COUNT + 1):
        share = step / STEP_COUNT
        table.append([f"{share:.3f}", *(f"{quantile(sample, share):.3f}" for sample in samples)])
    return table


def quantile(ascending: Sequence[float], share: float) -> float:
    """Return the value that a share of a sample stays under, linear between neighbours (Hyndman and Fan 1996, type 7)."""
    place = share * (len(ascending) - 1)
    below = min(int(place), len(ascending) - 2)
    return ascending[below] + (place - below) * (ascending[below + 1] - ascending[below])


if __name__ == "__main__":
    csv.writer(sys.stdout, lineterminator="\n").writerows(derive(Path(sys.argv[1])))
