"""The console's installation in a PostgreSQL server of its own: the same rows, copied table by table."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg

from bench.figures import say
from opsrail.app import DATABASE
from opsrail.app.building import ANCHOR_FILE, KEY_FILE
from opsrail.clock import SystemClock
from opsrail.store.postgres import PostgresStore
from opsrail.values.tables import TABLES


@contextmanager
def on_postgres(folder: Path) -> Iterator[tuple[Path, str]]:
    """Copy an installation and give the copy's folder and the URL of its database; gone afterwards.

    Three minutes and 9 GB for a million decisions. Commits do not wait for the disk.
    """
    from tests.support.postgres import cluster

    with cluster(fsync=False) as server, tempfile.TemporaryDirectory() as copy:
        for name in (KEY_FILE, ANCHOR_FILE):
            shutil.copy2(folder / name, copy)
        asyncio.run(fill(folder / DATABASE, server.url))
        yield Path(copy), server.url


async def fill(file: Path, url: str) -> None:
    """Make the schema and copy the rows of a SQLite file."""
    store = PostgresStore(url, clock=SystemClock())
    await store.open()
    await store.close()
    source = f"file:{file}?mode=ro"
    with closing(sqlite3.connect(source, uri=True)) as ours, psycopg.connect(url) as theirs:
        for row_type, table in TABLES.items():
            names: tuple[str, ...] = row_type._fields  # type: ignore[attr-defined]
            columns = ", ".join(f'"{name}"' for name in names)
            into = f'COPY "{table.name}" ({columns}) FROM STDIN'
            with theirs.cursor() as cursor, cursor.copy(into.encode()) as copy:
                for row in ours.execute(f'SELECT {columns} FROM "{table.name}"'):  # noqa: S608 - names of ours
                    copy.write_row(row)
            theirs.commit()
            say(f"copied {table.name}")
    with psycopg.connect(url, autocommit=True) as theirs:
        theirs.execute("VACUUM ANALYZE")
