"""What the store keeps of work that runs for minutes: who asked for it, how far it is, what came of it, and its files."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobRow(NamedTuple):
    """One piece of work that runs beside decisions.

    Attributes:
        id: ULID.
        kind: `backtest`, `backfill`, `training-set`, `register`, `import` or `import-mlflow`.
        subject: What it is about: a decision point, a feature view, a model.
        wish: JSON of what is asked.
        by: Who asked.
        owner: The worker that runs it; NULL: nobody does.
        losses: How often the process that ran it died.
        done, total: How far it is, in what `words` says; `total` 0: not known.
        words: What is counted.
        result: JSON of what came of it.
        problem: JSON of why nothing did: `code`, `detail`, `faults`.
        file_id: Of the file that it made.
        version: Grows with each change of the row but for progress, for compare and set.
        created_at_ms, begun_at_ms, ended_at_ms: Epoch ms.
    """

    id: str
    kind: str
    subject: str
    state: str
    wish: str
    by: str
    owner: str | None
    losses: int
    done: float
    total: float
    words: str
    result: str | None
    problem: str | None
    file_id: str | None
    version: int
    created_at_ms: int
    begun_at_ms: int | None
    ended_at_ms: int | None


class JobFileRow(NamedTuple):
    """A file that somebody sent for a job, or that a job made.

    Attributes:
        id: ULID.
        media: What it is, e.g. `text/csv`.
        digest: `sha256:<hex>` of the content.
        by: Who sent it, or asked for the job.
    """

    id: str
    media: str
    digest: str
    size_bytes: int
    by: str
    created_at_ms: int
    content: bytes
