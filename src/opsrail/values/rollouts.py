"""What the store keeps of a rollout under way, of guarantees that are watched, and of alarms."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class RunState(StrEnum):
    """Where a rollout in steps stands."""

    RUNNING = "running"
    PAUSED = "paused"  # no step forward; still watched, and rolled back where evidence asks for it
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled-back"
    STOPPED = "stopped"  # a person took it over


UNDER_WAY = (RunState.RUNNING, RunState.PAUSED)
"""States of a rollout that somebody still carries."""


class RolloutRunRow(NamedTuple):
    """One version on its way to live, in steps, watched by the guard.

    Attributes:
        id: ULID of the change it carries out.
        champion_name, champion_number: Who was live when it began, and is again when it is rolled back.
        steps: JSON: [{"share": 0.05, "hold_s": 600}, ...]; after the last hold the version is live and watched for a while.
        step: Position in `steps`; their number when it is live and still watched.
        guard: JSON: what it is judged by, with limits and false-alarm rates.
        tests: JSON: what the tests have seen so far.
        cursor: Id of the last decision counted.
        revision: Of the point's rollout as this run last wrote it: another revision means that a person stepped in.
        entered_at_ms: When the step began, epoch ms.
        version: Grows with each change, for compare and set.
    """

    id: str
    point: str
    model_name: str
    model_number: int
    champion_name: str | None
    champion_number: int | None
    steps: str
    step: int
    guard: str
    tests: str
    cursor: str
    state: str
    revision: int
    started_at_ms: int
    entered_at_ms: int
    ended_at_ms: int | None
    why: str | None
    version: int


class GuaranteeRow(NamedTuple):
    """One promise about what may go wrong at a point, and what labels have said of it since it was made.

    Attributes:
        id: ULID, of the change that brought it where there was one.
        spec: JSON: the risk in words and as a condition, its limit, the confidence.
        state: JSON: what the test has seen so far.
        cursor: Id of the last outcome counted.
        broken_at_ms: When the evidence against it was enough, epoch ms; NULL: it holds.
        ended_at_ms: When another took its place, epoch ms; NULL: it stands.
    """

    id: str
    point: str
    spec: str
    state: str
    cursor: str
    made_at_ms: int
    broken_at_ms: int | None
    ended_at_ms: int | None
    version: int


class AlarmRow(NamedTuple):
    """Something that a person should look at.

    Attributes:
        kind: What rang, e.g. `guarantee-broken` or `rollout-rolled-back`.
        subject: What it is about, e.g. `claims-fraud/8`.
        text: One sentence for people.
        content: JSON with the figures.
        ended_at_ms: When it was over or seen to, epoch ms; NULL: it rings.
    """

    id: str
    point: str
    kind: str
    subject: str
    text: str
    content: str
    at_ms: int
    ended_at_ms: int | None
    ended_by: str | None
