"""The steps of one rollout: what follows from time, counts and evidence. Pure; `guard.py` acts on it.

    canary steps  each holds for its time, and until enough was counted; then the next, and after the last: live
    live          watched for `watch_s`, against limits alone: nobody answers beside it; then the rollout has ended

    worse         the evidence of one test is enough: rolled back at once, at any step
    not known     too few decisions, no labels, a source that is silent: the step holds, and says what it waits for
    paused        a person wants no step forward; what is worse is rolled back all the same
    taken over    somebody else moved the point: the rollout has ended, and nothing is overwritten

| state | worse | time and counts are there | a person pauses | stops | promotes | rolls back | moves the point |
|---|---|---|---|---|---|---|---|
| running | rolled-back | next step; at the end promoted | paused | stopped | live, running | rolled-back | stopped |
| paused | rolled-back | paused | - | stopped | live, running | rolled-back | stopped |
| promoted, rolled-back, stopped | - | - | - | - | - | - | - |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from opsrail.clock import rfc3339
from opsrail.errors import InvalidInput
from opsrail.values.guards import GuardSpec, StepPlan, guard_from, steps_from
from opsrail.values.registry import RolloutChangeRow
from opsrail.values.rollouts import RolloutRunRow, RunState
from opsrail.watch.evidence import Evidence
from opsrail.watch.signals import CANDIDATE, Arms, Version
from opsrail.watch.tracks import Reading

GUARD = "guard"
"""Who the ledger and the history say acted, where no person did."""

MOST_TOLD = 3
"""Tests that fired at once and are named in one sentence."""
BESIDE = ("shadow", "retired")
"""Where a third version may go without taking a rollout over: it answers nobody's requests there."""


class Verb(StrEnum):
    """What a rollout does next."""

    HOLD = "hold"
    STEP = "step"
    GO_LIVE = "go-live"
    END = "end"
    ROLL_BACK = "roll-back"


class Next(NamedTuple):
    """What follows, and why.

    Attributes:
        why: One sentence for people.
        reading: The test that fired, if one did.
    """

    verb: Verb
    why: str
    reading: Reading | None = None


class Run:
    """A rollout as its row describes it.

    Attributes:
        evidence: Its tests; what is counted goes in there.
        cursors: How far late sources were read: `outcomes` and `shadows` by id, `reviews` by epoch ms.
        entered: When each step began, epoch ms, and which it was; the first first.
        hold: Why it holds, as last found.
    """

    def __init__(self, row: RolloutRunRow) -> None:
        """Raises InvalidInput: its guard or steps cannot be read."""
        told: dict[str, Any] = orjson.loads(row.tests or "{}")
        self.row = row
        self.spec: GuardSpec = guard_from(row.guard or "{}")
        self.steps: tuple[StepPlan, ...] = steps_from(row.steps)
        self.evidence = Evidence(self.spec, told.get("evidence"))
        self.cursors: dict[str, Any] = dict(told.get("cursors", {}))
        begun = [[row.started_at_ms, 0]]
        self.entered = [(int(at_ms), int(step)) for at_ms, step in told.get("entered", begun)]
        self.hold: str = told.get("hold", "")
        self.holder: Mapping[str, Any] = told.get("holder", {})

    @property
    def candidate(self) -> Version:
        return (self.row.model_name, self.row.model_number)

    @property
    def champion(self) -> Version | None:
        if self.row.champion_name is None or self.row.champion_number is None:
            return None
        return (self.row.champion_name, self.row.champion_number)

    @property
    def is_live(self) -> bool:
        """Return whether the candidate is live by now, and only watched."""
        return self.row.step >= len(self.steps)

    @property
    def label(self) -> str:
        return f"{self.row.model_name}/{self.row.model_number}"

    def arms(self, at_ms: int | None = None) -> Arms:
        """Return who answered which share, now or at a moment."""
        step = self.row.step if at_ms is None else self.step_at(at_ms)
        share = 1.0 if step >= len(self.steps) else self.steps[step].share
        return Arms(self.champion, self.candidate, share)

    def step_at(self, at_ms: int) -> int:
        """Return the step that ran at a moment."""
        begun = [step for entered_ms, step in self.entered if entered_ms <= at_ms]
        return begun[-1] if begun else 0

    def tests(self, holder: Mapping[str, Any]) -> str:
        """Return what the row keeps of the tests."""
        return orjson.dumps(
            {
                "evidence": self.evidence.state(),
                "cursors": self.cursors,
                "entered": self.entered,
                "hold": self.hold,
                "holder": dict(holder),
            }
        ).decode()

    def next(self, now_ms: int, broken: str | None = None) -> Next:
        """Return what follows now.

        Args:
            now_ms: Epoch ms.
            broken: What is said of a guarantee that this rollout brought and that broke.
        """
        fired = [reading for reading in self.evidence.readings() if reading.has_fired]
        if self.evidence.counts[CANDIDATE] >= self.spec.judge_after_count:
            if fired:
                told = "; ".join(reading.sentence() for reading in fired[:MOST_TOLD])
                return Next(Verb.ROLL_BACK, told, fired[0])
            if broken is not None and self.spec.has_guarantee:
                return Next(Verb.ROLL_BACK, broken)
        if self.row.state == RunState.PAUSED:
            return Next(Verb.HOLD, self.row.why or "paused")
        if waits := self._waits(now_ms):
            return Next(Verb.HOLD, "waits for: " + "; ".join(waits))
        if self.is_live:
            return Next(Verb.END, f"live for {self.spec.watch_s:g} s, and no test found it worse")
        if self.row.step + 1 < len(self.steps):
            share = self.steps[self.row.step + 1].share
            return Next(
                Verb.STEP,
                f"step {self.row.step + 1} of {len(self.steps)} passed: {share:.4g} of the requests",
            )
        return Next(Verb.GO_LIVE, f"all {len(self.steps)} steps passed: live")

    @property
    def over_ms(self) -> int:
        """Return when the time is over that the step, or the watch once live, holds at least; epoch ms."""
        return self.row.entered_at_ms + round(self._hold_s * 1000)

    @property
    def _hold_s(self) -> float:
        return self.spec.watch_s if self.is_live else self.steps[self.row.step].hold_s

    def _waits(self, now_ms: int) -> list[str]:
        """Return what keeps the step from being passed, the time first."""
        told = f"{rfc3339(self.over_ms)}, when its {self._hold_s:g} s are over"
        found = [told] if now_ms < self.over_ms else []
        return found + self.evidence.missing(is_compared=not self.is_live)


def is_left_alone(row: RolloutRunRow, now_ms: int) -> bool:
    """Return whether a version was live for the time that its watch was agreed for, or its guard cannot be read."""
    try:
        run = Run(row)
    except InvalidInput:
        return True
    return run.is_live and run.over_ms <= now_ms


def taken_over(
    changes: Sequence[RolloutChangeRow], revision: int, ours: Sequence[Version | None]
) -> RolloutChangeRow | None:
    """Return the first change of a point by which somebody else took a rollout over, None when nobody did.

    A third version that goes into the shadow, or leaves it, takes nothing over: nobody is answered by it.

    Args:
        changes: Of the point.
        revision: Of the rollout's own last change.
        ours: Champion and candidate.
    """
    later = sorted(
        (one for one in changes if one.revision > revision), key=lambda one: one.revision
    )
    for change in later:
        if change.stage not in BESIDE or (change.model_name, change.model_number) in ours:
            return change
    return None
