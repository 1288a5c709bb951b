"""What happened to a review, as its rows and the ledger tell it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from opsrail.errors import InvalidInput
from opsrail.ledger.commitment import record_commitment
from opsrail.ledger.entries import entry
from opsrail.values.reviews import ReviewEventRow, ReviewRow
from opsrail.values.rows import Append, Insert, Write


def event_of(
    row: ReviewRow, kind: str, by: str | None, content: Mapping[str, Any], now_ms: int
) -> ReviewEventRow:
    """Return the event that made the review what `row` shows.

    Raises:
        InvalidInput: a text is no whole Unicode. Terminal.
    """
    try:
        text = orjson.dumps(dict(content)).decode()
    except TypeError as wrong:
        raise InvalidInput(f"review {row.id}: nothing was noted: {wrong}") from wrong
    return ReviewEventRow(row.id, row.version, kind, by, text, now_ms)


def noted(
    row: ReviewRow, kind: str, by: str | None, content: Mapping[str, Any], now_ms: int
) -> list[Write]:
    """Return the event and its ledger entry, which commits to what the event says and shows none of it."""
    event = event_of(row, kind, by, content, now_ms)
    return [Insert(event), told(row, event)]


def told(row: ReviewRow, event: ReviewEventRow) -> Append:
    """Return the ledger entry of an event."""
    commitment = record_commitment(row.salt, event.content.encode())
    fields = {"by": event.by, "case": row.case_id, "commitment": commitment}
    return entry(f"review.{event.kind}", row.id, event.at_ms, fields)
