"""Rollouts, alarms and guarantees as plain JSON values, the same for the command line and HTTP. Pure."""

from __future__ import annotations

from typing import Any

import orjson

from opsrail.clock import rfc3339, rfc3339_or_none
from opsrail.errors import InvalidInput
from opsrail.values.rollouts import AlarmRow, GuaranteeRow, RolloutRunRow
from opsrail.watch.guarantees import standing_of
from opsrail.watch.rollout_run import Run
from opsrail.watch.signals import CANDIDATE, CHAMPION


def run_record(row: RolloutRunRow) -> dict[str, Any]:
    """Return a rollout with what was counted and where each test stands.

    One whose guard or steps cannot be read has neither; `fault` says why.
    """
    known: dict[str, Any] = {
        "id": row.id,
        "point": row.point,
        "state": str(row.state),
        "candidate": f"{row.model_name}/{row.model_number}",
        "champion": None
        if row.champion_name is None
        else f"{row.champion_name}/{row.champion_number}",
        "step": row.step,
        "why": row.why,
        "started_at": rfc3339(row.started_at_ms),
        "entered_at": rfc3339(row.entered_at_ms),
        "ended_at": rfc3339_or_none(row.ended_at_ms),
    }
    try:
        run = Run(row)
    except InvalidInput as fault:
        return {**known, "fault": str(fault)}
    evidence = run.evidence
    return {
        **known,
        "is_live": run.is_live,
        "share": run.arms().share,
        "steps": [step._asdict() for step in run.steps],
        "watch_s": run.spec.watch_s,
        "hold": run.hold or None,
        "decisions": {
            "champion": evidence.counts[CHAMPION],
            "candidate": evidence.counts[CANDIDATE],
        },
        "step_decisions": {
            "champion": evidence.step_counts[CHAMPION],
            "candidate": evidence.step_counts[CANDIDATE],
        },
        "false_alarm_ratio": run.spec.false_alarm_ratio,
        "readings": [reading.figures() for reading in evidence.readings()],
        "guard": orjson.loads(row.guard or "{}"),
    }


def alarm_record(row: AlarmRow) -> dict[str, Any]:
    """Return an alarm."""
    return {
        "id": row.id,
        "point": row.point,
        "kind": row.kind,
        "subject": row.subject,
        "text": row.text,
        "figures": orjson.loads(row.content),
        "at": rfc3339(row.at_ms),
        "ended_at": rfc3339_or_none(row.ended_at_ms),
        "ended_by": row.ended_by,
    }


def guarantee_record(row: GuaranteeRow) -> dict[str, Any]:
    """Return a guarantee with what labels said of it; one that cannot be read has a `fault` instead."""
    known: dict[str, Any] = {
        "id": row.id,
        "point": row.point,
        "made_at": rfc3339(row.made_at_ms),
        "broken_at": rfc3339_or_none(row.broken_at_ms),
        "ended_at": rfc3339_or_none(row.ended_at_ms),
    }
    try:
        standing = standing_of(row)
    except InvalidInput as fault:
        return {**known, "fault": str(fault)}
    spec = standing.spec
    return {
        **known,
        "text": spec.label,
        "outcome": spec.outcome,
        "among": spec.among,
        **standing.figures(),
    }
