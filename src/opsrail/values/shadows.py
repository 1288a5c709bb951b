"""What the store keeps of shadows: what challengers said of requests that others answered."""

from __future__ import annotations

from typing import NamedTuple


class ShadowScoreRow(NamedTuple):
    """What one challenger said of one decision's request; it changed nothing.

    Attributes:
        score: In [0, 1]; NULL when it had none.
        verdict: What the point's policy would have said to its score; NULL without a score.
        code: Why there is no score, e.g. `deadline-passed`; NULL with one.
        latency_us: Of its call, microseconds.
        at_ms: When the decision was asked for, epoch ms.
    """

    decision_id: str
    model_name: str
    model_number: int
    point: str
    score: float | None
    confidence: float | None
    verdict: str | None
    code: str | None
    latency_us: int
    cost_usd: float
    at_ms: int
