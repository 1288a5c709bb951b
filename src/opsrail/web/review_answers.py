"""Shapes of what is answered about reviews and queues."""

from __future__ import annotations

from typing import Any

from opsrail.values.reviews import ReviewState
from opsrail.web.answers import Moment, Shape


class Review(Shape):
    """One question to a person; `verdict` and parts of `subject` are null while they must not be known."""

    id: str
    case_id: str | None
    automation: str
    queue: str
    question: str
    decision_id: str | None
    subject: dict[str, Any]
    verdict: str | None
    verdicts: list[str]
    state: ReviewState
    standing: str
    priority: int
    assignee: str | None
    ruling: str | None
    ruling_reason: str | None
    ruled_by: str | None
    form: dict[str, Any] | None
    fields: dict[str, Any] | None
    skills: list[str]
    eyes: int
    is_blind: bool
    is_shown: bool
    level: int
    version: int
    may_undo_until: Moment | None
    due_at: Moment | None
    lease_until: Moment | None
    opened_at: Moment
    ruled_at: Moment | None
    delivered_at: Moment | None


class Reviews(Shape):
    """A page of reviews; `next` leads to the next one."""

    reviews: list[Review]
    next: str | None


class NextReview(Shape):
    """The review that a person got; null: there is none for them."""

    review: Review | None


class RefusedRuling(Shape):
    """A review of several that was not ruled, and why."""

    id: str
    code: str
    detail: str


class RuledReviews(Shape):
    """What came of ruling on several reviews."""

    ruled: list[Review]
    failed: list[RefusedRuling]


class QueueCount(Shape):
    """How a queue stands."""

    queue: str
    title: str
    waiting: int
    claimed: int
    overdue: int
    oldest_at: Moment | None


class Queues(Shape):
    """Queues that have something waiting, or that the served files declare."""

    queues: list[QueueCount]


class ReviewEvent(Shape):
    """One thing that happened to a review."""

    seq: int
    kind: str
    by: str | None
    at: Moment
    content: dict[str, Any]


class ReviewEvents(Shape):
    """What happened to a review, first to last."""

    events: list[ReviewEvent]
