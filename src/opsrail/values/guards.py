"""What a rollout is judged by and how it steps, as its author declares it: checked whole, every fault at once. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from opsrail.errors import Fault, InvalidInput

UNIT_S: Mapping[str, int] = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
STEP = re.compile(
    r"(?P<percent>[0-9]{1,3}(?:\.[0-9]{1,4})?)%:(?P<span>[0-9]{1,6}(?:\.[0-9]{1,3})?)(?P<unit>[smhd])"
)
MOST_STEPS = 20
LONGEST_HOLD_S = 90 * 86_400
LONGEST_WATCH_S = 366 * 86_400
"""Ours: a year has every season in it."""
NAME = "^[a-z][a-z0-9-]{0,62}$"
P99 = 0.01
"""Part of the requests that may take longer than the 99th percentile."""
Ratio = Annotated[float, Field(gt=0, lt=1)]
Margin = Annotated[float, Field(ge=0, lt=1)]
Amount = Annotated[float, Field(ge=-1e12, le=1e12)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]


class Part(BaseModel):
    """A part of a guard: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Judged(Part):
    """What one signal is held to: a limit of its own, or how much worse than the champion it may be, or both.

    Attributes:
        limit: Most that the candidate's own ratio may be.
        margin: By how much it may be above the champion's, counted at the same time.
        least_count: Numbers of each arm without which a step is not passed; None: the guard's `least_count`.
    """

    limit: Ratio | None = None
    margin: Margin | None = None
    least_count: Count | None = None

    @model_validator(mode="after")
    def _is_held(self) -> Judged:
        if not self.is_held:
            raise ValueError(
                "names neither a limit nor a margin; give one, or leave the signal out"
            )
        return self

    @property
    def is_held(self) -> bool:
        """Return whether it is held to anything."""
        return self.limit is not None or self.margin is not None


class Latency(Judged):
    """The 99th percentile of the time from request to verdict, of decisions whose model was asked.

    Attributes:
        p99_ms: Most that it may be; the share of slower decisions is tested against 1 %.
        margin: What part of the decisions beyond 1 % may take longer than the champion's 99th percentile.
        limit: Not of this signal: `p99_ms` is its limit.
    """

    p99_ms: Annotated[float, Field(gt=0, le=600_000)] | None = None
    limit: None = None

    @property
    def is_held(self) -> bool:
        return self.p99_ms is not None or self.margin is not None


class Cost(Part):
    """What a decision costs on average, of those whose model was asked.

    Attributes:
        most_usd: What one decision counts as at most: a test of a mean needs a bound.
        limit_usd: Most that the mean may be.
        margin_usd: By how much it may be above the champion's.
    """

    most_usd: Annotated[float, Field(gt=0, le=1_000_000)]
    limit_usd: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    margin_usd: Annotated[float, Field(ge=0, le=1_000_000)] | None = None
    least_count: Count | None = None

    @model_validator(mode="after")
    def _is_held(self) -> Cost:
        if self.limit_usd is None and self.margin_usd is None:
            raise ValueError(
                "names neither limit_usd nor margin_usd; give one, or leave the signal out"
            )
        for name in ("limit_usd", "margin_usd"):
            if (amount := getattr(self, name)) is not None and amount >= self.most_usd:
                raise ValueError(
                    f"{name} is {amount}, not below most_usd, which is {self.most_usd}"
                )
        return self


class Outcome(Part):
    """What turned out of decisions, by name, as it is told: a KPI whose numbers come late.

    Attributes:
        name: Of the outcome, e.g. `fraud`.
        among: Verdict of the decisions that count; None: all.
        worse: Whether `higher` or `lower` numbers are worse.
        low, high: Bounds of the numbers; what lies beyond counts as the bound.
        limit: Most (of `lower`: least) that the mean may be, in the outcome's own unit.
        margin: By how much it may be worse than the champion's, in the outcome's own unit.
        together: Outcomes of one arm whose mean counts as one number: as many as hang together, e.g. those of a day. Tests
            take numbers for independent of each other; a run of bad hours would look like a bad version.
    """

    name: Annotated[str, Field(pattern=NAME)]
    among: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    worse: Literal["higher", "lower"] = "higher"
    low: Amount = 0.0
    high: Amount = 1.0
    limit: Amount | None = None
    margin: Annotated[float, Field(ge=0, le=1e12)] | None = None
    together: Annotated[int, Field(ge=1, le=100_000)] = 1
    least_count: Count = 30

    @model_validator(mode="after")
    def _agrees(self) -> Outcome:
        if self.limit is None and self.margin is None:
            raise ValueError("names neither a limit nor a margin; give one")
        if self.low >= self.high:
            raise ValueError(f"low is {self.low}, not below high, which is {self.high}")
        if self.limit is not None and not self.low < self.limit < self.high:
            raise ValueError(f"limit is {self.limit}, not between low and high")
        if self.margin is not None and self.margin >= self.high - self.low:
            raise ValueError(f"margin is {self.margin}, not below high - low")
        return self

    @property
    def label(self) -> str:
        """Return what tests and people call it."""
        return f"outcome {self.name}" + (f" among {self.among}" if self.among else "")


