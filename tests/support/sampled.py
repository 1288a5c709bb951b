"""Decisions, reviews and control cases in a store, to be drawn from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from opsrail.ports import Store
from opsrail.review.queue import Queue
from opsrail.review.sampling import Plan, Sampler
from opsrail.review.unasked import Audit
from opsrail.values.cases import CaseRow, CaseState
from opsrail.values.decisions import DecisionRow
from opsrail.values.reviews import ControlRow, Purpose, ReviewRow, ReviewState
from opsrail.values.rows import Insert, equals
from tests.support.decided import POINT, decision, id_at

QUEUE = "claims-desk"
LABELS = {"fraud": {"decline": 1.0, "approve": 0.0}}
EMPTY: dict[str, Any] = dict.fromkeys(ReviewRow._fields) | ReviewRow._field_defaults


class Facts(BaseModel):
    """What those decisions were asked of."""

    amount: int


def plan(ratio: float, point: str = POINT, **how: Any) -> Plan:
    return Plan(point, Audit(ratio, QUEUE, **how), "review", LABELS, Queue(QUEUE), Facts)


def decided(at_ms: int, number: int = 0, **columns: Any) -> DecisionRow:
    """Return a decision whose record has what a person is shown."""
    columns = {"verdict": "approve", "score": 0.1, **columns}
    record = {
        "point": POINT, "seq": 0, "at_ms": at_ms, "score": columns["score"], "confidence": 0.9, "proposed": None,
        "reasons": [{"code": "band", "text": "score in band", "source": "band"}], "unknown": [], "reason_codes": None,
        "features": [{"view": "request", "values": {"amount": number}}],
    }  # fmt: skip
    row = decision(at_ms, number, **columns)
    whole = json.dumps({**json.loads(row.record), **record})
    return row._replace(seq=0, salt=f"{number:064x}", latency_us=4_000, record=whole)


def case_of(at_ms: int, number: int = 0, **columns: Any) -> CaseRow:
    empty: dict[str, Any] = dict.fromkeys(CaseRow._fields) | CaseRow._field_defaults
    given = {
        "id": id_at(at_ms, 7_000 + number), "automation": "claims", "definition": "d", "state": CaseState.SETTLED,
        "source": "http", "input": json.dumps({"amount": number}), "failures": 0, "losses": 0, "progress": 0,
        "priority": 5, "correlation_id": "0" * 32, "salt": "0" * 64, "accepted_at_ms": at_ms, "updated_at_ms": at_ms,
    }  # fmt: skip
    return CaseRow(**{**empty, **given, **columns})


def asked(at_ms: int, number: int = 0, **columns: Any) -> ReviewRow:
    """Return a review that a case asked for, about a decision that was sent to people."""
    about = decided(at_ms, 500_000 + number, verdict="review")
    case_id = id_at(at_ms - 5, 8_000 + number)
    record = json.loads(about.record) | {"case_id": case_id, "verdict": "review"}
    given = {
        "id": f"{case_id}-1", "case_id": case_id, "automation": "claims", "queue": QUEUE, "decision_id": about.id,
        "subject": json.dumps({"input": {"amount": number}, "decision": record, "show": None}), "verdict": "review",
        "state": ReviewState.OPEN, "priority": 3, "due_at_ms": at_ms + 3_600_005, "version": 0,
        "salt": f"{number:064x}", "opened_at_ms": at_ms + 5, "skills": "german", "blind": True,
    }  # fmt: skip
    return ReviewRow(**{**EMPTY, **given, **columns})


def known(number: int, truth: str = "decline", **columns: Any) -> ControlRow:
    record = json.loads(decided(1_600_000_000_000, number, verdict="review").record)
    subject = {"input": {"amount": number}, "decision": record | {"case_id": "X"}, "show": None}
    row = ControlRow(f"control-{number:03d}", QUEUE, json.dumps(subject), truth, "ann", 0, 0)
    return row._replace(**columns)


async def put(store: Store, rows: Sequence[tuple[Any, ...]]) -> None:
    for begin in range(0, len(rows), 500):
        await store.commit([Insert(row) for row in rows[begin : begin + 500]])


async def audits(store: Store) -> list[ReviewRow]:
    return await store.select(ReviewRow, *equals(purpose=Purpose.AUDIT), limit=100_000)


async def turned(sampler: Sampler) -> None:
    """Take a turn, and fail with what kept the loop from its work."""
    await sampler.turn()
    assert sampler.stats().faults == {}
