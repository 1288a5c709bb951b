"""SQL text for SQLite: bulk statements in a few fixed sizes, and rows packed into one JSON text.

Why not row by row: Python's sqlite3 gives the interpreter lock away at every step of a statement and must win it back from a
busy event loop, up to 5 ms a row. So a group's writes of one form are one statement (sizes are fixed so that the statement
cache hits; the rest is padded with NULL rows that the statement skips), and a read returns one row holding all rows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson

from opsrail.store.forms import Form, Kind
from opsrail.store.page_sql import Page, page_sql
from opsrail.store.queries import (
    Condition,
    Query,
    order_sql,
    quoted,
    serving_index,
    where_sql,
)
from opsrail.store.shapes import Column, Shape, Values

VARIABLES = 32_766
"""Bound values in one statement at most. Source: sqlite.org/limits.html, SQLITE_MAX_VARIABLE_NUMBER since 3.32."""
SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Rows of a bulk statement: a third is padding at most."""


@lru_cache(maxsize=1024)
def largest(width: int) -> int:
    """Return the most rows of `width` values that one statement binds."""
    return max((size for size in SIZES if size * width <= VARIABLES), default=1)


def chunks(
    form: Form, rows: Sequence[Values], text: Callable[[Form, int], str]
) -> Iterable[tuple[str, Sequence[Any], int]]:
    """Return the statements that write all rows: SQL, what to bind, number of rows.

    Args:
        text: `statement`, with the caller's memory.
    """
    width = len(form.columns)
    if width == 0 or len(rows) == 1:
        return ((text(form, 1), rows[0], 1),)
    most = largest(width)
    return [_chunk(form, rows[at : at + most], text) for at in range(0, len(rows), most)]


def _chunk(
    form: Form, rows: Sequence[Values], text: Callable[[Form, int], str]
) -> tuple[str, Sequence[Any], int]:
    count = len(rows)
    size = SIZES[bisect_left(SIZES, count)]
    padding = (None,) * (len(form.columns) * (size - count))
    return text(form, size), (*chain.from_iterable(rows), *padding), count


def statement(form: Form, size: int) -> str:
    """Return the SQL of a form for that many rows."""
    return _single(form) if size == 1 else _bulk(form, size)


def _single(form: Form) -> str:
    table = f'"{form.shape.name}"'
    if form.kind is Kind.INSERT:
        return f"INSERT INTO {table} ({quoted(form.changes)}) VALUES ({_marks(form)})"
    number = {id(column): index + 1 for index, column in enumerate(form.key)}
    keys = len(form.key)
    at = keys + len(form.changes)
    tests = [f'"{column.name}" = ?{number[id(column)]}' for column in form.key]
    same = "=" if form.kind is Kind.DELETE else "IS"
    tests += [
        f'"{column.name}" {same} ?{at + index + 1}' for index, column in enumerate(form.conditions)
    ]
    tests += [f'"{column.name}" IS NULL' for column in form.nulls]
    where = " AND ".join(tests)
    if form.kind is Kind.REQUIRE:
        return f"SELECT count(*) FROM {table} WHERE {where}"
    if form.kind is Kind.DELETE:
        return f"DELETE FROM {table} WHERE {where}"
    changes = ", ".join(
        f'"{column.name}" = ?{keys + index + 1}' for index, column in enumerate(form.changes)
    )
    return f"UPDATE {table} SET {changes} WHERE {where}"


def _bulk(form: Form, size: int) -> str:
    table = f'"{form.shape.name}"'
    values = f"(VALUES {', '.join([f'({_marks(form)})'] * size)}) AS v"
    if form.kind is Kind.INSERT:
        key = form.shape.key_positions[0] + 1
        return f"INSERT INTO {table} ({quoted(form.changes)}) SELECT * FROM {values} WHERE v.column{key} IS NOT NULL"
    keys = len(form.key)
    at = keys + len(form.changes)
    tests = [f't."{column.name}" = v.column{index + 1}' for index, column in enumerate(form.key)]
    same = "=" if form.kind is Kind.DELETE else "IS"
    tests += [
        f't."{column.name}" {same} v.column{at + index + 1}'
        for index, column in enumerate(form.conditions)
    ]
    tests += [f't."{column.name}" IS NULL' for column in form.nulls]
    where = " AND ".join(tests)
    # CROSS JOIN holds SQLite to reading v first and looking each row up by its key.
    if form.kind is Kind.REQUIRE:
        return f"SELECT count(*) FROM {values} CROSS JOIN {table} AS t ON {where}"
    if form.kind is Kind.DELETE:
        found = (
            f"SELECT {quoted(form.shape.key, 't')} FROM {values} CROSS JOIN {table} AS t ON {where}"
        )
        return f"DELETE FROM {table} WHERE ({quoted(form.shape.key)}) IN ({found})"
    changes = ", ".join(
        f'"{column.name}" = v.column{keys + index + 1}' for index, column in enumerate(form.changes)
    )
    return f"UPDATE {table} AS t SET {changes} FROM {values} WHERE {where}"


