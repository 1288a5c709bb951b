"""How a stretch ends: what the author's function did, and the writes that make it so. Pure.

The end of a stretch is one commit: state, buffered journal rows, outbox rows, ledger entry, facts for feature views.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from opsrail.cases.machine import PATIENCE, CaseEvent, failures_after, next_state
from opsrail.errors import AuthorError
from opsrail.ledger.commitment import record_commitment
from opsrail.ledger.entries import entry
from opsrail.review.events import noted
from opsrail.values.cases import CaseRow, CaseState, InboxRow
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.values.rows import Append, Delete, Update, Write


@dataclass(frozen=True, slots=True)
class Settled:
    """The function returned; `outcome` is its JSON."""

    outcome: str


@dataclass(frozen=True, slots=True)
class Parked:
    """The function waits: for topics (joined by a space), or for a moment."""

    topics: str
    due_at_ms: int | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The function raised."""

    error: Exception


Ending = Settled | Parked | Failed


def writes_of(
    row: CaseRow,
    ending: Ending,
    buffered: Sequence[Write],
    *,
    journal_length: int,
    now_ms: int,
    retry_at_ms: int,
) -> tuple[CaseState, list[Write]]:
    """Return where the case stands after the stretch and the writes of its one commit.

    Args:
        buffered: What the stretch still has to write; dropped when it failed or was cancelled.
        journal_length: Durable journal entries.
        retry_at_ms: When a failed case may run again.
    """
    owned: dict[str, Any] = {"owner": row.owner}
    if isinstance(ending, Settled):
        change = _moved(
            row, CaseEvent.SETTLE, now_ms, outcome=ending.outcome, settled_at_ms=now_ms, reason=None
        )
        noted = _entry(
            row,
            "case.settled",
            now_ms,
            commitment=record_commitment(row.salt, ending.outcome.encode()),
        )
        return CaseState.SETTLED, [
            *buffered,
            Update(CaseRow, (row.id,), change, owned),
            *_swept(row),
            noted,
        ]
    if isinstance(ending, Parked):
        change = _moved(
            row,
            CaseEvent.PARK,
            now_ms,
            waiting_for=ending.topics,
            due_at_ms=ending.due_at_ms,
            failures=0,
            losses=0,
        )
        return CaseState.WAITING, [*buffered, Update(CaseRow, (row.id,), change, owned)]
    return _failed(row, ending.error, journal_length, now_ms, retry_at_ms)


def cancelled(row: CaseRow, reason: str, now_ms: int) -> list[Write]:
    """Return the writes that end a case in whatever state `row` shows it; refused when it moved meanwhile."""
    change = _moved(row, CaseEvent.CANCEL, now_ms, reason=reason, settled_at_ms=now_ms)
    noted = _entry(
        row, "case.cancelled", now_ms, commitment=record_commitment(row.salt, reason.encode())
    )
    expected: dict[str, Any] = {"state": row.state, "owner": row.owner}
    return [
        Update(CaseRow, (row.id,), change, expected),
        Delete(InboxRow, {"case_id": row.id}),
        noted,
    ]


def withdrawn(review: ReviewRow, now_ms: int) -> list[Write]:
    """Return the writes that take a review back because its case ended: one that waits, or whose ruling is still held."""
    version = review.version + 1
    change: dict[str, Any] = {
        "state": ReviewState.WITHDRAWN,
        "version": version,
        "assignee": None,
        "lease_until_ms": None,
        "wake_at_ms": None,
    }
    update = Update(ReviewRow, (review.id,), change, {"version": review.version})
    return [update, *noted(review._replace(**change), "withdrawn", None, {}, now_ms)]


def accepted(row: CaseRow) -> Append:
    """Return the ledger entry of a case that was let in."""
    return _entry(
        row,
        "case.accepted",
        row.accepted_at_ms,
        commitment=record_commitment(row.salt, row.input.encode()),
        source=row.source,
    )


def reason_of(error: BaseException) -> str:
    """Return a failure in one line of at most 2,000 characters, for rows and people."""
    text = str(error) or repr(error)
    return plain(text if isinstance(error, AuthorError) else f"{type(error).__name__}: {text}")[
        :2000
    ]


def plain(text: str) -> str:
    """Return foreign text as every database can hold it: no NUL, no half of a surrogate pair."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def _failed(
    row: CaseRow, error: Exception, journal_length: int, now_ms: int, retry_at_ms: int
) -> tuple[CaseState, list[Write]]:
    owned: dict[str, Any] = {"owner": row.owner}
    failures = failures_after(
        failures=row.failures, progress=row.progress, journal_length=journal_length
    )
    reason = reason_of(error)
    counted: dict[str, Any] = {"failures": failures, "progress": journal_length, "reason": reason}
    if isinstance(error, AuthorError) or failures >= PATIENCE:
        change = _moved(row, CaseEvent.GIVE_UP, now_ms, waiting_for=row.waiting_for, **counted)
        noted = _entry(row, "case.set_aside", now_ms, reason=type(error).__name__)
        return CaseState.SET_ASIDE, [Update(CaseRow, (row.id,), change, owned), noted]
    change = _moved(
        row, CaseEvent.FAIL, now_ms, waiting_for=row.waiting_for, due_at_ms=retry_at_ms, **counted
    )
    return CaseState.READY, [Update(CaseRow, (row.id,), change, owned)]


def _moved(row: CaseRow, event: CaseEvent, now_ms: int, **columns: Any) -> dict[str, Any]:
    state = next_state(CaseState(row.state), event)
    return {
        "state": state,
        "owner": None,
        "waiting_for": None,
        "due_at_ms": None,
        "updated_at_ms": now_ms,
        **columns,
    }


def _swept(row: CaseRow) -> list[Write]:
    return [] if row.waiting_for is None else [Delete(InboxRow, {"case_id": row.id})]


def _entry(row: CaseRow, kind: str, at_ms: int, **fields: str) -> Append:
    return entry(kind, row.id, at_ms, {"automation": row.automation, **fields})
