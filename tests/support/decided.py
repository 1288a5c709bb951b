"""Rows as the road writes them, made without it: decisions of either arm, with what tests look at."""

from __future__ import annotations

import json
from typing import Any

from opsrail.clock import ulid_text
from opsrail.values.decisions import DecisionRow
from opsrail.values.guards import GuardSpec, StepPlan, guard_text, steps_text
from opsrail.values.rollouts import RolloutRunRow, RunState

START_MS = 1_767_258_000_000
POINT = "fraud-risk"


def id_at(at_ms: int, number: int = 0) -> str:
    return ulid_text((at_ms << 80) | number)


def decision(
    at_ms: int,
    number: int = 0,
    *,
    model: tuple[str, int] | None = ("fraud", 1),
    score: float | None = 0.2,
    verdict: str = "approve",
    steps: list[dict[str, Any]] | None = None,
    latency_us: int = 5_000,
    cost_usd: float = 0.0,
    cache: str = "off",
    case_id: str | None = None,
    point: str = POINT,
    **also: Any,
) -> DecisionRow:
    decision_id = id_at(at_ms, number)
    record = {
        "id": decision_id, "case_id": case_id, "correlation_id": f"{number:032x}", "fallback": steps or [],
        "cache": cache, "cost_usd": cost_usd, "verdict": verdict, **also,
    }  # fmt: skip
    name, version = model or (None, None)
    return DecisionRow(
        id=decision_id,
        point=point,
        case_id=case_id,
        seq=None,
        model_name=name,
        model_number=version,
        policy_version="0" * 16,
        score=score,
        verdict=verdict,
        proposed=None,
        source="band",
        reason="score-in-band",
        unknown_count=0,
        degraded=bool(steps) or score is None,
        latency_us=latency_us,
        record=json.dumps(record),
        salt="0" * 64,
        at_ms=at_ms,
    )


def run_row(spec: GuardSpec | None = None, **changed: Any) -> RolloutRunRow:
    steps = (StepPlan(0.1, 60.0), StepPlan(0.5, 60.0))
    row = RolloutRunRow(
        id_at(START_MS), POINT, "fraud", 2, "fraud", 1, steps_text(steps), 0, guard_text(spec or GuardSpec()), "{}",
        "", RunState.RUNNING, 2, START_MS, START_MS, None, None, 0,
    )  # fmt: skip
    return row._replace(**changed)
