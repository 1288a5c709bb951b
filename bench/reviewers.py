"""20 people rule on 13,087 loan applications over HTTP, at the times and for as long as people at a bank did, time scaled.

Afterwards the rows tell whether anything was lost or ruled twice, whether what somebody held and left came back, and whether
the most urgent review was always next. `--log FOLDER`: the log itself, see data/loans_bpic2012; else drawn from its figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.figures import Report, machine, percentile, rounded, say
from bench.loan_desk import RACING, VANISHING, Desk
from bench.loan_times import Loan, drawn, read_log
from opsrail.app import DATABASE
from opsrail.clock import SystemClock
from opsrail.review.assignment import rank
from opsrail.store.sqlite import SqliteStore
from opsrail.values.cases import CaseRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.reviews import ReviewEventRow, ReviewRow, RulingRow
from opsrail.values.rows import equals

ROOT = Path(__file__).parents[1]
COUNT = 13_087
MOST = 1_000_000
SLACK_MS = 1_000
"""Two requests that are on their way at the same time have no order; ours: the longest that one took, with room."""
NOTHING = (
    "lost_count",
    "ruled_twice_count",
    "wrong_outcome_count",
    "not_returned_count",
    "out_of_order_count",
)


class Kept(NamedTuple):
    """What the rows say afterwards.

    Attributes:
        claims: When a review was first held, by review: epoch ms and who.
        entries: Ledger entries of rulings, by review.
    """

    cases: Sequence[CaseRow]
    reviews: Sequence[ReviewRow]
    rulings: Sequence[RulingRow]
    claims: Mapping[str, tuple[int, str]]
    entries: Mapping[str, int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare options."""
    parser.add_argument("--log", type=Path, help="folder of the log's tables")
    parser.add_argument("--minutes", type=float, default=8.0, help="that the five months take")
    parser.add_argument("--people", type=int, default=20, help="who rule")
    parser.add_argument(
        "--cases", type=int, default=COUNT, help="without a log, how many are drawn"
    )


def run(asked: argparse.Namespace) -> Report:
    """Play and report."""
    loans = read_log(asked.log) if asked.log else drawn(asked.cases)
    scale = (loans[-1].at_s - loans[0].at_s) / (60 * asked.minutes)
    with tempfile.TemporaryDirectory() as folder:
        figures = play(loans, Path(folder), scale, asked.people)
        told = machine(Path(folder))
    targets = dict.fromkeys(NOTHING, "0")
    return Report("reviewers", figures, targets=targets, machine=told)


def play(
    loans: Sequence[Loan],
    folder: Path,
    scale: float,
    people: int,
    *,
    vanishing: float = VANISHING,
    racing: float = RACING,
) -> dict[str, float]:
    """Return the figures of one play.

    Args:
        folder: An empty one.
        scale: Seconds of the log in one of ours.
        vanishing, racing: See `Desk`.
    """
    with serving(folder) as url:
        desk = Desk(url, loans, scale, vanishing=vanishing, racing=racing)
        say(f"{len(loans):,} applications, {people} people, one second is {scale / 3600:.1f} hours")
        asyncio.run(desk.play(people))
    kept = asyncio.run(read(folder / DATABASE))
    return {**checked(desk, kept), **waited(kept, scale)}


