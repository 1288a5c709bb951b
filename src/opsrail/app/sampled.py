"""What is drawn for people to look at, as decision points and settings say."""

from __future__ import annotations

from opsrail.cases.loader import Definitions
from opsrail.clock import Clock
from opsrail.config import Config
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
