"""The queries that run all the time find their rows by an index, however many there are."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from opsrail.clock import SystemClock
from opsrail.features.kept import NEWEST as BY_TIME
from opsrail.ports import Store
from opsrail.review.finding import BY_DUE, BY_PRIORITY
from opsrail.store import postgres_sql, sqlite_sql
from opsrail.store.forms import Forms
from opsrail.store.postgres import WRITER, PostgresStore
from opsrail.store.queries import Query, query, take
from opsrail.store.shapes import shape_of
from opsrail.store.sqlite import SqliteStore
from opsrail.values.cases import CaseRow, InboxRow, JournalRow, OutboxRow
from opsrail.values.decisions import DecisionRow
from opsrail.values.features import FactRow, FeatureValueRow
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.registry import RolloutChangeRow
from opsrail.values.reviews import ReviewRow
from opsrail.values.rows import Where, equals
from tests.support.postgres import fresh_database, run

CLOCK = SystemClock()
ROWS = 100_000
DUE = Where("due_at_ms", "<=", ROWS)
NAMED = Where("automation", "in", ("claims", "other"))
CLAIM = query(
    CaseRow,
    (Where("state", "=", "ready"), DUE, Where("losses", "<", 2), NAMED),
    ("priority", "due_at_ms", "id"),
    False,
    20,
)
TIMERS = query(
    CaseRow,
    (Where("state", "=", "waiting"), Where("due_at_ms", "<=", 100), NAMED),
    ("due_at_ms", "id"),
    False,
    20,
)
ACTIONS = query(
    OutboxRow,
    (Where("state", "=", "due"), DUE, Where("owner", "null", True), NAMED),
    ("due_at_ms", "key"),
    False,
    20,
)
ORPHANS = query(
    CaseRow, (Where("owner", "=", "w9"), Where("state", "=", "running")), (), False, 500
)
ARRIVED = query(InboxRow, (Where("id", ">", "i100000100"),), (), False, 200)
OF_A_CASE = query(InboxRow, (Where("case_id", "=", "c100000100"),), (), False, 200)
JOURNAL = query(JournalRow, (Where("case_id", "=", "c100000100"),), ("seq",), False, 1000)
OF_A_ROLLOUT = query(
    DecisionRow,
    (
        Where("point", "=", "fraud-risk"),
        Where("id", ">", "d100099000"),
        Where("id", "<", "d100099900"),
    ),
    ("id",),
    False,
    1000,
)
RULED = query(
    ReviewRow,
    (
        Where("delivered_at_ms", ">", 99_000),
        Where("delivered_at_ms", "<=", 99_900),
        Where("state", "=", "ruled"),
    ),
    ("delivered_at_ms",),
    False,
    1000,
)
OF_VIEW = (*equals(view="policyholder", number=1), Where("entity", "=", "p7"))
NEWEST = query(
    FeatureValueRow,
    (*OF_VIEW, Where("event_at_ms", "<=", ROWS), Where("written_at_ms", "<=", ROWS)),
    BY_TIME,
    True,
    1,
)
FACTS = query(FactRow, (*OF_VIEW, Where("id", ">", "f")), ("id",), False, 1000)
LIVE_AT = query(
    RolloutChangeRow,
    (Where("point", "=", "p7"), Where("at_ms", "<=", 50_000)),
    ("at_ms", "revision"),
    True,
    1,
)
NEXT_CHANGE = query(
    RolloutChangeRow,
    (Where("point", "=", "p7"), Where("at_ms", ">", 50_000)),
    ("at_ms", "revision"),
    False,
    1,
)
OF_A_STATE, OF_AN_AUTOMATION, OF_A_TRACE = (
    query(CaseRow, (Where(column, "=", value),), ("id",), True, 51)
    for column, value in (
        ("state", "settled"),
        ("automation", "claims"),
        ("correlation_id", "c100000100"),
    )
)
WAITS = (*equals(state="open"), Where("queue", "in", ("desk", "seniors")))
LAPSED = (*equals(state="claimed"), Where("lease_until_ms", "<=", ROWS))
NEXT = {
    f"next {name} by {order[0]}": query(ReviewRow, where, order, False, 16)
    for name, where in (("waiting", WAITS), ("lapsed", LAPSED))
    for order in (BY_DUE, BY_PRIORITY)
}
HELD = query(
    ReviewRow,
    (*equals(assignee="user:ann", state="claimed"), Where("lease_until_ms", ">", ROWS)),
    ("id",),
    False,
    16,
)
OUTCOMES = query(OutcomeRow, (Where("decision_id", "=", "d100000100"),), ("id",), False, 1000)
HOT = {
    "of a rollout": OF_A_ROLLOUT, "ruled": RULED,
    "newest value": NEWEST, "facts": FACTS,
    "claim": CLAIM, "timers": TIMERS, "actions": ACTIONS, "orphans": ORPHANS, "arrived": ARRIVED, "of a case": OF_A_CASE,
    "of a state": OF_A_STATE, "of an automation": OF_AN_AUTOMATION, "of a trace": OF_A_TRACE,
    "journal": JOURNAL, "live at": LIVE_AT, "next change": NEXT_CHANGE, "outcomes": OUTCOMES,
    "held": HELD, **NEXT,
}  # fmt: skip


# Each column of the many rows as SQL over n.i = 0..ROWS-1, in words that both databases know.
CASE_ID = "'c' || (100000000 + n.i)"
FILL = {
    CaseRow: {
        "id": CASE_ID, "state": "CASE n.i % 4 WHEN 0 THEN 'ready' WHEN 1 THEN 'waiting' ELSE 'settled' END",
        "automation": "'claims'", "priority": "5", "losses": "0", "due_at_ms": "n.i", "owner": "NULL",
        "correlation_id": CASE_ID,
    },
    OutboxRow: {
        "key": f"{CASE_ID} || '-1'", "case_id": CASE_ID, "automation": "'claims'", "owner": "NULL", "due_at_ms": "n.i",
        "state": "CASE n.i % 2 WHEN 0 THEN 'due' ELSE 'sent' END",
    },
    InboxRow: {"id": "'i' || (100000000 + n.i)", "case_id": CASE_ID},
    JournalRow: {"case_id": CASE_ID, "seq": "0"},
    DecisionRow: {"id": "'d' || (100000000 + n.i)", "point": "'fraud-risk'"},
    ReviewRow: {
        "id": "'r' || (100000000 + n.i)", "case_id": CASE_ID, "delivered_at_ms": "n.i", "queue": "'desk'",
        "state": "CASE n.i % 5 WHEN 0 THEN 'open' WHEN 1 THEN 'claimed' ELSE 'ruled' END", "priority": "n.i % 10",
        "urgent_at_ms": "n.i", "opened_at_ms": "n.i", "lease_until_ms": "n.i", "assignee": "'user:' || (n.i % 1000)",
    },
    FeatureValueRow: {
        "id": "'v' || (100000000 + n.i)", "view": "'policyholder'", "number": "1", "entity": "'p' || (n.i % 1000)",
        "event_at_ms": "n.i", "written_at_ms": "n.i",
    },
    FactRow: {
        "id": "'f' || (100000000 + n.i)", "view": "'policyholder'", "number": "1", "entity": "'p' || (n.i % 1000)",
    },
    RolloutChangeRow: {"point": "'p' || (n.i % 10)", "revision": "n.i", "at_ms": "n.i", "share": "0.5"},
    OutcomeRow: {
        "id": "'o' || (100000000 + n.i)", "decision_id": "'d' || (100000000 + n.i)", "value": "1", "ratio": "1",
    },
}  # fmt: skip
BLANK = {str: "'{}'", int: "1", float: "0.5", bool: "FALSE"}


def fill_sql() -> list[str]:
    numbers = (
        f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS - 1})"  # noqa: S608 - columns of ours
    )
    statements = []
    for row_type, known in FILL.items():
        shape = shape_of(row_type)
        values = [known.get(column.name, BLANK[column.kind]) for column in shape.columns]
        statements.append(f'INSERT INTO "{shape.name}" {numbers} SELECT {", ".join(values)} FROM n')  # noqa: S608 - columns of ours
    return statements


@pytest.fixture(scope="module")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plans") / "cases.db"
    asyncio.run(open_and_close(SqliteStore(path, clock=CLOCK)))
    with closing(sqlite3.connect(path)) as connection:
        for statement in fill_sql():
            connection.execute(statement)
        connection.commit()
    return path


@pytest.fixture(scope="module")
def postgres_full(postgres_url: str) -> Iterator[str]:
    with fresh_database(postgres_url) as url:
        asyncio.run(open_and_close(PostgresStore(url, clock=CLOCK)))
        for statement in (*fill_sql(), "ANALYZE"):
            run(url, statement)
        yield url


async def open_and_close(store: Store) -> None:
    await store.open()
    await store.close()


def sqlite_plan(path: Path, sql: str, bound: list[Any]) -> str:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", bound).fetchall()
    return "\n".join(row[3] for row in rows if "json_each" not in row[3])


@pytest.mark.parametrize("asked", HOT.values(), ids=HOT)
def test_sqlite_finds_the_rows_by_an_index(sqlite_file: Path, asked: Query) -> None:
    plan = sqlite_plan(sqlite_file, *sqlite_sql.select_sql(asked))

    assert "SEARCH" in plan
    assert "SCAN" not in plan


@pytest.mark.parametrize(
    "asked",
    [CLAIM, TIMERS, ACTIONS, OF_A_STATE, OF_AN_AUTOMATION, *NEXT.values()],
    ids=["claim", "timers", "actions", "of a state", "of an automation", *NEXT],
)
def test_sqlite_stops_at_the_limit_instead_of_sorting_the_backlog(
    sqlite_file: Path, asked: Query
) -> None:
    plan = sqlite_plan(sqlite_file, *sqlite_sql.select_sql(asked))

    assert "USE TEMP B-TREE FOR ORDER BY" not in plan


@pytest.mark.connected
@pytest.mark.parametrize("asked", HOT.values(), ids=HOT)
def test_postgres_finds_the_rows_by_an_index(postgres_full: str, asked: Query) -> None:
    with psycopg.connect(postgres_full) as connection:
        sql, bound = postgres_sql.select_sql(asked)
        plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {sql}".encode(), bound))

    assert "Index" in plan
    assert "Seq Scan" not in plan


@pytest.mark.connected
@pytest.mark.parametrize("asked", NEXT.values(), ids=NEXT)
def test_postgres_reads_the_next_reviews_in_the_order_of_an_index(
    postgres_full: str, asked: Query
) -> None:
    with psycopg.connect(postgres_full) as connection:
        sql, bound = postgres_sql.select_sql(asked)
        plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {sql}".encode(), bound))

    assert f"reviews_state_{asked.order[0].column.name}" in plan
    assert "Sort" not in plan


@pytest.mark.connected
@pytest.mark.parametrize(
    "asked", [CLAIM, TIMERS, ACTIONS, ORPHANS], ids=["claim", "timers", "actions", "orphans"]
)
def test_postgres_takes_few_rows_out_of_many_without_reading_them_all(
    postgres_full: str, asked: Query
) -> None:
    with psycopg.connect(postgres_full) as connection:
        sql, bound = postgres_sql.take_sql(take(Forms(), asked, {"owner": "w1"}, {}))
        rows = connection.execute(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}".encode(), bound
        ).fetchone()
        connection.rollback()

    assert rows is not None
    plan = rows[0][0]["Plan"]
    assert "Seq Scan" not in str(plan)
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 2_000


@pytest.mark.connected
@pytest.mark.parametrize("is_packed", [True, False])
def test_postgres_writes_by_key_even_with_a_plan_made_when_the_table_was_empty(
    database_url: str, is_packed: bool
) -> None:
    """The writer's session settings, not statistics, keep it to the key."""
    asyncio.run(open_and_close(PostgresStore(database_url, clock=CLOCK)))
    form = Forms().update_form(CaseRow, ("state",), ("owner",))
    sql = postgres_sql.statement(form, is_packed)
    bound: list[Any] = ['[["c1","ready",null]]'] if is_packed else ["c1", "ready", None]
    with psycopg.connect(database_url) as connection:
        for name, value in WRITER.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {sql}".encode(), bound))

    assert "cases_pkey" in plan
