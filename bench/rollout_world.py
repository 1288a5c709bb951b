"""Rollouts in virtual time: the guard's own machine and tests, on decisions that a seeded world makes."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from opsrail.values.guards import GuardSpec, StepPlan, guard_text, steps_text
from opsrail.values.rollouts import RolloutRunRow, RunState
from opsrail.watch.evidence import Evidence
from opsrail.watch.rollout_run import Run, Verb
from opsrail.watch.signals import CANDIDATE, CHAMPION, Seen

ERRORS = Path(__file__).with_name("data") / "drift_elec2_errors" / "errors.json"
STEPS = (StepPlan(0.1, 1000.0), StepPlan(0.3, 300.0), StepPlan(0.5, 300.0))
SPEC = GuardSpec.model_validate(
    {
        "watch_s": 300,
        "cost": {"most_usd": 0.02, "margin_usd": 0.001},
        "override": {"margin": 0.05, "least_count": 60},
        "outcomes": [{"name": "fraud", "among": "approve", "margin": 0.02, "least_count": 100}],
    }
)
"""The defaults and every signal that has a margin: six tests share 5 %."""
STRICT = GuardSpec.model_validate(
    {
        "watch_s": 300, "no_score": {"margin": 0}, "fallback": {"margin": 0}, "latency": {"margin": 0},
        "cost": {"most_usd": 0.02, "margin_usd": 0},
        "override": {"margin": 0, "least_count": 60},
        "outcomes": [{"name": "fraud", "among": "approve", "margin": 0, "least_count": 100}],
    }
)  # fmt: skip
"""No margin anywhere: equal versions stand at the very edge of what is allowed, where false alarms are likeliest."""
TURN_S = 10.0
DECISIONS_PER_S = 2.0
RULED_RATIO = 0.2


@dataclass(frozen=True)
class Habits:
    """How one version behaves.

    Attributes:
        no_score_ratio: Decisions for which it has no score.
        median_ms: Of its latency, which is log-normal with sigma 0.5.
        slow_ratio: Of its calls, those that take ten times as long.
        fraud_ratio, labelled_ratio: Of what it approves, what turns out bad; and how much is ever told, `delay_s` later.
        override_ratio: Of rulings, those against it.
    """

    no_score_ratio: float = 0.005
    median_ms: float = 10.0
    slow_ratio: float = 0.0
    cost_usd: float = 0.002
    fraud_ratio: float = 0.05
    labelled_ratio: float = 0.5
    override_ratio: float = 0.1
    delay_s: float = 60.0


USUAL = Habits()
WORSE = {
    "no-score": Habits(no_score_ratio=0.08),
    "slow": Habits(median_ms=20.0),
    "dear": Habits(cost_usd=0.006),
    "fraud": Habits(fraud_ratio=0.25),
    "override": Habits(override_ratio=0.5),
}
"""Versions that are worse in one thing, each by as much as a person would want it stopped for."""


SLOW_TENTH = Habits(slow_ratio=0.1)
"""Seven hundredths beyond the default margin: it takes some hundred decisions more, which LONGER_STEPS have."""
LONGER_STEPS = (StepPlan(0.1, 1000.0), StepPlan(0.3, 1000.0), StepPlan(0.5, 300.0))


class Ended(NamedTuple):
    """How a rollout ended.

    Attributes:
        step: The step it ended in, from 0; the number of steps when it was live.
        decisions: Of the candidate.
    """

    state: str
    step: int
    decisions: int
    why: str


def row_of(spec: GuardSpec, steps: Sequence[StepPlan]) -> RolloutRunRow:
    return RolloutRunRow(
        "0" * 26, "risk", "model", 2, "model", 1, steps_text(steps), 0, guard_text(spec), "{}", "", RunState.RUNNING,
        1, 0, 0, None, None, 0,
    )  # fmt: skip


class Walk:
    """One rollout's machine, driven as the guard drives it."""

    def __init__(self, spec: GuardSpec, steps: Sequence[StepPlan]) -> None:
        self.run = Run(row_of(spec, steps))
        self.ended: Ended | None = None

    @property
    def share(self) -> float:
        return self.run.arms().share

    @property
    def evidence(self) -> Evidence:
        return self.run.evidence

    def turn(self, now_ms: int) -> bool:
        """Do what follows; return whether the rollout is still under way."""
        run, following = self.run, self.run.next(now_ms)
        if following.verb in (Verb.ROLL_BACK, Verb.END):
            state = "rolled-back" if following.verb == Verb.ROLL_BACK else "promoted"
            self.ended = Ended(state, run.row.step, run.evidence.counts[CANDIDATE], following.why)
        elif following.verb != Verb.HOLD:
            step = run.row.step + 1 if following.verb == Verb.STEP else len(run.steps)
            run.evidence.enter_step()
            run.entered.append((now_ms, step))
            run.row = run.row._replace(step=step, entered_at_ms=now_ms)
        return self.ended is None


