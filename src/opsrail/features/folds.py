"""Views in memory, an entity each: folded histories, carried on by the facts that came since, and kept values. No I/O."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from opsrail.errors import AuthorError, InvalidInput
from opsrail.features.facts import folded
from opsrail.features.kept import KeptValue
from opsrail.features.outside import OutsideRead, is_outside
from opsrail.features.view import FeatureView
from opsrail.values.decisions import AsOf, ViewRead
from opsrail.values.features import FactRow

Key = tuple[str, int, str]


class Fold:
    """The history of one entity, folded up to `last_id`."""

    __slots__ = ("_read", "_state", "_view", "as_of", "entity", "fresh_until_s", "turn")

    def __init__(self, view: FeatureView[Any], entity: str) -> None:
        self._view = view
        self._state = view.initial()
        self._read: ViewRead | None = None
        self.entity = entity
        self.as_of: AsOf | None = None
        self.fresh_until_s = float("-inf")
        self.turn = asyncio.Lock()
        """Held by the one reader that extends it: a thousand who ask at once read a long history once, not each."""

    @property
    def last_id(self) -> str:
        """Id of the last fact folded; empty before the first."""
        return "" if self.as_of is None else self.as_of.fact_id

    def extend(self, rows: Sequence[FactRow]) -> None:
        """Fold the facts that are new; those known already are passed over, so two readers of one page do no harm.

        Raises:
            AuthorError: the view's fold failed; the state is unusable, drop this Fold.
        """
        fresh = [row for row in rows if row.id > self.last_id]
        if fresh:
            count = len(fresh) + (0 if self.as_of is None else self.as_of.fact_count)
            self._state = folded(self._view, self._state, fresh)
            self.as_of = AsOf(fresh[-1].id, fresh[-1].at_ms, count)
            self._read = None

    def read(self) -> ViewRead:
        """Return the features as they follow from the facts folded so far.

        Raises:
            AuthorError: the view's read failed or gave what no feature may be.
        """
        if self._read is None:
            values = self._view.read(self._state)
            try:
                self._read = ViewRead.of(
                    self._view.name, str(self._view.version), self.entity, values, self.as_of
                )
            except InvalidInput as fault:
                raise AuthorError(
                    f"feature view {self._view.ref}: read gave what JSON cannot hold: {fault}"
                ) from fault
        return self._read


Held = Fold | KeptValue | OutsideRead


def _fresh(view: FeatureView[Any], entity: str) -> Held:
    if view.kept is None:
        return Fold(view, entity)
    return OutsideRead(view, entity) if is_outside(view) else KeptValue(view, entity)


class Folds:
    """A bounded number of entities; the one asked for least recently goes first."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held: OrderedDict[Key, Held] = OrderedDict()

    def of(self, view: FeatureView[Any], entity: str) -> Held:
        """Return what is held of an entity, a fresh one when there is nothing."""
        key = (view.name, view.version, entity)
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = _fresh(view, entity)
            if len(self._held) > self._capacity:
                self._held.popitem(last=False)
        else:
            self._held.move_to_end(key)
        return held

    def drop(self, view: FeatureView[Any], entity: str) -> None:
        """Forget an entity; the next reader reads it anew."""
        self._held.pop((view.name, view.version, entity), None)

    def __len__(self) -> int:
        return len(self._held)