def _marks(form: Form) -> str:
    return ", ".join("?" * len(form.columns))


def get_sql(shape: Shape) -> str:
    """Return the SQL that reads one row by key."""
    tests = " AND ".join(f'"{column.name}" = ?' for column in shape.key)
    return f'SELECT {quoted(shape.columns)} FROM "{shape.name}" WHERE {tests}'


def select_sql(query: Query) -> tuple[str, list[Any]]:
    """Return the SQL that reads rows one by one, and what to bind.

    Without statistics SQLite prefers an index that narrows by a range, then sorts a whole backlog for every claim; so the
    index that has the order is named. Rows asked for by key are found by key and by nothing else: by another condition's
    index, a ruling looked through all 100,000 waiting cases (bench parked: 155 ms to wake a case, 16 ms since).
    """
    held = {condition.column.name for condition in query.conditions if condition.op in ("=", "in")}
    key = {column.name for column in query.shape.key}
    is_keyed = key <= held
    where, bound = where_sql(query.conditions, "?", _any_of, held - key if is_keyed else ())
    index = None if is_keyed else serving_index(query)
    source = f'"{query.shape.name}"' + (f' INDEXED BY "{index}"' if index else "")
    sql = (
        f"SELECT {quoted(query.shape.columns)} FROM {source}{where}{order_sql(query.order)} LIMIT ?"
    )
    return sql, [*bound, query.limit]


def count_sql(
    shape: Shape, conditions: Sequence[Condition], by: Sequence[Column]
) -> tuple[str, list[Any]]:
    """Return the SQL that counts rows by the values of columns, and what to bind."""
    where, bound = where_sql(conditions, "?", _any_of)
    if not by:
        return f'SELECT count(*) FROM "{shape.name}"{where}', bound
    return f'SELECT {quoted(by)}, count(*) FROM "{shape.name}"{where} GROUP BY {quoted(by)}', bound


def columns_sql(page: Page) -> tuple[str, list[Any]]:
    """Return the SQL that reads a page of columns, and what to bind."""
    return page_sql(page, "?", _any_of)


def packed_sql(query: Query) -> tuple[str, list[Any]] | None:
    """Return the SQL that reads all rows as one JSON text, or None if the table holds bytes, which JSON cannot."""
    shape = query.shape
    if any(column.kind is bytes for column in shape.columns):
        return None
    sql, bound = select_sql(query)
    return (
        f"SELECT json_group_array(json_array({', '.join(map(_packed, shape.columns))})) FROM ({sql})",
        bound,
    )


def _packed(column: Column) -> str:
    # SQLite prints floats in JSON with 15 digits, and with quote() where it believes that they are enough: its own reader
    # of numbers rounds otherwise than ours, so that one in ten thousand came back as its neighbour. 21 digits are enough.
    return (
        f"""iif("{column.name}" IS NULL, NULL, printf('%!.20e', "{column.name}"))"""
        if column.kind is float
        else f'"{column.name}"'
    )


def unpacked(shape: Shape, text: str) -> list[tuple[Any, ...]]:
    """Return the rows of a JSON text made by `packed_sql`."""
    rows = orjson.loads(text)
    make = shape.make
    if casts := _casts(shape, (bool, float)):
        for row in rows:
            for index, kind in casts:
                if row[index] is not None:
                    row[index] = kind(row[index])
    return [make(row) for row in rows]


def made(shape: Shape, row: Sequence[Any]) -> tuple[Any, ...]:
    """Return a row as SQLite gave it as a row of its type; booleans come as integers."""
    if casts := _casts(shape, (bool,)):
        row = list(row)
        for index, kind in casts:
            row[index] = None if row[index] is None else kind(row[index])
    return shape.make(row)


@lru_cache(maxsize=256)
def _casts(shape: Shape, kinds: tuple[type, ...]) -> tuple[tuple[int, type], ...]:
    return tuple(
        (index, column.kind) for index, column in enumerate(shape.columns) if column.kind in kinds
    )


def _any_of(condition: Condition) -> tuple[str, Values]:
    if condition.column.kind in (str, int, bool):
        return "IN (SELECT value FROM json_each(?))", (orjson.dumps(condition.values).decode(),)
    return f"IN ({', '.join('?' * len(condition.values))})", condition.values
