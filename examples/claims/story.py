"""What became of the demo's claims, in figures: read from the folder alone, so that a killed and continued demo tells all.

`README.md` defines each figure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import from_json

from examples.claims.claim_rows import is_fraud
from examples.claims.desk import WORK, handling_s
from examples.claims.desk_times import read_desk_times
from examples.claims.payments import Book
from opsrail.app import App
from opsrail.documents.accuracy import is_right
from opsrail.ledger.book import verify
from opsrail.values.cases import CaseRow, CaseState, JournalRow, OutboxRow, OutboxState
from opsrail.values.decisions import DecisionRow
from opsrail.values.documents import Document
from opsrail.values.ledger import LedgerPendingRow
from opsrail.values.models import ModelVersion
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.values.rows import Where

AUTOMATION, POINT, FORM = "claims-intake", "fraud-risk", "receipt"
WAGE_USD_PER_HOUR = 36.07
"""Median of US claims adjusters, 2023; no benefits, no overhead. Source: BLS, Occupational Outlook Handbook."""
COMPUTE_USD_PER_HOUR = 0.05
"""One rented core; an assumption."""
STILL_S = 15.0
"""Silence that does not count as the demo's working time: it was stopped, or waited for people."""
LEDGER_WAIT_S = 10.0
MOST_ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of the demo's automation."""

    cases: Sequence[CaseRow]
    decisions: Sequence[DecisionRow]
    reviews: Sequence[ReviewRow]
    receipts: Sequence[JournalRow]

    @property
    def settled(self) -> list[CaseRow]:
        return [row for row in self.cases if row.state == CaseState.SETTLED]

    @property
    def moments_ms(self) -> list[int | None]:
        """When something happened: accepted, read, decided, ruled, settled."""
        cases = [at_ms for row in self.cases for at_ms in (row.accepted_at_ms, row.settled_at_ms)]
        decided = [row.at_ms for row in self.decisions]
        read = [row.at_ms for row in self.receipts]
        return [*cases, *decided, *read, *(row.ruled_at_ms for row in self.reviews)]


async def story_of(
    app: App, book: Book, claim_rows: Iterable[Mapping[str, str]], truth: Path
) -> dict[str, Any]:
    """Return the whole story of the app's folder, as `--json` prints it.

    Args:
        claim_rows: Of the claims file, labels included.
        truth: What stands on the receipts, as JSON lines.
    """
    rows = await _rows(app)
    frauds = {int(row["PolicyNumber"]) for row in claim_rows if is_fraud(row)}
    ruled = [row for row in rows.reviews if row.state == ReviewState.RULED]
    reviewed = {row.case_id for row in ruled}
    settled = rows.settled
    frauds_settled = [row for row in settled if _claim_number(row.input) in frauds]
    frauds_paid = [
        row for row in frauds_settled if from_json(row.outcome or "")["verdict"] == "paid"
    ]
    counts = await app.store.count(OutboxRow, Where("state", "=", OutboxState.SENT))
    return {
        "cases": len(rows.cases),
        "settled": len(settled),
        "reviewed": len(reviewed),
        "overridden": sum(row.verdict not in ("review", row.ruling) for row in ruled),
        "set_aside": sum(row.state == CaseState.SET_ASIDE for row in rows.cases),
        "decisions": len(rows.decisions),
        "decision_ms": quantiles_ms([row.latency_us for row in rows.decisions]),
        "cases_per_s": round(len(settled) / (busy_s(rows.moments_ms) or 1.0), 2),
        "automation_rate": _ratio(sum(row.id not in reviewed for row in settled), len(settled)),
        "fraud_caught_rate": _ratio(len(frauds_settled) - len(frauds_paid), len(frauds_settled)),
        "cost_per_1000_usd": cost_per_1000_usd(rows, ruled),
        "ocr": reading_of(rows, truth),
        "model": await _model(app),
        "ledger": await _ledger(app),
        "actions": {"sent": counts.get((), 0), "duplicates": book.doubled_count},
    }


