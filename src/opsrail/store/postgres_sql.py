"""SQL text for PostgreSQL: a group's writes of one form travel as one JSON array and one statement.

Why JSON: the array is made in C in one call, however many rows, and taken apart on the server's core, not on ours; the
statement's text never changes, so it is prepared once. A row of 20 columns, microseconds here / in the server, by turns on
one machine: jsonb 5 / 25, json 8 / 115, bound arrays 80 / 30, COPY 8 / 16 but with round trips of its own for each table.
Tables that hold bytes are written row by row, bound as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import orjson

from opsrail.store.forms import Form, Kind
from opsrail.store.page_sql import Page, page_sql
from opsrail.store.queries import (
    Condition,
    Query,
    Take,
    order_sql,
    quoted,
    where_sql,
)
from opsrail.store.shapes import Column, Shape, Values

TYPES = {str: "text", int: "bigint", float: "double precision", bytes: "bytea", bool: "boolean"}


def batches(
    form: Form, rows: Sequence[Values], text: Callable[[Form, bool], str]
) -> Iterable[tuple[str, Sequence[Any], int]]:
    """Yield the statements that write all rows: SQL, what to bind, number of rows.

    Args:
        text: `statement`, with the caller's memory.
    """
    if any(column.kind is bytes for column in form.columns):
        for row in rows:
            yield text(form, False), row, 1
    else:
        yield text(form, True), (orjson.dumps(rows, default=tuple).decode(),), len(rows)


def statement(form: Form, is_packed: bool) -> str:
    """Return the SQL of a form; packed: for any number of rows in one JSON array, else for one bound row."""
    table = f'"{form.shape.name}" AS t'
    names = [
        _unpacked(index, column) if is_packed else f"v.c{index}"
        for index, column in enumerate(form.columns)
    ]
    source = "jsonb_array_elements(%s::jsonb) AS v(e)" if is_packed else _bound(form.columns)
    if form.kind is Kind.INSERT:
        return (
            f"INSERT INTO {table} ({quoted(form.changes)}) SELECT {', '.join(names)} FROM {source}"
        )
    keys, at = len(form.key), len(form.key) + len(form.changes)
    same = "=" if form.kind is Kind.DELETE else "IS NOT DISTINCT FROM"
    tests = [f't."{column.name}" = {names[index]}' for index, column in enumerate(form.key)]
    tests += [
        f't."{column.name}" {same} {names[at + index]}'
        for index, column in enumerate(form.conditions)
    ]
    tests += [f't."{column.name}" IS NULL' for column in form.nulls]
    where = " AND ".join(tests)
    if form.kind is Kind.REQUIRE:
        # FOR SHARE: nobody changes the row before this transaction ends; waits for who is changing it, then looks again.
        return f"SELECT 1 FROM {table}, {source} WHERE {where} FOR SHARE OF t"
    if form.kind is Kind.DELETE:
        return f"DELETE FROM {table} USING {source} WHERE {where}"
    changes = ", ".join(
        f'"{column.name}" = {names[keys + index]}' for index, column in enumerate(form.changes)
    )
    return f"UPDATE {table} SET {changes} FROM {source} WHERE {where}"


def _unpacked(index: int, column: Column) -> str:
    text = f"(v.e->>{index})"
    return text if column.kind is str else f"{text}::{TYPES[column.kind]}"


def _bound(columns: Sequence[Column]) -> str:
    marks = ", ".join(f"%s::{TYPES[column.kind]}" for column in columns)
    return f"(VALUES ({marks})) AS v({', '.join(f'c{index}' for index in range(len(columns)))})"


@lru_cache(maxsize=256)
def get_sql(shape: Shape) -> str:
    """Return the SQL that reads one row by key."""
    tests = " AND ".join(f'"{column.name}" = %s' for column in shape.key)
    return f'SELECT {quoted(shape.columns)} FROM "{shape.name}" WHERE {tests}'


def select_sql(query: Query) -> tuple[str, list[Any]]:
    """Return the SQL that reads rows, and what to bind."""
    where, bound = where_sql(query.conditions, "%s", _any_of)
    sql = f'SELECT {quoted(query.shape.columns)} FROM "{query.shape.name}"{where}{order_sql(query.order)} LIMIT %s'
    return sql, [*bound, query.limit]


def columns_sql(page: Page) -> tuple[str, list[Any]]:
    """Return the SQL that reads a page of columns, and what to bind."""
    return page_sql(page, "%s", _any_of)


def count_sql(
    shape: Shape, conditions: Sequence[Condition], by: Sequence[Column]
) -> tuple[str, list[Any]]:
    """Return the SQL that counts rows by the values of columns, and what to bind."""
    where, bound = where_sql(conditions, "%s", _any_of)
    if not by:
        return f'SELECT count(*) FROM "{shape.name}"{where}', bound
    return f'SELECT {quoted(by)}, count(*) FROM "{shape.name}"{where} GROUP BY {quoted(by)}', bound


def take_sql(take: Take) -> tuple[str, list[Any]]:
    """Return the SQL that locks rows nobody else holds, changes them and returns them with their place in the order.

    MATERIALIZED keeps the planner from running the locking part more than once, which would take more than the limit.
    """
    query = take.query
    table, key = f'"{query.shape.name}"', query.shape.key
    where, bound = where_sql(query.conditions, "%s", _any_of)
    found = f"SELECT {quoted(key)} FROM {table}{where}{order_sql(query.order)} LIMIT %s FOR UPDATE SKIP LOCKED"
    changes = [f'"{name}" = %s' for name in take.set] + [
        f'"{name}" = t."{name}" + %s' for name in take.add
    ]
    same = " AND ".join(f't."{column.name}" = n."{column.name}"' for column in key)
    sql = (
        f"WITH found AS MATERIALIZED ({found}), n AS MATERIALIZED (SELECT *, row_number() OVER () AS place FROM found)"
        f" UPDATE {table} AS t SET {', '.join(changes)} FROM n WHERE {same}"
        f" RETURNING n.place, {quoted(query.shape.columns, 't')}"
    )
    return sql, [*bound, query.limit, *take.set.values(), *take.add.values()]


def _any_of(condition: Condition) -> tuple[str, tuple[Any, ...]]:
    return f"= ANY(%s::{TYPES[condition.column.kind]}[])", (list(condition.values),)
