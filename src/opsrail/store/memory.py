"""The store as plain dicts: no I/O, the same promises. Read it first; the databases do the same in SQL."""

from __future__ import annotations

import asyncio
import operator
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from opsrail import faults
from opsrail.clock import Clock, SystemClock
from opsrail.errors import StoreUnavailable
from opsrail.ports import EntryChain, Finding, Follow
from opsrail.store.forms import Forms, Kind, Op
from opsrail.store.page_sql import page, turned
from opsrail.store.queries import Condition, Query, query, take
from opsrail.store.shapes import SHAPES, Shape, Values, shape_of
from opsrail.values.ledger import ChainRow
from opsrail.values.rows import Append, Insert, R, Value, Where, Write

Rows = dict[Values, tuple[Any, ...]]


class MemoryStore:
    """Rows in dicts by primary key; gone with the process. See `ports.Store` for the promises."""

    def __init__(
        self,
        chain: EntryChain | None = None,
        *,
        follow: Follow | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._chain = chain
        self._clock = clock or SystemClock()
        self._forms = Forms(follow)
        self._tables: dict[Shape, Rows] = {}
        self._events = {row_type: asyncio.Event() for row_type in SHAPES}
        self._is_open = False

    async def open(self) -> None:
        self._is_open = True

    async def close(self) -> None:
        self._is_open = False

    async def commit(self, writes: Sequence[Write]) -> None:
        asked = self._forms.commit(writes)
        self._must_be_open()
        faults.point("commit.begun")
        entries = self._link(asked.appends)
        ops = (*asked.ops, *self._forms.commit([Insert(entry) for entry in entries]).ops)
        undo: list[Callable[[], object]] = []
        try:
            for op in ops:
                self._apply(op, undo)
        except BaseException:
            for step in reversed(undo):
                step()
            raise
        faults.point("commit.written")
        if entries and self._chain is not None:
            self._chain.advance(entries)
        for op in ops:
            if op.form.kind in (Kind.INSERT, Kind.UPDATE):
                self.changed(op.form.shape.row).set()
        faults.point("commit.done")
        await asyncio.sleep(0)  # others run between two commits, as they do with a database

    async def get(self, table: type[R], *key: Value) -> R | None:
        shape = shape_of(table)
        self._must_be_open()
        return cast(R | None, self._rows(shape).get(shape.key_values(key)))

    async def select(
        self,
        table: type[R],
        *where: Where,
        order: Sequence[str] = (),
        descending: bool = False,
        limit: int = 1000,
    ) -> list[R]:
        asked = query(table, where, order, descending, limit)
        self._must_be_open()
        return cast(list[R], self._matching(asked))

    async def columns(
        self,
        table: type[tuple[Any, ...]],
        names: Sequence[str],
        *where: Where,
        after: Sequence[Value] = (),
        descending: bool = False,
        limit: int = 10_000,
    ) -> list[list[Any]]:
        asked = page(table, names, where, after, limit, descending=descending)
        self._must_be_open()
        shape = asked.query.shape
        found = self._matching(asked.query._replace(limit=sys.maxsize))
        if asked.after:
            is_past = operator.lt if descending else operator.gt
            found = [row for row in found if is_past(shape.key_of(row), asked.after)]
        positions = [shape.position[column.name] for column in asked.columns]
        rows = [tuple(row[index] for index in positions) for row in found[:limit]]
        return turned(asked.columns, rows)

    async def count(
        self, table: type[tuple[Any, ...]], *where: Where, by: Sequence[str] = ()
    ) -> dict[tuple[Any, ...], int]:
        asked = query(table, where, by, False, 0)
        self._must_be_open()
        positions = [asked.shape.position[name] for name in by]
        rows = self._rows(asked.shape).values()
        found = Counter(
            tuple(row[index] for index in positions) for row in rows if _meets(asked, row)
        )
        return dict(found) if by else {(): found[()]}

    async def take(
        self,
        table: type[R],
        *where: Where,
        set: Mapping[str, Value],
        add: Mapping[str, int] | None = None,
        order: Sequence[str] = (),
        limit: int = 100,
    ) -> list[R]:
        asked = take(self._forms, query(table, where, order, False, limit), set, add or {})
        self._must_be_open()
        shape = asked.query.shape
        taken = [asked.changed(row) for row in self._matching(asked.query)]
        self._rows(shape).update((shape.key_of(row), row) for row in taken)
        await asyncio.sleep(0)
        return cast(list[R], taken)

    async def now_ms(self) -> int:
        return self._clock.now_ms()

    def changed(self, table: type[tuple[Any, ...]]) -> asyncio.Event:
        return self._events[shape_of(table).row]

    async def check(self) -> list[Finding]:
        return [
            Finding(
                "memory.durability",
                "warn",
                "rows are kept in memory: all is gone when this process ends",
            )
        ]

    def _must_be_open(self) -> None:
        if not self._is_open:
            raise StoreUnavailable("the store is not open; nothing was written, open it first")

    def _rows(self, shape: Shape) -> Rows:
        return self._tables.setdefault(shape, {})

    def _link(self, appends: Sequence[Append]) -> Sequence[ChainRow]:
        if not appends:
            return ()
        if self._chain is None:
            raise TypeError(
                "this store was made without a chain, so it cannot take an Append; give it one"
            )
        return self._chain.link(appends)

    def _apply(self, op: Op, undo: list[Callable[[], object]]) -> None:
        """Apply one write, noting how to undo it; raise its refusal if it does not fit the rows."""
        form, values, _ = op
        shape, rows = form.shape, self._rows(form.shape)
        if form.kind is Kind.INSERT:
            key = shape.key_of(values)
            if key in rows or self._is_twin(shape, values):
                raise form.refused(values)
            rows[key] = shape.make(values)
            undo.append(lambda: rows.pop(key))
        elif form.kind is Kind.DELETE:
            keys = rows if op.cell is None else [key for key in (values,) if key in rows]
            gone = {key: rows[key] for key in keys if _deletes(op, rows[key])}
            for key in gone:
                del rows[key]
            undo.append(lambda: rows.update(gone))
        else:
            self._check_or_update(op, rows, undo)

    def _check_or_update(self, op: Op, rows: Rows, undo: list[Callable[[], object]]) -> None:
        form, values, _ = op
        keys, changes = len(form.key), len(form.changes)
        key, new, same = values[:keys], values[keys : keys + changes], values[keys + changes :]
        row = rows.get(key)
        position = form.shape.position
        if row is None or any(
            row[position[c.name]] != value for c, value in zip(form.conditions, same, strict=True)
        ):
            raise form.refused(values)
        if form.kind is Kind.UPDATE:
            changed = list(row)
            for column, value in zip(form.changes, new, strict=True):
                changed[position[column.name]] = value
            rows[key] = form.shape.make(changed)
            undo.append(lambda: rows.update({key: row}))

    def _is_twin(self, shape: Shape, values: Values) -> bool:
        return any(
            all(row[index] == values[index] and row[index] is not None for index in group)
            for group in shape.unique_positions
            for row in self._rows(shape).values()
        )

    def _matching(self, asked: Query) -> list[tuple[Any, ...]]:
        """Return the rows that meet the conditions, in order, at most `limit`."""
        found = [row for row in self._rows(asked.shape).values() if _meets(asked, row)]
        for part in reversed(
            asked.order
        ):  # a stable sort by the last column first gives the order by all of them
            index = asked.shape.position[part.column.name]
            found.sort(key=lambda row: _rank(row[index]), reverse=part.descending)
        return found[: asked.limit]


def _rank(value: Value) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)


def _deletes(op: Op, row: tuple[Any, ...]) -> bool:
    form, values, _ = op
    position = form.shape.position
    return all(row[position[c.name]] is None for c in form.nulls) and all(
        row[position[c.name]] == value for c, value in zip(form.conditions, values, strict=True)
    )


def _meets(asked: Query, row: tuple[Any, ...]) -> bool:
    position = asked.shape.position
    return all(
        _holds(condition, row[position[condition.column.name]]) for condition in asked.conditions
    )


def _holds(condition: Condition, value: Any) -> bool:
    """Return whether a value meets a condition; NULL meets none but `null`, as in SQL."""
    if condition.op == "null":
        return (value is None) is condition.values[0]
    if value is None:
        return False
    if condition.op == "in":
        return value in condition.values
    return bool(COMPARISONS[condition.op](value, condition.values[0]))


COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
