"""A decision point as its settings hold it: other bands, another deadline, and how much is left to the machine."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from opsrail.decide.point import DecisionPoint
from opsrail.decide.policy import Judgement
from opsrail.errors import OpsrailError
from opsrail.registry.wishes import Declared
from opsrail.values.canonical import canonical
from opsrail.values.reasons import Reason
from opsrail.values.settings import Autonomy, PointSettings, level_of

M = TypeVar("M", bound=BaseModel)
WHY: Mapping[Autonomy, str] = {
    "observe": "People decide here; what model and policy say is kept, and not shown to them.",
    "assist": "A person decides here; policy says {!r}, for them to confirm.",
}


class HeldPoints:
    """Points under their settings, each made once a revision."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[DecisionPoint[Any], int, DecisionPoint[Any]]] = {}

    def of(self, point: DecisionPoint[M], settings: PointSettings) -> DecisionPoint[M]:
        """Return the point as it is to be asked."""
        known = self._held.get(point.name)
        if known is None or known[0] is not point or known[1] != settings.revision:
            known = self._held[point.name] = (point, settings.revision, held(point, settings))
        return known[2]


def held(point: DecisionPoint[M], settings: PointSettings) -> DecisionPoint[M]:
    """Return a decision point with what its settings say instead of its code."""
    under = copy.copy(point)
    under.__dict__.pop("policy_version", None)  # the code's own, where it was asked for
    if settings.bands is not None:
        under.policy = point.policy.with_bands(settings.bands)
    if settings.deadline_ms is not None:
        under.deadline_ms = settings.deadline_ms
    under.autonomy = settings.autonomy
    return under


def left_to(point: DecisionPoint[Any], values: Mapping[str, Any]) -> Autonomy:
    """Return how much is left to the machine for a request.

    Args:
        values: The request's fields as JSON.
    """
    return level_of(point.autonomy, values) if point.autonomy else "automate"


def handed_over(
    judgement: Judgement, level: Autonomy, review: str
) -> tuple[str, tuple[Reason, ...], str | None]:
    """Return what is answered: what policy says or, where a person decides, the verdict that sends to one, and why.

    Verdict, reasons, and what policy said where it is not what is answered.

    Args:
        review: The verdict that sends to a person.
    """
    verdict, reasons = judgement.verdict, judgement.reasons
    if level == "automate":
        return verdict, reasons, None
    why = Reason(f"autonomy-{level}", WHY[level].format(verdict), "autonomy")
    return review, (why, *reasons), verdict


def _arm_of(point: DecisionPoint[Any], values: Mapping[str, Any]) -> str | None:
    """Return whose request a recorded one was; None where the code now cannot say."""
    try:
        facts = point.request.model_validate_json(canonical(values))
        return point.entity_of(facts, "")
    except (ValidationError, OpsrailError):
        return None


def declared_of(points: Mapping[str, DecisionPoint[Any]]) -> dict[str, Declared]:
    """Return what the code says of decision points, as far as changes look at it."""
    return {
        name: Declared(
            point.impact,
            point.policy.bands,
            point.deadline_ms,
            point.policy.verdicts,
            point.policy.review,
            frozenset(point.request.model_fields),
            point.segments,
            None if point.entity is None else partial(_arm_of, point),
        )
        for name, point in points.items()
    }
