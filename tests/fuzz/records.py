"""Stored records of decisions, as the database hands them back."""

from __future__ import annotations

import json

from opsrail.decide.explain import explain
from opsrail.errors import InvalidInput
from opsrail.values.canonical import canonical
from opsrail.values.decisions import (
    AsOf,
    Decision,
    ModelRef,
    ViewRead,
)
from opsrail.values.explanations import ReasonCode, ReasonCodes
from opsrail.values.reasons import FallbackStep, Reason

WHOLE = Decision(
    id="01J0000000000000000000000A",
    point="fraud-risk",
    impact="low",
    correlation_id="0" * 32,
    case_id=None,
    seq=None,
    actor="fuzz",
    model=ModelRef("fraud-risk", 3, "sha256:" + "0" * 64, "live"),
    policy_version="sha256:" + "1" * 64,
    score=0.25,
    confidence=1.0,
    unknown=("amount",),
    verdict="approve",
    reasons=(Reason("score-in-band", "The score is low.", "band"),),
    features=(
        ViewRead.of("request", "1", "", {"amount": 1e300, "deep": [[{"a": None}]]}),
        ViewRead.of("history", "2", "p-1", {"count": 3}, AsOf("01J", 1, 2)),
    ),
    cache="miss",
    degraded=True,
    degraded_why="breaker-open",
    cost_usd=0.001,
    latency_ms={"score": 1.5, "total": 2},
    at_ms=1_700_000_000_000,
    fallback=(FallbackStep("standby", "fraud-risk/2", "breaker-open"),),
    reason_codes=ReasonCodes(
        "exact-tree",
        "log-odds",
        "reference",
        0.5,
        (ReasonCode("r1", "amount", 120.5, 0.25, "raised", "It is much."),),
        None,
    ),
)
DEEP = WHOLE.written().replace(b"[[", b"[" * 900).replace(b"]]", b"]" * 900)
SAMPLES = (
    WHOLE.written(),
    WHOLE.written().replace(b"1700000000000", b"9" * 19 + b"e300"),
    WHOLE.written().replace(b"0.25", b"9" * 400),
    DEEP,
    b"[]",
)


def run_one(data: bytes) -> None:
    """Read a record twice; what was read can be written again, explained, and is then the same."""
    text = data.decode("utf-8", "replace")
    decision = Decision.repeated(text)
    try:
        record = canonical(decision.record())
    except InvalidInput:
        return
    again = Decision.from_record(json.loads(record))
    assert canonical(again.record()) == record
    explain(decision)
