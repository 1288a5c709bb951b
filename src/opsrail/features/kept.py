"""Kept values: the newest of an entity in memory, what was known at a moment, and the very row that a decision read.

Of the values whose event time and written time are past, the one with the latest event time holds; a correction of the same
event time, written later, takes its place from when it was written. Rows never change, so a read that names its row is exact
for ever, whatever is pushed, corrected or read in afterwards, and by however many processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson

from opsrail.errors import AuthorError, NotFound
from opsrail.features.view import FeatureView, Kept, Value
from opsrail.ports import Store
from opsrail.values.decisions import ValueAsOf, ViewRead
from opsrail.values.features import FeatureValueRow
from opsrail.values.rows import Where, equals

NEWEST = ("event_at_ms", "written_at_ms", "id")


class KeptValue:
    """The newest value of one entity, as a decision reads it."""

    __slots__ = ("_read", "_row_id", "_view", "entity", "fresh_until_s", "turn")

    def __init__(self, view: FeatureView[Any], entity: str) -> None:
        self._view = view
        self._read: ViewRead | None = None
        self._row_id: tuple[str, bool] | None = None
        self.entity = entity
        self.fresh_until_s = float("-inf")
        self.turn = asyncio.Lock()
        """Held by the one reader that asks the store."""

    def take(self, row: FeatureValueRow | None, moment_ms: int) -> None:
        """Hold what stands in the store at a moment; the same row again keeps what was written of it."""
        is_expired = row is not None and _kept(self._view).is_expired(row.event_at_ms, moment_ms)
        row_id = ("" if row is None else row.id, is_expired)
        if row_id != self._row_id or self._read is None:
            self._row_id = row_id
            self._read = read_of(self._view, self.entity, row, is_expired=is_expired)

    def read(self) -> ViewRead:
        """Return what is held; it was taken before."""
        return nothing_of(self._view, self.entity) if self._read is None else self._read

    def lasts_s(self, moment_ms: int) -> float:
        """Return how long it may be held before it expires, seconds."""
        ttl_ms = _kept(self._view).ttl_ms
        past = None if self._read is None else self._read.as_of
        if ttl_ms is None or not isinstance(past, ValueAsOf) or past.is_expired:
            return float("inf")
        return (past.event_at_ms + ttl_ms + 1 - moment_ms) / 1000


async def newest(
    store: Store, view: FeatureView[Any], entity: str, moment_ms: int
) -> FeatureValueRow | None:
    """Return the value that held at a moment, as far as it was known then; expired ones too."""
    rows = await store.select(
        FeatureValueRow,
        *equals(view=view.name, number=view.version, entity=entity),
        Where("event_at_ms", "<=", moment_ms),
        Where("written_at_ms", "<=", moment_ms),
        order=NEWEST,
        descending=True,
        limit=1,
    )
    return rows[0] if rows else None


async def known_at(store: Store, view: FeatureView[Any], entity: str, moment_ms: int) -> ViewRead:
    """Return what was known of an entity at a moment."""
    row = await newest(store, view, entity, moment_ms)
    expired = row is not None and _kept(view).is_expired(row.event_at_ms, moment_ms)
    return read_of(view, entity, row, is_expired=expired)


async def read_again(store: Store, view: FeatureView[Any], read: ViewRead) -> ViewRead:
    """Return what a past decision read, from the row that it names.

    Raises:
        NotFound: the row is gone. Terminal: somebody removed it; the decision's record holds the values and their digest.
    """
    past = read.as_of
    if not isinstance(past, ValueAsOf):
        return nothing_of(view, read.entity)
    row = await store.get(FeatureValueRow, past.value_id)
    if row is None:
        raise NotFound(
            f"value {past.value_id} of {read.name} for {read.entity!r} is not kept any more; "
            "the decision's record has what it was"
        )
    return read_of(view, read.entity, row, is_expired=past.is_expired)


def read_of(
    view: FeatureView[Any], entity: str, row: FeatureValueRow | None, *, is_expired: bool
) -> ViewRead:
    """Return a row as a decision reads it."""
    if row is None:
        return nothing_of(view, entity)
    as_of = ValueAsOf(row.id, row.event_at_ms, row.written_at_ms, is_expired)
    values = _kept(view).missing if is_expired else values_of(view, row.content)
    return ViewRead.of(view.name, str(view.version), entity, values, as_of)


def nothing_of(view: FeatureView[Any], entity: str) -> ViewRead:
    """Return what is read of an entity without a value."""
    return ViewRead.of(view.name, str(view.version), entity, _kept(view).missing)


def values_of(view: FeatureView[Any], content: str) -> Mapping[str, Value]:
    """Return a row's values in the types that the view declares."""
    told = orjson.loads(content)
    return {
        name: float(told[name]) if kind is float and told[name] is not None else told[name]
        for name, kind in _kept(view).features.items()
    }


def _kept(view: FeatureView[Any]) -> Kept:
    if view.kept is None:
        raise AuthorError(f"feature view {view.ref} is folded from facts; it keeps no values")
    return view.kept
