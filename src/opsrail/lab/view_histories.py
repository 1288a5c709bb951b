"""Histories of views from the store, as Arrow tables: only of the entities that are asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from opsrail.errors import MissingExtra
from opsrail.features.view import FeatureView
from opsrail.lab.training import FoldHistory, ViewHistory, history_of
from opsrail.ports import Store
from opsrail.values.features import FactRow, FeatureValueRow
from opsrail.values.rows import Where, equals

if TYPE_CHECKING:
    import pyarrow as pa

ENTITIES = 500
"""Entities of one question to the store."""
PAGE = 20_000
MANY_ENTITIES = 5_000
"""More are read as the table lies. Ours: of 200,000 values in memory that took 1.6 s of CPU, by the index 2.0 s, and a table
that memory does not hold would be read all over the place."""


async def read_history(
    store: Store, view: FeatureView[Any], entities: Sequence[str]
) -> ViewHistory | FoldHistory:
    """Return what a view ever kept, or was taught, about some entities.

    Args:
        entities: Each once.

    Raises:
        MissingExtra: pyarrow is not installed. Terminal.
    """
    try:
        import pyarrow as pa
    except ImportError as missing:
        raise MissingExtra("A history of features", "lab") from missing
    if view.kept is None:
        parts = [_facts(rows) async for rows in _pages(store, FactRow, view, entities)]
        shape = pa.schema({"entity": pa.string(), "at_ms": pa.int64(), "fact": pa.string()})
        return FoldHistory(view, _whole(parts, shape))
    types = {float: pa.float64(), int: pa.int64(), str: pa.string()}
    columns = {name: types[kind] for name, kind in view.kept.features.items()}
    times = {"entity": pa.string(), "event_at_ms": pa.int64(), "written_at_ms": pa.int64()}
    shape = pa.schema({**times, **{f"feature:{name}": kind for name, kind in columns.items()}})
    parts = [
        _values(rows, list(columns), shape)
        async for rows in _pages(store, FeatureValueRow, view, entities)
    ]
    table = _whole(parts, shape).rename_columns([*times, *columns])
    return history_of(view, table)


def _facts(rows: Sequence[FactRow]) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {
            "entity": pa.array([row.entity for row in rows], pa.string()),
            "at_ms": pa.array([row.at_ms for row in rows], pa.int64()),
            "fact": pa.array([row.fact for row in rows], pa.string()),
        }
    )


def _values(rows: Sequence[FeatureValueRow], names: Sequence[str], shape: Any) -> pa.Table:
    import pyarrow as pa

    told = [orjson.loads(row.content) for row in rows]
    columns: list[list[Any]] = [
        [row.entity for row in rows],
        [row.event_at_ms for row in rows],
        [row.written_at_ms for row in rows],
        *([values[name] for values in told] for name in names),
    ]
    return pa.table(
        [pa.array(column, kind.type) for column, kind in zip(columns, shape, strict=True)],
        schema=shape,
    )


def _whole(parts: Sequence[pa.Table], shape: Any) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables(parts) if parts else shape.empty_table()


async def _pages(
    store: Store, table: type[Any], view: FeatureView[Any], entities: Sequence[str]
) -> AsyncIterator[list[Any]]:
    """Yield all rows of the entities; those of one entity in the order of their ids."""
    if len(entities) > MANY_ENTITIES and await _is_most(store, table, view):
        async for rows in _scanned(store, table, view, frozenset(entities)):
            yield rows
        return
    waiting = [
        tuple(entities[first : first + ENTITIES]) for first in range(0, len(entities), ENTITIES)
    ]
    last = ""
    while waiting:
        some = waiting.pop()
        rows = await store.select(
            table,
            *equals(view=view.name, number=view.version),
            Where("entity", "in", some),
            *([Where("id", ">", last)] if last else []),
            order=("id",),
            limit=PAGE,
        )
        if len(rows) == PAGE and len(some) > 1:  # too many for one page: half as many entities
            waiting += [some[len(some) // 2 :], some[: len(some) // 2]]
            continue
        if rows:
            yield rows
        last = rows[-1].id if len(rows) == PAGE else ""
        if last:
            waiting.append(some)


async def _is_most(store: Store, table: type[Any], view: FeatureView[Any]) -> bool:
    """Return whether at least every fourth row of a table is the view's."""
    counted = await store.count(table, by=("view", "number"))
    return 4 * counted.get((view.name, view.version), 0) >= sum(counted.values())


async def _scanned(
    store: Store, table: type[Any], view: FeatureView[Any], entities: frozenset[str]
) -> AsyncIterator[list[Any]]:
    """Yield the entities' rows out of all rows of a table: read in the order they were written, each page once."""
    last, which = "", (view.name, view.version)
    while True:
        rows = await store.select(table, Where("id", ">", last), order=("id",), limit=PAGE)
        ours = [row for row in rows if (row.view, row.number) == which and row.entity in entities]
        if ours:
            yield ours
        if len(rows) < PAGE:
            return
        last = rows[-1].id
