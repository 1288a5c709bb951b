"""What is drawn for people to look at, as decision points and settings say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opsrail.cases.loader import Definitions
from opsrail.clock import Clock
from opsrail.config import Config
from opsrail.decide.point import DecisionPoint
from opsrail.ports import Store
from opsrail.review.queue import Queue
from opsrail.review.sampling import Plan, Sampler


def sampler_of(config: Config, definitions: Definitions, store: Store, clock: Clock) -> Sampler:
    """Return the loop that opens spot checks and control cases."""
    plans = [
        Plan(
            point.name,
            point.audit,
            point.policy.review,
            point.labels,
            definitions.queues.get(point.audit.queue) or Queue(point.audit.queue),
            point.request,
        )
        for point in definitions.points.values()
        if point.audit is not None
    ]
    reviews = config.reviews
    return Sampler(
        store,
        clock,
        plans,
        reviews.controls,
        uses=reviews.control_uses,
        poll_s=reviews.poll_s,
        late_ms=config.watch.late_ms,
    )


def floors_of(points: Iterable[DecisionPoint[Any]]) -> dict[tuple[str, str], float]:
    """Return, by point and outcome, the probability with which spot checks tell that outcome."""
    return {
        (point.name, outcome): point.audit.ratio
        for point in points
        if point.audit is not None
        for outcome in point.labels
    }
