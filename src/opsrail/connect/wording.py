"""Notices in words and as JSON, the same whatever carries them."""

from __future__ import annotations

from typing import Any

from opsrail.clock import rfc3339, rfc3339_or_none
from opsrail.values.notices import Notice


def lines_of(notice: Notice) -> list[str]:
    """Return a notice in plain sentences, a line each."""
    told = [f"{notice.title}.", f"Id: {notice.subject_id}"]
    if notice.due_at_ms is not None:
        told.append(f"Due: {rfc3339(notice.due_at_ms)}")
    return [*told, *([f"Look at it: {notice.link}"] if notice.link else [])]


def record_of(notice: Notice) -> dict[str, Any]:
    """Return a notice as another system reads it.

    Source:
        Standard Webhooks, section Payload structure: `type`, `timestamp`, `data`.
    """
    return {
        "type": notice.kind,
        "timestamp": rfc3339(notice.at_ms),
        "data": {
            "id": notice.subject_id,
            "place": notice.place,
            "title": notice.title,
            "due_at": rfc3339_or_none(notice.due_at_ms),
            "link": notice.link or None,
        },
    }
