"""The row that a store keeps of a decision."""

from __future__ import annotations

from typing import NamedTuple


class DecisionRow(NamedTuple):
    """One recorded decision; `record` is the whole of it, the other columns are what queries ask for.

    Attributes:
        case_id: The case it was made in, NULL when asked for over HTTP.
        seq: Position in the case's journal, NULL outside a case.
        score: In [0, 1]; NULL when no score could be had.
        verdict: What policy says.
        proposed: What policy said where a person decides instead; NULL where its verdict holds.
        source: What policy's verdict rests on: the `source` of its first reason.
        reason: That reason's `code`.
        unknown_count: Features whose value the model was never trained on, or that were missing.
        degraded: True when the version that should have answered could not.
        latency_us: From request to verdict, microseconds.
        at_ms: When it was asked, epoch ms. It stands before the long columns, so that reading it need not pass them.
        record: Canonical JSON of every field the answer carries.
        salt: 32 random bytes as hex: the ledger's leaf commits to sha256(salt || record), so erasing the salt unlinks it.
    """

    id: str
    point: str
    case_id: str | None
    seq: int | None
    model_name: str | None
    model_number: int | None
    policy_version: str
    score: float | None
    verdict: str
    proposed: str | None
    source: str
    reason: str
    unknown_count: int
    degraded: bool
    latency_us: int
    at_ms: int
    record: str
    salt: str
