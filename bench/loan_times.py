"""When loan applications arrived at a Dutch bank, and how long people worked on each: the log itself, or figures from it.

The log's licence is unclear about passing it on, so figures alone are shipped (`data/loans_bpic2012/SOURCE.md`). Whoever has
the log gives its folder; to derive the figures again:

    python -m bench.loan_times FOLDER
"""

from __future__ import annotations

import csv
import gzip
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

FIGURES = Path(__file__).parent / "data" / "loans_bpic2012"
QUEUES = ("applications", "offers", "fraud")
OFFERS = frozenset(
    {"W_Nabellen offertes", "W_Nabellen incomplete dossiers", "W_Valideren aanvraag"}
)
HOURS = 7 * 24
WEEKS = 22
LEFT_OPEN_S = 3_600.0
"""A work item that was open for longer was left open rather than worked at: so much of it counts. Ours."""
STEPS = 200


class Loan(NamedTuple):
    """One application.

    Attributes:
        at_s: When it arrived, seconds since Monday 00:00 UTC of the log's first week.
        queue: Who has to look at it; None: nobody did.
        work_s: How long they worked on it, all in all.
    """

    at_s: float
    queue: str | None
    work_s: float


def read_log(folder: Path) -> list[Loan]:
    """Return the applications of the log, first to last.

    Args:
        folder: Holds `cases.csv.gz` and `work_items.csv.gz`.
    """
    work: dict[str, float] = defaultdict(float)
    kinds: dict[str, set[str]] = defaultdict(set)
    for item in _rows(folder / "work_items.csv.gz"):
        work[item["case_id"]] += min(float(item["handling_seconds"]), LEFT_OPEN_S)
        kinds[item["case_id"]].add(item["activity"])
    cases = list(_rows(folder / "cases.csv.gz"))
    first = datetime.fromisoformat(min(case["reg_date"] for case in cases))
    monday = first.timestamp() - first.weekday() * 86_400 - first.timestamp() % 86_400
    loans = []
    for case in cases:
        at_s = datetime.fromisoformat(case["reg_date"]).timestamp() - monday
        done = kinds[case["case_id"]]
        queue = (
            "fraud" if case["fraud_check"] == "1" else "offers" if done & OFFERS else "applications"
        )
        loans.append(Loan(at_s, queue if done else None, work[case["case_id"]]))
    return sorted(loans)


def drawn(count: int, seed: int = 1) -> list[Loan]:
    """Return applications drawn from the shipped figures: arrivals by the hour of the week, work by its quantiles."""
    chance = random.Random(seed)
    rates = [int(row["arrivals"]) for row in _rows(FIGURES / "arrivals_by_hour.csv")]
    table = list(_rows(FIGURES / "work_seconds.csv"))
    quantiles = {name: [float(row[name]) for row in table] for name in QUEUES}
    shares = {row["queue"]: float(row["share"]) for row in _rows(FIGURES / "queues.csv")}
    names = list(shares)
    loans = []
    for hour in chance.choices(range(HOURS), rates, k=count):
        at_s = chance.randrange(WEEKS) * 7 * 86_400 + (hour + chance.random()) * 3_600
        name = chance.choices(names, list(shares.values()))[0]
        queue = None if name == "nobody" else name
        loans.append(Loan(at_s, queue, _draw(quantiles[name], chance.random()) if queue else 0.0))
    return sorted(loans)


def _draw(quantiles: Sequence[float], share: float) -> float:
    place = share * STEPS
    low = min(int(place), STEPS - 1)
    return quantiles[low] + (place - low) * (quantiles[low + 1] - quantiles[low])


def _rows(path: Path) -> list[dict[str, str]]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def derive(folder: Path, out: Path = FIGURES) -> None:
    """Write the figures of a log: no event, case, person or moment of it is in them."""
    loans = read_log(folder)
    hours = Counter(int(loan.at_s // 3_600) % HOURS for loan in loans)
    _write(
        out / "arrivals_by_hour.csv",
        ["hour_of_week", "arrivals"],
        [[h, hours[h]] for h in range(HOURS)],
    )
    counts = Counter(loan.queue or "nobody" for loan in loans)
    shares = [[name, round(counts[name] / len(loans), 4)] for name in ("nobody", *QUEUES)]
    _write(out / "queues.csv", ["queue", "share"], shares)
    ordered = {name: sorted(loan.work_s for loan in loans if loan.queue == name) for name in QUEUES}
    table = []
    for step in range(STEPS + 1):
        row: list[float] = [step / STEPS]
        for name in QUEUES:
            place = step / STEPS * (len(ordered[name]) - 1)
            low = min(int(place), len(ordered[name]) - 2)
            below, above = ordered[name][low], ordered[name][low + 1]
            row.append(round(below + (place - low) * (above - below), 1))
        table.append(row)
    _write(out / "work_seconds.csv", ["quantile", *QUEUES], table)


def _write(path: Path, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)


def is_open(at_s: float, hours: Sequence[tuple[int, int]]) -> bool:
    """Return whether people are at work.

    Args:
        at_s: As `Loan.at_s`.
        hours: For each day of the week, Monday first, from and to which hour.
    """
    first, last = hours[int(at_s // 86_400) % 7]
    return first <= at_s % 86_400 / 3_600 < last


if __name__ == "__main__":
    derive(Path(sys.argv[1]))