class GuardSpec(Part):
    """What a rollout is judged by. All defaults are ours; docs/rollouts.md argues each.

    Attributes:
        false_alarm_ratio: Chance that a version which keeps to all limits is rolled back, over the whole rollout.
        least_count: Decisions of each arm without which a step is not passed.
        judge_after_count: Decisions of the candidate before which nothing is judged.
        watch_s: How long the version is watched once it is live.
        no_score: Decisions for which nobody had a score.
        fallback: Decisions that somebody else than the version asked had to answer.
        override: Rulings of people that differ from what policy said.
        disagreement: Verdicts that differ from what the other version said in the shadow; only a limit.
        has_guarantee: Whether a guarantee that breaks rolls the change back that brought it.
    """

    false_alarm_ratio: Annotated[float, Field(ge=0.0001, le=0.5)] = 0.05
    least_count: Count = 100
    judge_after_count: Count = 30
    watch_s: Annotated[float, Field(ge=0, le=LONGEST_WATCH_S)] = 86_400
    no_score: Judged | None = Judged(margin=0.01)
    fallback: Judged | None = Judged(margin=0.02)
    latency: Latency | None = Latency(margin=0.02)
    cost: Cost | None = None
    override: Judged | None = None
    disagreement: Judged | None = None
    outcomes: tuple[Outcome, ...] = ()
    has_guarantee: bool = True

    @model_validator(mode="after")
    def _agrees(self) -> GuardSpec:
        labels = [outcome.label for outcome in self.outcomes]
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(f"{', '.join(twice)} stands more than once")
        if self.disagreement is not None and self.disagreement.limit is None:
            raise ValueError("disagreement is compared with the champion as it is: give it a limit")
        if self.disagreement is not None and self.disagreement.margin is not None:
            raise ValueError("disagreement has no margin: give it a limit alone")
        return self

    @property
    def judges_nothing(self) -> bool:
        """Return whether no signal is held to anything, so that only a guarantee could end the rollout."""
        signals = (
            self.no_score,
            self.fallback,
            self.latency,
            self.cost,
            self.override,
            self.disagreement,
        )
        return not self.outcomes and not any(signals)


class StepPlan(NamedTuple):
    """One step.

    Attributes:
        share: Part of the requests that the candidate answers.
        hold_s: How long at least, before the next.
    """

    share: float
    hold_s: float


def guard_of(found: object) -> GuardSpec:
    """Return the guard that plain values describe.

    Raises:
        InvalidInput: every fault with its place. Terminal; nothing was begun.
    """
    try:
        return GuardSpec.model_validate(found)
    except ValidationError as wrong:
        raise InvalidInput(
            "the guard cannot be used; nothing was begun", list(_faults(wrong))
        ) from wrong


def guard_from(text: str) -> GuardSpec:
    """Return the guard of JSON text, as a run keeps it. Raises as `guard_of`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as wrong:
        raise InvalidInput(
            "the guard is no JSON; nothing was begun", [Fault("guard", str(wrong))]
        ) from wrong
    return guard_of(found)


def guard_text(spec: GuardSpec) -> str:
    """Return a guard as the JSON that `guard_from` reads, defaults named."""
    return spec.model_dump_json()


def steps_of(text: str) -> tuple[StepPlan, ...]:
    """Return the steps that `5%:10m,25%:30m,50%:1h` describes: shares that rise, each with the least time it holds.

    Raises:
        InvalidInput: every part that is none. Terminal; nothing was begun.
    """
    faults, steps = [], []
    for part in text.split(","):
        if (found := STEP.fullmatch(part.strip())) is None:
            faults.append(
                Fault("steps", f"{part.strip()!r} is no step; write e.g. 5%:10m (units s, m, h, d)")
            )
            continue
        hold_s = float(found["span"]) * UNIT_S[found["unit"]]
        steps.append(StepPlan(float(found["percent"]) / 100, hold_s))
    return checked(steps, faults)


def checked(steps: Sequence[StepPlan], faults: Sequence[Fault] = ()) -> tuple[StepPlan, ...]:
    """Return the steps, if they can be walked. Raises InvalidInput with all that is wrong."""
    found = list(faults)
    if not steps and not found:
        found.append(Fault("steps", "there is none; write e.g. 5%:10m,25%:30m"))
    if len(steps) > MOST_STEPS:
        found.append(Fault("steps", f"there are {len(steps)}; at most {MOST_STEPS}"))
    last = 0.0
    for place, (share, hold_s) in enumerate(steps):
        if not 0 < share < 1:
            found.append(
                Fault(
                    f"steps.{place}.share",
                    f"{share:g} is not above 0 and below 1; live comes by itself",
                )
            )
        elif share <= last:
            found.append(
                Fault(f"steps.{place}.share", f"{share:g} is not above the step before, {last:g}")
            )
        if not 0 <= hold_s <= LONGEST_HOLD_S:
            found.append(
                Fault(f"steps.{place}.hold_s", f"{hold_s:g} is not from 0 to {LONGEST_HOLD_S} s")
            )
        last = share
    if found:
        raise InvalidInput("the steps cannot be walked; nothing was begun", found)
    return tuple(steps)


def steps_text(steps: Sequence[StepPlan]) -> str:
    """Return steps as the JSON that a run keeps."""
    return json.dumps([step._asdict() for step in steps], separators=(",", ":"))


def steps_from(text: str) -> tuple[StepPlan, ...]:
    """Return the steps of a run. Raises InvalidInput: they are none."""
    try:
        found: list[dict[str, Any]] = json.loads(text)
        steps = [StepPlan(float(step["share"]), float(step["hold_s"])) for step in found]
    except (ValueError, TypeError, KeyError) as wrong:
        raise InvalidInput(
            "the steps of a rollout cannot be read", [Fault("steps", str(wrong))]
        ) from wrong
    return checked(steps)


def _faults(wrong: ValidationError) -> Iterator[Fault]:
    for error in wrong.errors(include_url=False, include_input=False):
        place = ".".join(map(str, error["loc"])) or "guard"
        yield Fault(place, error["msg"].removeprefix("Value error, "))