def walked(
    candidate: Habits, seed: int, spec: GuardSpec = SPEC, steps: Sequence[StepPlan] = STEPS
) -> Ended:
    """Return how a rollout ends in a world of that seed, beside a champion with the usual habits."""
    rng, walk, habits = random.Random(f"rollout {seed}"), Walk(spec, steps), (USUAL, candidate)
    late: list[tuple[float, str, int, float, str]] = []
    at_s = 0.0
    while True:
        at_s += TURN_S
        decisions = []
        for place in range(round(TURN_S * DECISIONS_PER_S)):
            asked_ms = round(1000 * (at_s - TURN_S + place / DECISIONS_PER_S))
            arm = CANDIDATE if rng.random() < walk.share else CHAMPION
            decisions.append(_decided(rng, arm, habits[arm], asked_ms))
            late += _late(rng, arm, habits[arm], at_s, str(walk.run.row.step))
        walk.evidence.count_decisions(decisions)
        walk.evidence.pass_time(round(at_s * 1000))
        known = [one for one in late if one[0] <= at_s]
        late = [one for one in late if one[0] > at_s]
        for signal, stratum in sorted({(one[1], one[4]) for one in known}):
            numbers = [
                (arm, number)
                for _, name, arm, number, of in known
                if (name, of) == (signal, stratum)
            ]
            walk.evidence.count_late(signal, numbers, stratum)
        if not walk.turn(round(at_s * 1000)) and walk.ended is not None:
            return walk.ended


def _decided(rng: random.Random, arm: int, habits: Habits, at_ms: int) -> Seen:
    has_no_score = rng.random() < habits.no_score_ratio
    latency_us = round(habits.median_ms * 1000 * rng.lognormvariate(0, 0.5))
    latency_us *= 10 if habits.slow_ratio and rng.random() < habits.slow_ratio else 1
    return Seen(
        arm,
        "approve",
        has_no_score,
        has_no_score,
        latency_us,
        habits.cost_usd * rng.uniform(0.5, 1.5),
        at_ms,
    )


def _late(
    rng: random.Random, arm: int, habits: Habits, at_s: float, stratum: str
) -> Iterator[tuple[float, str, int, float, str]]:
    if rng.random() < habits.labelled_ratio:
        bad = float(rng.random() < habits.fraud_ratio)
        yield (
            at_s + rng.expovariate(1 / habits.delay_s),
            "outcome fraud among approve",
            arm,
            bad,
            stratum,
        )
    if rng.random() < RULED_RATIO:
        against = float(rng.random() < habits.override_ratio)
        yield at_s + rng.expovariate(1 / habits.delay_s), "override", arm, against, stratum


# -- Elec2 -----------------------------------------------------------------------------------------------------------

ELEC2_SPEC = GuardSpec.model_validate(
    {
        "watch_s": 365 * 86_400, "no_score": None, "fallback": None, "latency": None,
        "outcomes": [{"name": "wrong", "limit": 0.25, "margin": 0.05, "together": 48}],
    }
)  # fmt: skip
"""At most a quarter may be wrong: the version made 18 % errors in its first weeks. A day's rows count together."""
ELEC2_STEPS = (StepPlan(0.25, 10 * 86_400.0), StepPlan(0.5, 10 * 86_400.0))


class Elec2(NamedTuple):
    """Whether champion and candidate were wrong, row by row from `first_row` on."""

    first_row: int
    change_row: int
    champion: list[bool]
    candidate: list[bool]


def elec2(path: Path = ERRORS) -> Elec2:
    """Return the errors that are shipped."""
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    both = []
    for name in ("champion", "candidate"):
        packed = base64.b64decode(told["errors"][name])
        both.append([bool(packed[row // 8] >> (7 - row % 8) & 1) for row in range(told["rows"])])
    return Elec2(told["first_row"], told["change_row"], *both)


def walked_through_elec2(errors: Elec2, seed: int = 0) -> tuple[Ended | None, int, int]:
    """Return how the rollout of the candidate ended, at which row, and at which row it had gone live.

    Each row is a request; who answers hangs on chance, and whether they were wrong is known at once.
    """
    rng, walk = random.Random(f"elec2 {seed}"), Walk(ELEC2_SPEC, ELEC2_STEPS)
    live_row = 0
    for place, both in enumerate(zip(errors.champion, errors.candidate, strict=True)):
        arm = CANDIDATE if rng.random() < walk.share else CHAMPION
        walk.evidence.count_decisions([Seen(arm, "up", False, False, None, None, place)])
        walk.evidence.count_late("outcome wrong", [(arm, float(both[arm]))], str(walk.run.row.step))
        now_ms = (place + 1) * 1_800_000
        if walk.run.is_live and not live_row:
            live_row = errors.first_row + place
        if not walk.turn(now_ms):
            return walk.ended, errors.first_row + place, live_row
    return None, errors.first_row + len(errors.champion), live_row
