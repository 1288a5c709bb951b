"""Reason codes on the decision road: computed in a thread of their own within the deadline, or absent with a code why."""

from __future__ import annotations

import functools
from typing import Any

from opsrail.clock import Clock
from opsrail.decide.approximate import contributions_of
from opsrail.decide.aside import Aside
from opsrail.decide.chain import Link
from opsrail.decide.deadline import Deadline
from opsrail.decide.point import DecisionPoint
from opsrail.decide.policy import NoScore
from opsrail.decide.reasons import absent_codes, reason_codes
from opsrail.errors import DeadlinePassed, ModelUnavailable, OpsrailError
from opsrail.features.features import Fetched
from opsrail.registry.registry import Registry
from opsrail.values.explanations import ReasonCodes
from opsrail.values.models import Score

NO_SCORE = "no-score"
MOST_WAITING = 256
"""Ours: some 0.1 s of work for a forest; whoever comes later would hardly be served in time."""


class Reasoner:
    """Explains scores as they are given. One a process; its thread begins when a point first asks for codes."""

    def __init__(self, registry: Registry, clock: Clock) -> None:
        self._registry = registry
        self._clock = clock
        self._aside = Aside("opsrail-reasons", clock, MOST_WAITING)

    async def codes(
        self,
        point: DecisionPoint[Any],
        link: Link | None,
        features: Fetched | NoScore,
        score: Score | NoScore,
        deadline: Deadline,
    ) -> ReasonCodes:
        """Return the features that moved the answering model's score, or why that cannot be told. Raises nothing."""
        if isinstance(score, NoScore) or isinstance(features, NoScore) or link is None:
            return absent_codes(NO_SCORE)
        try:
            left_s = deadline.left_s(self._clock.monotonic_s())
            model = await self._registry.model(link.version, left_s, link.pool)
            left_s = deadline.left_s(self._clock.monotonic_s())
            told = await self._aside.run(
                functools.partial(contributions_of, model, features.row), left_s
            )
        except TimeoutError:
            return absent_codes(DeadlinePassed.code)
        except OpsrailError as fault:
            return absent_codes(fault.code)
        except Exception:  # whatever a model does: a decision does not fail for its reasons
            return absent_codes(ModelUnavailable.code)
        return reason_codes(
            told, features.row, point.request, point.policy, score.value, point.reason_codes
        )

    def close(self) -> None:
        """End the thread."""
        self._aside.close()
