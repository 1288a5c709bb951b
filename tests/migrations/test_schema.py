"""The schema's files make what the row types say, survive a kill at each statement, and refuse what is not theirs."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from opsrail import faults
from opsrail.clock import SystemClock
from opsrail.errors import SchemaMismatch, StoreUnavailable
from opsrail.ports import Store
from opsrail.store import schema
from opsrail.store.postgres import PostgresStore
from opsrail.store.shapes import SHAPES
from opsrail.store.sqlite import SqliteStore
from opsrail.values.tables import INDEXES
from tests.migrations.draft import TYPES
from tests.support.postgres import run

CLOCK = SystemClock()
POSTGRES_TYPES = {
    str: "text",
    int: "bigint",
    float: "double precision",
    bytes: "bytea",
    bool: "boolean",
}
STATEMENTS = 2 + len(SHAPES) + sum(map(len, INDEXES.values()))
"""Of a fresh database: the table of versions, every table and index, the version."""


async def open_and_close(store: Store) -> None:
    await store.open()
    await store.close()


def sqlite_file(path: Path) -> Path:
    asyncio.run(open_and_close(SqliteStore(path, clock=CLOCK)))
    return path


def wanted(types: dict[type, str]) -> dict[str, list[tuple[str, str, bool]]]:
    return {
        shape.name: [(column.name, types[column.kind], column.nullable) for column in shape.columns]
        for shape in SHAPES.values()
    }


def test_sqlite_has_the_columns_of_the_row_types(tmp_path: Path) -> None:
    with closing(sqlite3.connect(sqlite_file(tmp_path / "cases.db"))) as connection:
        found = {
            name: [
                (column, kind, not required)
                for _, column, kind, required, _, _ in connection.execute(f'PRAGMA table_info("{name}")')
            ]
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if name != "schema_version"
        }  # fmt: skip

    assert found == wanted(TYPES)


def test_sqlite_has_the_keys_and_indexes_of_the_tables(tmp_path: Path) -> None:
    with closing(sqlite3.connect(sqlite_file(tmp_path / "cases.db"))) as connection:
        for shape in SHAPES.values():
            keys: set[tuple[str, ...]] = set()
            others: set[tuple[str, ...]] = set()
            for _, name, is_unique, _, _ in connection.execute(
                f'PRAGMA index_list("{shape.name}")'
            ):
                columns = tuple(
                    row[2] for row in connection.execute(f'PRAGMA index_info("{name}")')
                )
                (keys if is_unique else others).add(columns)
                assert is_unique or name == "_".join((shape.name, *columns))

            assert keys == {
                names(shape.key_positions, shape.row),
                *(names(group, shape.row) for group in shape.unique_positions),
            }
            assert others == {index.columns for index in INDEXES.get(shape.row, ())}


def names(positions: tuple[int, ...], row_type: type[tuple[object, ...]]) -> tuple[str, ...]:
    columns = SHAPES[row_type].columns
    return tuple(columns[position].name for position in positions)


@pytest.mark.connected
def test_postgres_has_the_columns_of_the_row_types(database_url: str) -> None:
    asyncio.run(open_and_close(PostgresStore(database_url, clock=CLOCK)))
    rows = run(
        database_url,
        "SELECT table_name, column_name, data_type, is_nullable, collation_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name <> 'schema_version' ORDER BY table_name, ordinal_position",
    )
    found: dict[object, list[tuple[object, object, bool]]] = {}
    for table, column, kind, nullable, _ in rows:
        found.setdefault(table, []).append((column, kind, nullable == "YES"))

    assert found == wanted(POSTGRES_TYPES)
    assert {collation for *_, kind, _, collation in rows if kind == "text"} == {"C"}


@pytest.mark.connected
def test_postgres_has_the_keys_and_indexes_of_the_tables(database_url: str) -> None:
    asyncio.run(open_and_close(PostgresStore(database_url, clock=CLOCK)))
    rows = run(
        database_url,
        "SELECT t.relname, i.indisunique, array(SELECT a.attname::text FROM unnest(i.indkey) WITH ORDINALITY k(n, place)"
        " JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.n ORDER BY place)"
        " FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace s ON s.oid = t.relnamespace"
        " WHERE s.nspname = 'public' AND t.relname <> 'schema_version'",
    )
    found = {
        (table, is_unique, tuple(columns))
        for table, is_unique, columns in rows
        if isinstance(columns, list)
    }
    unique = {
        (shape.name, True, names(group, shape.row))
        for shape in SHAPES.values()
        for group in (shape.key_positions, *shape.unique_positions)
    }
    plain = {
        (SHAPES[row].name, False, index.columns)
        for row, indexes in INDEXES.items()
        for index in indexes
    }

    assert found == unique | plain


OPEN = """
import asyncio, sys
from pathlib import Path
from opsrail import faults
from opsrail.clock import SystemClock
from opsrail.store.postgres import PostgresStore
from opsrail.store.sqlite import SqliteStore
place, points = sys.argv[1:]
faults.arm_from(points)
is_url = place.startswith("postgresql://")
store = PostgresStore(place, clock=SystemClock()) if is_url else SqliteStore(Path(place), clock=SystemClock())
asyncio.run(store.open())
"""


def kill_at(place: str, nth: int) -> int:
    points = f"schema.before_statement:{nth}"
    return subprocess.run(
        [sys.executable, "-c", OPEN, place, points], timeout=120, check=False
    ).returncode


@pytest.mark.crash
@pytest.mark.slow
def test_sqlite_completes_its_schema_after_a_kill_at_any_statement(tmp_path: Path) -> None:
    expected = layout(sqlite_file(tmp_path / "whole.db"))
    for nth in range(1, STATEMENTS + 1):
        path = tmp_path / f"{nth}.db"

        assert kill_at(str(path), nth) == -signal.SIGKILL
        assert layout(sqlite_file(path)) == expected


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.connected
def test_postgres_completes_its_schema_after_a_kill_at_any_statement(database_url: str) -> None:
    for nth in range(1, STATEMENTS + 1):
        assert kill_at(database_url, nth) == -signal.SIGKILL
        assert run(database_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [
            (0,)
        ]
    asyncio.run(open_and_close(PostgresStore(database_url, clock=CLOCK)))

    assert run(database_url, "SELECT version FROM schema_version") == [(schema.latest(),)]


def layout(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
        ).fetchall()


def test_a_fresh_schema_passes_every_statement_once(tmp_path: Path) -> None:
    passed: list[int] = []
    for nth in (STATEMENTS, STATEMENTS + 1):
        with faults.armed("schema.before_statement", lambda: passed.append(1), nth):
            sqlite_file(tmp_path / f"{nth}.db")

    assert passed == [1]


def test_a_schema_that_is_up_to_date_is_left_alone(tmp_path: Path) -> None:
    path = sqlite_file(tmp_path / "cases.db")
    before = layout(path)
    passed: list[int] = []
    with faults.armed("schema.before_statement", lambda: passed.append(1)):
        sqlite_file(path)

    assert (passed, layout(path)) == ([], before)


def test_an_older_opsrail_refuses_a_newer_sqlite_file(tmp_path: Path) -> None:
    path = sqlite_file(tmp_path / "cases.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO schema_version VALUES (99, 0)")
        connection.commit()
    with pytest.raises(SchemaMismatch, match=f"version 99.* up to {schema.latest()}"):
        sqlite_file(path)


@pytest.mark.connected
def test_an_older_opsrail_refuses_a_newer_postgres_database(database_url: str) -> None:
    asyncio.run(open_and_close(PostgresStore(database_url, clock=CLOCK)))
    run(database_url, "INSERT INTO schema_version VALUES (99, 0)")
    with pytest.raises(SchemaMismatch, match=f"version 99.* up to {schema.latest()}"):
        asyncio.run(open_and_close(PostgresStore(database_url, clock=CLOCK)))


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "claims.csv"
    path.write_text("id,amount\n" * 500, "utf-8")
    with pytest.raises(SchemaMismatch, match=r"claims\.csv"):
        sqlite_file(path)

    assert path.read_text("utf-8") == "id,amount\n" * 500


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE schema_version (v TEXT)", "PRAGMA application_id = 7"]
)
def test_another_programs_sqlite_file_is_refused_and_kept(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "photos.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()
    before = layout(path)
    with pytest.raises(SchemaMismatch, match=r"photos\.db"):
        sqlite_file(path)

    assert layout(path) == before


@pytest.mark.connected
@pytest.mark.parametrize(
    "statement", ["CREATE TABLE schema_version (v TEXT)", "CREATE TABLE reviews (stars INT)"]
)
def test_another_programs_postgres_tables_are_refused_and_kept(
    database_url: str, statement: str
) -> None:
    run(database_url, statement)
    with pytest.raises(SchemaMismatch, match="table '"):
        asyncio.run(open_and_close(PostgresStore(database_url, clock=CLOCK)))

    assert run(database_url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(1,)]


@pytest.mark.connected
def test_other_tables_beside_ours_are_none_of_our_business(database_url: str) -> None:
    run(database_url, "CREATE TABLE photos (id INT)")
    asyncio.run(open_and_close(PostgresStore(database_url, clock=CLOCK)))

    assert run(database_url, "SELECT version FROM schema_version") == [(schema.latest(),)]


@pytest.mark.connected
def test_processes_that_start_together_make_the_schema_once(database_url: str) -> None:
    async def start_all() -> list[None]:
        return await asyncio.gather(
            *(open_and_close(PostgresStore(database_url, clock=CLOCK)) for _ in range(6))
        )

    asyncio.run(start_all())

    assert run(database_url, "SELECT version FROM schema_version") == [(schema.latest(),)]


def test_sqlite_stores_that_start_together_make_the_schema_once(tmp_path: Path) -> None:
    async def start_all() -> list[None]:
        return await asyncio.gather(
            *(open_and_close(SqliteStore(tmp_path / "cases.db", clock=CLOCK)) for _ in range(6))
        )

    asyncio.run(start_all())
    with closing(sqlite3.connect(tmp_path / "cases.db")) as connection:
        versions = connection.execute("SELECT version FROM schema_version").fetchall()

    assert versions == [(schema.latest(),)]


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="unable to open"):
        sqlite_file(tmp_path)
