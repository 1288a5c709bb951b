"""Shapes of answers, for the OpenAPI description; answers themselves are made from rows. Shapes only ever grow."""

from __future__ import annotations

import re
from typing import Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request

from opsrail.errors import NotFound
from opsrail.values.cases import CaseState, OutboxState
from opsrail.values.reviews import ReviewState

M = TypeVar("M", bound=BaseModel)
ULID = re.compile("[0-9A-HJKMNP-TV-Z]{26}")
Moment = str


def is_ulid(text: str) -> bool:
    """Return whether a text may be the id of a case or decision."""
    return ULID.fullmatch(text) is not None


def ulid_of(request: Request, what: str) -> str:
    """Return the id of something that the path names. Raises NotFound: nothing has such an id."""
    found: str = request.path_params[f"{what}_id"]
    if not is_ulid(found):
        raise NotFound(f"no {what} {found[:63]!r}")
    return found


def parsed(record: str) -> dict[str, Any]:
    """Return a stored record as plain values."""
    values: dict[str, Any] = orjson.loads(record)
    return values


class Shape(BaseModel):
    """Base of all: more fields may come."""

    model_config = ConfigDict(extra="allow")


class Case(Shape):
    """One run of an automation. Moments are RFC 3339, UTC."""

    id: str
    automation: str
    definition: str
    state: CaseState
    source: str
    outcome: dict[str, Any] | None
    reason: str | None
    waiting_for: str | None
    failures: int
    priority: int
    correlation_id: str
    due_at: Moment | None
    accepted_at: Moment
    updated_at: Moment
    settled_at: Moment | None


class JournalEntry(Shape):
    """One thing a case did."""

    seq: int
    kind: str
    name: str
    attempts: int
    at: Moment


class DecisionSummary(Shape):
    """A decision made in a case."""

    id: str
    point: str
    verdict: str | None
    score: float | None
    degraded: bool


class ReviewSummary(Shape):
    """A review of a case."""

    id: str
    queue: str
    state: ReviewState
    ruling: str | None


class Action(Shape):
    """Something a case does to the world outside, at least once, under one key."""

    key: str
    case_id: str
    automation: str
    action: str
    state: OutboxState
    attempts: int
    last_error: str | None
    due_at: Moment
    created_at: Moment
    sent_at: Moment | None


class CaseView(Case):
    """A case with what it was given and what it did."""

    input: Any
    journal: list[JournalEntry]
    decisions: list[DecisionSummary]
    reviews: list[ReviewSummary]
    actions: list[Action]


class Cases(Shape):
    """A page of cases; `next` leads to the next one."""

    cases: list[Case]
    next: str | None


class Actions(Shape):
    """A page of actions; `next` leads to the next one."""

    actions: list[Action]
    next: str | None


class Model(Shape):
    """The model version that answered, or was asked to."""

    name: str
    number: int
    digest: str
    stage: str
    pool: str | None
    library: str | None = None


class Reason(Shape):
    """Why a verdict is what it is."""

    code: str
    text: str
    source: Literal["rule", "band", "fallback", "policy", "autonomy"]


class ViewRead(Shape):
    """Features that one view gave, with where they came from."""

    view: str
    version: str
    entity: str
    values: dict[str, Any]
    digest: str
    as_of: dict[str, Any] | None


class FallbackStep(Shape):
    """Who was asked next, and why the one before could not answer."""

    what: Literal["live", "standby", "retired", "pool", "fallback", "policy"]
    model: str | None
    why: str


class ReasonCode(Shape):
    """One feature that moved a score."""

    code: str
    feature: str
    value: Any
    contribution: float
    direction: Literal["raised", "lowered"]
    text: str


class ReasonCodes(Shape):
    """The features that moved a score most; `absent` says why there are none."""

    method: Literal["exact-tree", "exact-linear", "approximate"] | None
    space: Literal["log-odds", "probability"] | None
    against: str | None
    baseline: float | None
    codes: list[ReasonCode]
    absent: str | None


class Decision(Shape):
    """One answered request, whole."""

    id: str
    point: str
    impact: Literal["low", "medium", "high"]
    correlation_id: str
    case_id: str | None
    seq: int | None
    actor: str
    model: Model | None
    policy_version: str
    score: float | None
    confidence: float | None
    unknown: list[str]
    verdict: str
    reasons: list[Reason]
    features: list[ViewRead]
    cache: Literal["hit", "shared", "miss", "off"]
    degraded: bool
    degraded_why: str | None
    fallback: list[FallbackStep] = []
    cost_usd: float
    latency_ms: dict[str, float]
    at_ms: int
    reason_codes: ReasonCodes | None
    durability: Literal["synced", "grouped", "async"]
    autonomy: Literal["observe", "assist", "automate"]
    proposed: str | None


class Contributions(Shape):
    """What each feature added to a score: `baseline` and all contributions sum to it."""

    method: Literal["exact-tree", "exact-linear", "approximate"]
    space: Literal["log-odds", "probability"]
    against: str
    baseline: float
    score: float
    codes: list[ReasonCode]


class Absent(Shape):
    """Why something cannot be told."""

    code: str
    text: str


class Explanation(Shape):
    """A decision in plain sentences, with what each feature added to its score."""

    id: str
    verdict: str
    sentences: list[str]
    contributions: Contributions | None
    absent: Absent | None


class Checkpoint(Shape):
    """A signed statement of the ledger's size and root; `note` is a C2SP checkpoint."""

    size: int
    root: str
    note: str
    at: Moment
    verifier_keys: list[str]


class Proof(Shape):
    """That an entry stands in the tree of a checkpoint; check it with the ledger's verifier."""

    format: str
    entry: dict[str, Any]
    index: int
    path: list[str]
    checkpoint: str


class Proofs(Shape):
    """Proofs of what the ledger says about a subject."""

    subject_id: str
    proofs: list[Proof]


class Consistency(Shape):
    """Hashes, hex, from the tree of `size` entries to that of `of`; check them with the root that you kept."""

    size: int
    of: int
    path: list[str]


class Process(Shape):
    """How a model fares that runs in child processes of its own."""

    model: str
    pool: str
    state: Literal["serving", "quarantined", "trial"]
    children: int
    wanted: int
    crashes: int
    quarantined_for_s: float


class Processes(Shape):
    """The models that run in child processes of this process."""

    processes: list[Process]


class Index(Shape):
    """What there is."""

    name: str
    automations: dict[str, str]
    decision_points: dict[str, str]
    links: dict[str, str]


class ProblemKind(Shape):
    """What a problem means."""

    type: str
    title: str
    status: int
    meaning: str


class Problems(Shape):
    """Every problem that may be answered, by code."""

    problems: dict[str, ProblemKind]


class Alive(Shape):
    """The process lives."""

    status: Literal["ok"]


class ReadinessFinding(Shape):
    """One thing that is not as it should be."""

    name: str
    level: Literal["warn", "fail"]
    message: str


class Readiness(Shape):
    """Whether it can serve."""

    status: Literal["ready", "degraded", "not_ready"]
    findings: list[ReadinessFinding]


class Description(Shape):
    """An OpenAPI document."""

    openapi: str


class Fault(Shape):
    """One thing wrong with the request."""

    place: str
    message: str


class Problem(Shape):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    correlation_id: str
    faults: list[Fault] = []
    retry_after_s: int | None = None
