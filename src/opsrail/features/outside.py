"""Values that another system keeps: what it said of an entity a moment ago, as a decision reads it. No I/O.

Nothing of it is kept here but in decisions' records, with each value's own event time and what that system says of it. So
such a read cannot be made again: its record stands for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from opsrail.errors import FeaturesUnavailable, InvalidInput
from opsrail.features.source import FeastSource
from opsrail.features.view import FeatureView, Kept, Value, value_of
from opsrail.values.decisions import OutsideAsOf, ViewRead
from opsrail.values.features import OutsideValue

PRESENT, NOT_FOUND, EXPIRED = "present", "not-found", "expired"


class OutsideRead:
    """The features of one entity, as they were last given."""

    __slots__ = ("_kept", "_read", "_view", "entity", "fresh_until_s", "turn")

    def __init__(self, view: FeatureView[Any], entity: str) -> None:
        self._view = view
        self._kept = _kept(view)
        self._read: ViewRead | None = None
        self.entity = entity
        self.fresh_until_s = float("-inf")
        self.turn = asyncio.Lock()
        """Held by the one reader that asks."""

    def take(self, given: Mapping[str, OutsideValue], source: str, now_ms: int) -> None:
        """Hold what was given.

        Args:
            given: By feature; all of the view's.

        Raises:
            FeaturesUnavailable: a value is of another type than the view declares. The decision falls back.
        """
        values: dict[str, Value] = {}
        statuses: dict[str, str] = {}
        for name, kind in self._kept.features.items():
            one = given[name]
            statuses[name] = self._status(one, now_ms)
            if statuses[name] != PRESENT:
                values[name] = self._kept.missing[name]
                continue
            try:
                values[name] = value_of(kind, one.value)
            except ValueError as wrong:
                raise FeaturesUnavailable(
                    f"{source} gave for {name} of {self._view.ref}, {self.entity!r}, a value that {wrong}"
                ) from wrong
        moments = {name: given[name].event_at_ms for name in self._kept.features}
        past = OutsideAsOf(source, now_ms, moments, statuses)
        view = self._view
        self._read = ViewRead.of(view.name, str(view.version), self.entity, values, past)

    def read(self) -> ViewRead:
        """Return what is held; it was taken before."""
        if self._read is None:
            raise FeaturesUnavailable(f"nothing was read yet of {self._view.ref}, {self.entity!r}")
        return self._read

    def lasts_s(self, now_ms: int) -> float:
        """Return how long it may be held before a value of it expires, seconds."""
        past = None if self._read is None else self._read.as_of
        if self._kept.ttl_ms is None or not isinstance(past, OutsideAsOf):
            return float("inf")
        ends = [
            at + self._kept.ttl_ms + 1
            for name, at in past.event_at_ms.items()
            if at is not None and past.statuses[name] == PRESENT
        ]
        return min((end - now_ms) / 1000 for end in ends) if ends else float("inf")

    def _status(self, one: OutsideValue, now_ms: int) -> str:
        at_ms = one.event_at_ms
        if one.status == PRESENT and at_ms is not None and self._kept.is_expired(at_ms, now_ms):
            return EXPIRED
        return one.status


def is_outside(view: FeatureView[Any]) -> bool:
    """Return whether a view's values are asked of another system, and not kept here."""
    return view.kept is not None and isinstance(view.kept.source, FeastSource)


def elsewhere(view: FeatureView[Any], what: str) -> InvalidInput:
    """Return why something cannot be had of such a view here."""
    return InvalidInput(
        f"feature view {view.ref} is asked of Feast: {what} cannot be had or kept here; decisions read it where its code "
        "stands, and Feast's own offline store tells the past"
    )


def _kept(view: FeatureView[Any]) -> Kept:
    if view.kept is None:
        raise InvalidInput(f"feature view {view.ref} is folded from facts")
    return view.kept
