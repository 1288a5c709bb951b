"""The work of `bench cases` as DBOS workflows: FOLDER WORKFLOWS IN_FLIGHT LONE [URL]; prints one line of JSON.

Runs in `.venv-bench`, which holds no opsrail. A workflow counts once its handle gave its result, and all are looked up
afterwards: status SUCCESS, three recorded steps each. SQLite: DBOS sets neither journal mode nor `synchronous`, so the
file is made with a write-ahead log beforehand (the mode stays in the file) and `synchronous` is checked to be FULL, the
library's own default; shipped as is (journal DELETE) DBOS is slower. PostgreSQL: as the server is set (fsync on).
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
from dbos import DBOS, DBOSConfig

STEPS = 3
WARM_WORKFLOWS = 50
SYNCHRONOUS_FULL = 2
Query = Callable[[str], Any]


async def plus_one(number: int) -> int:
    return number + 1


add_one = DBOS.step(name="add_one")(plus_one)


async def add_three(number: int) -> int:
    first = await add_one(number)
    second = await add_one(first)
    third: int = await add_one(second)
    return third


three_steps = DBOS.workflow(name="three_steps")(add_three)


async def one(number: int) -> float:
    begun = time.perf_counter()
    handle = await DBOS.start_workflow_async(three_steps, number)
    result = await handle.get_result()
    took_ms = 1000 * (time.perf_counter() - begun)
    assert result == number + STEPS
    return took_ms


async def load(numbers: range, in_flight: int) -> list[float]:
    left, took_ms = iter(numbers), []

    async def one_after_another() -> None:
        for number in left:
            took_ms.append(await one(number))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(in_flight):
            tasks.create_task(one_after_another())
    return took_ms


async def measure(workflows: int, in_flight: int, lone: int) -> dict[str, Any]:
    await load(range(WARM_WORKFLOWS), in_flight)
    wall, cpu = time.perf_counter(), time.process_time()
    took_ms = sorted(await load(range(workflows), in_flight))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    lone_ms = sorted([await one(number) for number in range(lone)])
    return {
        "cases": workflows / wall,
        "p50": took_ms[len(took_ms) // 2],
        "p99": took_ms[len(took_ms) * 99 // 100],
        "lone_case_p50": lone_ms[len(lone_ms) // 2],
        "lone_case_p99": lone_ms[len(lone_ms) * 99 // 100],
        "cpu_per_case": 1000 * cpu / workflows,
    }


def check(query: Query, tables: str, workflows: int) -> None:
    """Look up that every workflow is durable and done."""
    done = f"SELECT count(*) FROM {tables}workflow_status WHERE status = 'SUCCESS'"  # noqa: S608
    steps = f"SELECT count(*) FROM {tables}operation_outputs WHERE function_name = 'add_one'"  # noqa: S608
    assert query(done) == workflows
    assert query(steps) == workflows * STEPS


def durability(file: Path) -> str:
    """Return how the file's commits become durable, as a connection without settings of its own finds it."""
    connection = sqlite3.connect(file)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    finally:
        connection.close()
    assert (mode, synchronous) == ("wal", SYNCHRONOUS_FULL)
    return "journal_mode=WAL, synchronous=FULL"


def with_sqlite(file: Path) -> Query:
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA journal_mode = WAL")
    return lambda text: connection.execute(text).fetchone()[0]


def with_postgres(url: str) -> Query:
    connection = psycopg.connect(url, autocommit=True)

    def query(text: str) -> Any:
        row = connection.execute(text.encode()).fetchone()
        return row and row[0]

    return query


def main() -> None:
    folder, workflows, in_flight, lone, url = (
        Path(sys.argv[1]),
        *map(int, sys.argv[2:5]),
        sys.argv[5],
    )
    file = folder / "dbos.db"
    query = with_postgres(url) if url else with_sqlite(file)
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": url or f"sqlite:///{file}",
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    found = asyncio.run(measure(workflows, in_flight, lone))
    DBOS.destroy()
    check(query, "dbos." if url else "", WARM_WORKFLOWS + workflows + lone)
    found["version"] = version("dbos")
    if url:
        found["postgres_durability"] = (
            f"fsync={query('SHOW fsync')}, synchronous_commit={query('SHOW synchronous_commit')}"
        )
    else:
        found["sqlite_durability"] = durability(file)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
