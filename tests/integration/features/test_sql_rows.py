"""Queries in other databases: read as a stream, and only read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from opsrail.connect.sql_rows import PAGE, opened_query
from opsrail.errors import InvalidInput, StoreUnavailable
from tests.support.postgres import run

ROWS = 2 * PAGE + 5
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
FILL = f"INSERT INTO held {NUMBERS.format(count=ROWS)} SELECT 'p' || n.i, n.i FROM n"  # noqa: S608 - ours


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with a table of policies."""
    made = "CREATE TABLE held (id TEXT, n INTEGER)"
    if request.param == "sqlite":
        path = tmp_path / "a b.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(made)
            connection.execute(FILL)
            connection.commit()
        yield f"sqlite:///{path}"
    else:
        database: str = request.getfixturevalue("database_url")
        run(database, made)
        run(database, FILL)
        yield database


def test_rows_come_in_the_querys_order_however_many(url: str) -> None:
    with opened_query(url, "SELECT id, n FROM held ORDER BY n DESC") as found:
        rows = list(found.rows)

    assert found.columns == ("id", "n")
    assert [row[1] for row in rows] == list(range(ROWS, 0, -1))


@pytest.mark.parametrize(
    "query", ["SELECT nothing FROM held", "DELETE FROM held", "SELECT 1 FROM", "DROP TABLE held"]
)
def test_a_query_that_is_wrong_or_would_write_is_refused(url: str, query: str) -> None:
    with pytest.raises(InvalidInput, match="query"), opened_query(url, query) as found:
        list(found.rows)
    with opened_query(url, "SELECT count(*) AS n FROM held") as found:
        assert list(found.rows) == [(ROWS,)]


@pytest.mark.parametrize("url", ["mysql://h/d", "", "sqlite:///nowhere.db"])
def test_a_database_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"correct|write"), opened_query(url, "SELECT 1"):
        pass


@pytest.mark.connected
def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(StoreUnavailable) as caught:  # noqa: SIM117 - the second is what raises
        with opened_query("postgresql://u:secret@127.0.0.1:1/d", "SELECT 1"):
            pass

    assert "secret" not in str(caught.value)
