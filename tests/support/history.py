"""Decisions as a store holds them, made without a road: what questions about many of them are tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opsrail.clock import ulid_text
from opsrail.decide.recorder import row_of
from opsrail.ports import Store
from opsrail.values.decisions import AsOf, Decision, DecisionRow, ModelRef, Reason, ViewRead
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.reviews import ReviewRow
from opsrail.values.rows import Insert

FIRST_MS = 1_760_000_000_000
"""When the first decision was asked for."""
EVERY_MS = 1_000


def decision_id(number: int) -> str:
    return ulid_text((FIRST_MS + number * EVERY_MS << 80) | number)


def decision(number: int, **changes: Any) -> Decision:
    """Return one decision; each has a score and facts of its own."""
    score = (number * 37 % 100) / 100
    facts: Mapping[str, Any] = changes.pop("facts", {"make": f"m{number % 3}", "amount": number})
    views: Mapping[str, Any] = changes.pop("views", {"frauds": number % 5})
    given: dict[str, Any] = {
        "id": decision_id(number),
        "point": "fraud-risk",
        "impact": "high",
        "correlation_id": f"{number:032x}",
        "case_id": None,
        "seq": None,
        "actor": "tester",
        "model": ModelRef("fraud", 1, "sha256:" + "a" * 64, "live", "local"),
        "policy_version": "0" * 16,
        "score": score,
        "confidence": 0.9,
        "unknown": (),
        "verdict": "approve" if score < 0.5 else "review",
        "reasons": (Reason("score-in-band", "It is so.", "band"),),
        "features": (
            ViewRead.of("request", "v1", "", facts),
            ViewRead.of("make-history", "1", "m", views, AsOf("f" * 26, FIRST_MS, 3)),
        ),
        "cache": "off",
        "degraded": False,
        "degraded_why": None,
        "cost_usd": 0.25,
        "latency_ms": {"score": 1.5, "total": 2.5},
        "at_ms": FIRST_MS + number * EVERY_MS,
    }
    return Decision(**{**given, **changes})


def row(made: Decision) -> DecisionRow:
    return row_of(made, "00" * 32)


async def stored(store: Store, made: Sequence[Decision]) -> None:
    """Write decisions as rows, many at a time."""
    for first in range(0, len(made), 500):
        await store.commit([Insert(row(one)) for one in made[first : first + 500]])


def review(number: int, **changes: Any) -> ReviewRow:
    """Return a review of a decision that was ruled on."""
    given: dict[str, Any] = {
        "id": f"{decision_id(number)}-0",
        "case_id": "c",
        "automation": "claims",
        "queue": "desk",
        "decision_id": decision_id(number),
        "subject": "{}",
        "verdict": "review",
        "state": "ruled",
        "priority": 5,
        "version": 2,
        "ruling": "approve",
        "ruled_by": "ann",
        "salt": "00" * 32,
        "opened_at_ms": FIRST_MS,
        "claimed_at_ms": FIRST_MS + 1_000,
        "ruled_at_ms": FIRST_MS + 61_500,
    }
    empty = dict.fromkeys(ReviewRow._fields) | ReviewRow._field_defaults
    return ReviewRow(**{**empty, **given, **changes})


def outcome(number: int, value: float, *, at: int = 0, **changes: Any) -> OutcomeRow:
    """Return what turned out of a decision; the later `at`, the later it was written."""
    given: dict[str, Any] = {
        "id": f"{decision_id(number)}{at:04d}",
        "decision_id": decision_id(number),
        "name": "fraud",
        "value": value,
        "source": "audit",
        "ratio": 1.0,
        "by": "ann",
        "known_at_ms": FIRST_MS,
        "at_ms": FIRST_MS,
    }
    return OutcomeRow(**{**given, **changes})
