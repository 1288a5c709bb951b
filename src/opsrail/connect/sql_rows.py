"""Rows of a query in another database, read as a stream: SQLite and PostgreSQL. Blocking."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from opsrail.errors import InvalidInput, MissingExtra, StoreUnavailable

PAGE = 1_000
SQLITE = "sqlite:///"
POSTGRES = ("postgresql://", "postgres://")


class SqlRows(NamedTuple):
    """A query's result that is being read.

    Attributes:
        columns: In the query's order.
    """

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


@contextmanager
def opened_query(url: str, query: str) -> Iterator[SqlRows]:
    """Open a query's result, in a transaction that only reads.

    Args:
        url: `sqlite:///FILE` (a third slash more for an absolute path) or `postgresql://...`.

    Raises:
        InvalidInput: the URL names no known database, or the query is wrong, or would write. Terminal.
        MissingExtra: PostgreSQL's packages are not installed. Terminal.
        StoreUnavailable: the database does not answer. Try again.
    """
    if url.startswith(SQLITE):
        with _sqlite(Path(unquote(url.removeprefix(SQLITE))), query) as rows:
            yield rows
    elif url.startswith(POSTGRES):
        with _postgres(url, query) as rows:
            yield rows
    else:
        raise InvalidInput(
            "the source's url names no known database; write sqlite:///FILE or postgresql://user@host/database"
        )


@contextmanager
def _sqlite(path: Path, query: str) -> Iterator[SqlRows]:
    if not path.is_file():
        raise InvalidInput(f"{path} is no SQLite file; correct the source's url")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            cursor = connection.execute(query)
            yield SqlRows(_columns(cursor.description), _paged(cursor))
    except sqlite3.Error as wrong:
        raise InvalidInput(f"the query on {path} failed: {wrong}; correct it") from wrong


@contextmanager
def _postgres(url: str, query: str) -> Iterator[SqlRows]:
    try:
        import psycopg
    except ImportError as missing:
        raise MissingExtra("A PostgreSQL source", "postgres") from missing
    try:
        with psycopg.connect(url) as connection, connection.transaction(force_rollback=True):
            connection.execute("SET TRANSACTION READ ONLY")
            with connection.cursor(name="opsrail_source") as cursor:
                cursor.itersize = PAGE
                cursor.execute(query)
                yield SqlRows(_columns(cursor.description), _paged(cursor))
    except psycopg.OperationalError as down:
        raise StoreUnavailable(
            f"the source's database does not answer: {type(down).__name__}"
        ) from down
    except psycopg.Error as wrong:
        raise InvalidInput(f"the source's query failed: {wrong}; correct it") from wrong


def _columns(description: Any) -> tuple[str, ...]:
    if not description:
        raise InvalidInput("the source's query gives no rows; it must be a SELECT")
    return tuple(str(column[0]) for column in description)


def _paged(cursor: Any) -> Iterator[tuple[Any, ...]]:
    while page := cursor.fetchmany(PAGE):
        yield from page
