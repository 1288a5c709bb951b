"""What the canary's choice hung on, found again from a decision's record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from opsrail.decide.point import DecisionPoint
from opsrail.errors import AuthorError
from opsrail.watch.signals import ArmKey, key_of


def arm_key_of(points: Mapping[str, DecisionPoint[Any]]) -> ArmKey:
    """Return what finds a decision's key: its point's entity, where the code at hand names one, as when it was routed."""

    def found(point: str, record: Mapping[str, Any]) -> str:
        other = key_of(point, record)
        known = points.get(point)
        if known is None or known.entity is None:
            return other
        try:
            facts = known.request.model_validate(record["features"][0]["values"])
            return known.entity_of(facts, other)
        except (AuthorError, ValidationError, LookupError):
            return other  # the code is another by now: as good a guess as any

    return found
