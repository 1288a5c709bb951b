"""Rulings as the desk leaves them."""

from __future__ import annotations

from opsrail.values.reviews import ReviewRow, ReviewState


def ruled(decision_id: str, verdict: str, ruling: str, at_ms: int) -> ReviewRow:
    return ReviewRow(
        f"{decision_id}-1", decision_id, "claims", "desk", decision_id, "{}", verdict, ReviewState.RULED, 5, None,
        "ann", None, None, 1, ruling, "", "ann", "0" * 64, at_ms, at_ms,
        delivered_at_ms=at_ms,
    )  # fmt: skip