def checked(desk: Desk, kept: Kept) -> dict[str, float]:
    """Return what went wrong, each a count, and how often people vanished and raced."""
    asked_for = sum(loan.queue is not None for loan in desk.loans)
    said = {each.review_id: each for each in kept.rulings}
    is_settled = [row for row in kept.cases if row.state == "settled"]
    ruled = [row for row in kept.reviews if row.state == "ruled"]
    wrong = 0
    for row in ruled:
        ours = desk.accepted[row.id]
        wrong += [(row.ruled_by, row.ruling)] != ours or said[row.id].verdict != row.ruling
    of_case = {row.case_id: row for row in ruled}
    for case in is_settled:
        review = of_case.get(case.id)
        outcome = json.loads(case.outcome or "{}")
        wrong += review is not None and (outcome["verdict"], outcome["by"]) != (review.ruling, review.ruled_by)  # fmt: skip
    twice = sum(count != 1 for count in kept.entries.values()) + len(kept.rulings) - len(said)
    return {
        "lost_count": 2 * len(desk.loans)
        - len(kept.cases)
        - len(is_settled)
        + asked_for
        - len(ruled),
        "ruled_twice_count": twice + sum(len(ours) > 1 for ours in desk.accepted.values()),
        "wrong_outcome_count": wrong,
        "not_returned_count": sum(
            said[one].by == name for one, name in desk.vanished.items() if one in said
        ),
        "out_of_order_count": out_of_order(kept),
        "ruled_count": len(ruled),
        "vanished_count": len(desk.vanished),
        "refused_count": sum(desk.refused.values()),
    }


def out_of_order(kept: Kept) -> int:
    """Return how many first claims took a review while a more urgent one of its queue had waited for a while."""
    wrong = 0
    for queue in {row.queue for row in kept.reviews}:
        rows = [row for row in kept.reviews if row.queue == queue and row.id in kept.claims]
        rows.sort(key=lambda row: row.opened_at_ms)
        for row in sorted(rows, key=lambda row: kept.claims[row.id][0]):
            at_ms = kept.claims[row.id][0]
            for other in rows:
                if other.opened_at_ms > at_ms - SLACK_MS:
                    break
                waits_on = kept.claims[other.id][0] > at_ms + SLACK_MS
                if waits_on and rank(other, at_ms - SLACK_MS) < rank(row, at_ms + SLACK_MS):
                    wrong += 1
                    break
    return wrong


def waited(kept: Kept, scale: float) -> dict[str, float]:
    """Return how long reviews waited to be held, by queue, in the log's minutes and in our milliseconds."""
    figures: dict[str, float] = {}
    by_queue: dict[str, list[int]] = defaultdict(list)
    late: Counter[str] = Counter()
    for row in kept.reviews:
        at_ms = kept.claims[row.id][0]
        by_queue[row.queue].append(at_ms - row.opened_at_ms)
        late[row.queue] += row.due_at_ms is not None and at_ms > row.due_at_ms
    for queue, spans in sorted(by_queue.items()):
        for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99)):
            span = percentile(spans, share)
            figures[f"{queue}_waited_{name}_log_minutes"] = rounded(span * scale / 60_000)
            figures[f"{queue}_waited_{name}_ms"] = rounded(span)
        figures[f"{queue}_late_ratio"] = rounded(late[queue] / len(spans))
        figures[f"{queue}_count"] = len(spans)
    return figures


async def read(database: Path) -> Kept:
    """Return what the rows say."""
    store = SqliteStore(database, clock=SystemClock())
    await store.open()
    events = await store.select(ReviewEventRow, *equals(kind="claimed"), limit=MOST)
    claims: dict[str, tuple[int, str]] = {}
    for each in sorted(events, key=lambda event: event.seq):
        claims.setdefault(each.review_id, (each.at_ms, str(each.by)))
    entries = Counter(
        {
            str(subject): count
            for (subject,), count in (
                await store.count(LedgerEntryRow, *equals(kind="review.ruled"), by=("subject_id",))
            ).items()
        }
    )
    kept = Kept(
        await store.select(CaseRow, limit=MOST),
        await store.select(ReviewRow, limit=MOST),
        await store.select(RulingRow, limit=MOST),
        claims,
        entries,
    )
    await store.close()
    return kept


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve the automation from a folder in a process of its own; give the address."""
    words = [
        "serve",
        str(ROOT / "bench" / "loans.py"),
        "--port",
        "0",
        "--json",
        "--data",
        str(folder),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "opsrail", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        said = ""
        while not said.endswith("}\n"):
            line = process.stdout.readline()
            assert line, "opsrail serve did not begin"
            said += line
        yield str(json.loads(said)["url"])
    finally:
        process.terminate()
        process.communicate(timeout=60)