def quantiles_ms(latencies_us: Iterable[int]) -> dict[str, float]:
    """Return the median and the times that 95 and 99 % of the decisions stayed under. Nearest rank."""
    ascending = sorted(latencies_us)
    last = len(ascending) - 1
    return {
        f"p{percent}": round(ascending[min(len(ascending) * percent // 100, last)] / 1000, 2)
        if ascending
        else 0.0
        for percent in (50, 95, 99)
    }


def busy_s(moments_ms: Iterable[int | None]) -> float:
    """Return the time between the first and the last of these moments, silences of `STILL_S` and more left out."""
    ascending = sorted(at_ms for at_ms in moments_ms if at_ms is not None)
    gaps_s = [(later - sooner) / 1000 for sooner, later in pairwise(ascending)]
    return sum(gap_s for gap_s in gaps_s if gap_s < STILL_S)


def cost_per_1000_usd(rows: Rows, ruled: Iterable[ReviewRow]) -> float:
    """Return what a thousand settled cases cost: people's time at the desk, and the computer's for reading and deciding."""
    times = read_desk_times(WORK)
    desk_s = sum(
        handling_s(times, from_json(row.subject)["input"]["PolicyNumber"]) for row in ruled
    )
    decided_s = sum(row.latency_us for row in rows.decisions) / 1e6
    read_s = sum(document.read_ms for document in documents_of(rows).values()) / 1e3
    cost_usd = (desk_s * WAGE_USD_PER_HOUR + (decided_s + read_s) * COMPUTE_USD_PER_HOUR) / 3600
    return round(1000 * cost_usd / (len(rows.settled) or 1), 2)


def documents_of(rows: Rows) -> dict[str, Document]:
    """Return the receipts that were read, by the id of their case."""
    adapter = TypeAdapter(Document)
    return {
        row.case_id: adapter.validate_json(row.result)
        for row in rows.receipts
        if row.kind == "step"
    }


def reading_of(rows: Rows, truth: Path) -> dict[str, Any]:
    """Return how many pages were read, and the share whose total is what the page says; one that failed is not right."""
    printed = {
        Path(line["image"]).name: line["fields"]["total"]
        for line in map(json.loads, truth.read_text("utf-8").splitlines())
    }
    documents = documents_of(rows)
    names = {row.id: Path(from_json(row.input)["receipt"] or "").name for row in rows.cases}
    pages = [row.case_id for row in rows.receipts if names.get(row.case_id) in printed]
    right = sum(
        case_id in documents and is_right(documents[case_id], "total", printed[names[case_id]])
        for case_id in pages
    )
    return {"pages": len(pages), "total_accuracy": _ratio(right, len(pages))}


async def _rows(app: App) -> Rows:
    ours = Where("automation", "=", AUTOMATION)
    return Rows(
        await app.store.select(CaseRow, ours, limit=MOST_ROWS),
        await app.store.select(DecisionRow, Where("point", "=", POINT), limit=MOST_ROWS),
        await app.store.select(ReviewRow, ours, limit=MOST_ROWS),
        await app.store.select(JournalRow, Where("name", "=", FORM), limit=MOST_ROWS),
    )


async def _model(app: App) -> dict[str, Any]:
    live = [row for row in await app.registry.rollout(POINT) if row.stage == "live"]
    version: ModelVersion = await app.registry.version(live[0].model_name, live[0].model_number)
    return {
        "name": version.name,
        "version": version.number,
        "digest": version.digest,
        "auc": round(version.metrics["test_auc"], 4),
    }


async def _ledger(app: App) -> dict[str, Any]:
    """Verify the whole book, against the checkpoint kept outside the database too, once all entries have their place."""
    until_s = app.clock.monotonic_s() + LEDGER_WAIT_S
    while (await app.store.count(LedgerPendingRow))[()] and app.clock.monotonic_s() < until_s:
        await app.clock.sleep(0.1)
    note = app.anchor.read() if app.anchor else None
    report = await verify(app.store, app.signer.verifiers, [note] if note else [])
    root = report.checkpoint.root.hex() if report.checkpoint else None
    return {
        "entries": report.entries,
        "verified": report.is_intact and report.waiting == 0,
        "checkpoint": root,
    }


def _claim_number(text: str) -> int:
    return int(from_json(text)["PolicyNumber"])


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
