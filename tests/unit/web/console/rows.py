"""Rows of cases as the pages' tests need them."""

from __future__ import annotations

from typing import Any

from opsrail.cases.office import CaseView
from opsrail.clock import ulid_text
from opsrail.values.cases import CaseRow, CaseState, JournalRow, OutboxRow
from opsrail.values.decision_rows import DecisionRow
from opsrail.values.reviews import ReviewRow

NOW_MS = 1_800_000_000_000
CASE = "01K0000000000000000000000A"
CASE_ROW = CaseRow(
    id=CASE, automation="claims", definition="d1", state=CaseState.SETTLED, source="http", input="{}", outcome="{}",
    reason=None, waiting_for=None, owner=None, failures=0, losses=0, progress=0, priority=5, due_at_ms=None,
    correlation_id="c" * 32, salt="5a" * 16, accepted_at_ms=NOW_MS, updated_at_ms=NOW_MS + 1_000,
    settled_at_ms=NOW_MS + 1_000,
)  # fmt: skip
DECISION_ROW = DecisionRow(
    id=CASE, point="fraud-risk", case_id=CASE, seq=0, model_name="m", model_number=1, policy_version="p", score=0.25,
    verdict="approve", proposed=None, source="band", reason="band-0", unknown_count=0, degraded=False, latency_us=1_500,
    at_ms=NOW_MS, record="{}", salt="5a" * 32,
)  # fmt: skip
REVIEW_ROW = ReviewRow(
    id=f"{CASE}-1", case_id=CASE, automation="claims", queue="desk", decision_id=None, subject="{}", verdict=None,
    state="open", priority=5, due_at_ms=None, assignee=None, lease_until_ms=None, claimed_at_ms=None, version=1,
    ruling=None, ruling_reason=None, ruled_by=None, salt="5a" * 16, opened_at_ms=NOW_MS, ruled_at_ms=None,
)  # fmt: skip
OUTBOX_ROW = OutboxRow(
    key=f"{CASE}-2", case_id=CASE, automation="claims", action="pay", payload="{}", state="sent", owner=None, attempts=1,
    due_at_ms=NOW_MS, last_error=None, response='{"ok": true}', created_at_ms=NOW_MS, sent_at_ms=NOW_MS + 40,
)  # fmt: skip


def case_id_at(at_ms: int, number: int = 0) -> str:
    """Return the id of a case that was accepted then."""
    return ulid_text((at_ms << 80) + number)


def entry(
    seq: int, kind: str, name: str, after_ms: int, result: str = "null", attempts: int = 1
) -> JournalRow:
    """Return a journal's entry, so long after the case was accepted."""
    return JournalRow(CASE, seq, kind, name, "", result, attempts, NOW_MS + after_ms)


def view(*journal: JournalRow, **parts: Any) -> CaseView:
    """Return a case's view; `parts` are its other parts by name."""
    told = {"case": CASE_ROW, "decisions": (), "reviews": (), "actions": ()} | parts
    return CaseView(journal=journal, **told)
