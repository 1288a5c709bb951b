"""A page of columns by primary key: the question, checked, and its SQL but for the dialect's words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from opsrail.store.queries import Condition, Query, order_sql, query, quoted, where_sql
from opsrail.store.shapes import Column, Values
from opsrail.values.rows import Value, Where


class Page(NamedTuple):
    """Which columns of which rows, by primary key.

    Attributes:
        after: Primary key that all rows come behind; empty: no bound.
    """

    query: Query
    columns: tuple[Column, ...]
    after: Values


def page(
    row_type: type[tuple[Any, ...]],
    names: Sequence[str],
    where: Sequence[Where],
    after: Sequence[Value],
    limit: int,
    *,
    descending: bool = False,
) -> Page:
    """Return the question for a page of columns, checked.

    Raises:
        TypeError: no or an unknown column, a key of another length, or what `query` refuses. A programming error.
    """
    asked = query(row_type, where, (), descending, limit)
    if not names:
        raise TypeError(f"name at least one column of {row_type.__name__}")
    columns = tuple(map(asked.shape.column, names))
    return Page(asked, columns, asked.shape.key_values(tuple(after)) if after else ())


def page_sql(
    asked: Page, mark: str, any_of: Callable[[Condition], tuple[str, tuple[Any, ...]]]
) -> tuple[str, list[Any]]:
    """Return the SQL that reads a page of columns, and what to bind."""
    shape = asked.query.shape
    where, bound = where_sql(asked.query.conditions, mark, any_of)
    if asked.after:
        marks = ", ".join([mark] * len(asked.after))
        sign = "<" if asked.query.order[0].descending else ">"
        where += f"{' AND' if where else ' WHERE'} ({quoted(shape.key)}) {sign} ({marks})"
    sql = f'SELECT {quoted(asked.columns)} FROM "{shape.name}"{where}{order_sql(asked.query.order)} LIMIT {mark}'
    return sql, [*bound, *asked.after, asked.query.limit]


def turned(columns: Sequence[Column], rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    """Return rows as one list a column."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in columns]
