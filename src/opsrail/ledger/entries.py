"""What an entry says: its public envelope, canonical, with kind, subject and moment inside so that the hash covers them."""

from __future__ import annotations

from collections.abc import Mapping

from opsrail.values.canonical import canonical
from opsrail.values.rows import Append

ENVELOPE = ("kind", "subject_id", "at_ms")
"""Fields of every entry's body that repeat its row's columns; `book.verify` compares them."""


def entry(kind: str, subject_id: str, at_ms: int, fields: Mapping[str, object]) -> Append:
    """Return the write that adds an entry to the ledger.

    Args:
        kind: `trade.verb`, e.g. `decision.made`.
        subject_id: What it speaks of.
        at_ms: When it happened, epoch ms.
        fields: What happened, free of personal fields: those stay in records that entries commit to (`commitment.py`).

    Raises:
        InvalidInput: a field has no canonical form. Terminal.
    """
    body = canonical({**fields, "kind": kind, "subject_id": subject_id, "at_ms": at_ms})
    return Append(kind, subject_id, at_ms, body)
