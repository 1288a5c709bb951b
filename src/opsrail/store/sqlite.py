"""The SQLite adapter: one file, one writer thread, a few readers; other processes may write too."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from opsrail.clock import Clock
from opsrail.errors import DataDirInUse, InvalidInput, SchemaMismatch, StoreUnavailable
from opsrail.ports import EntryChain, Finding, Follow
from opsrail.store import schema, sqlite_check
from opsrail.store.database import DatabaseStore
from opsrail.store.group import OutcomeUnknown, Refused, Touched
from opsrail.store.page_sql import Page, turned
from opsrail.store.queries import Condition, Query, Take
from opsrail.store.shapes import SHAPES, Column, Shape, Values
from opsrail.store.sqlite_checkpointer import Checkpointer
from opsrail.store.sqlite_sql import (
    chunks,
    columns_sql,
    count_sql,
    get_sql,
    made,
    packed_sql,
    select_sql,
    statement,
    unpacked,
)
from opsrail.store.waves import Plan

APPLICATION_ID = 0x4F505352
"""Marks a file as ours (`OPSR`). Source: sqlite.org/pragma.html#pragma_application_id."""
BUSY_MS = 5_000
"""How long a commit waits for another process's transaction, milliseconds. Ours: the command line writes for far less."""
CHECKPOINT_PAGES = 4_000
"""Pages in the log before they are moved into the file. Ours: bench/store.py; 16 MB of log."""
STATEMENTS = 1_000
"""Prepared statements kept by a connection. Ours: forms in use times bulk sizes, with room."""
READERS = 3
"""Reader threads. Ours: two cores and one slow query."""
MAPPED_BYTES = 2**40
"""Of the file, while columns are read; SQLite itself takes 2 GB at most. Source: sqlite.org/mmap.html."""
POLL_S = 0.02
"""How often changes by other processes are looked for, seconds. Ours: one read of a mapped page, about 10 us."""


# Python's adapter asks the value itself how it is to be bound, four times as long as it takes; a known kind it does not.
sqlite3.register_adapter(type(None), {None: None}.get)
sqlite3.register_adapter(bool, int)
sqlite3.register_adapter(bytes, bytes)


class SqliteStore(DatabaseStore["_SqliteReader"]):
    """Rows in one SQLite file, WAL, synchronous=FULL."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        chain: EntryChain | None = None,
        follow: Follow | None = None,
        exclusive: bool = False,
        clock: Clock,
    ) -> None:
        """Args: exclusive: Hold the folder as the one runner; a second one gets DataDirInUse."""
        super().__init__(chain, follow, clock, tick_s=POLL_S, readers=READERS)
        self._path = Path(path)
        self._exclusive = exclusive
        self._lock: int | None = None

    async def now_ms(self) -> int:
        return self._clock.now_ms()

    def _prepare(self) -> _SqliteDriver:
        if self._exclusive:
            self._lock = _lock(self._path)
        try:
            driver = _SqliteDriver(self._path)
            try:
                driver.upgrade(self._clock.now_ms())
            except BaseException:
                driver.close()
                raise
        except BaseException:
            self._release()
            raise
        return driver

    def _reader(self) -> _SqliteReader:
        return _SqliteReader(self._path)

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class _SqliteDriver:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._errors = _Errors(path)
        self._connection: sqlite3.Connection | None = _connect(path)
        self._statement = lru_cache(maxsize=STATEMENTS)(statement)
        self._version = self._rows = 0
        self._checkpointer = Checkpointer(partial(_connect, path))

    def _reached(self) -> sqlite3.Connection:
        """Return the connection, made anew if a rollback failed on the one before."""
        if self._connection is None:
            self._connection = _connect(self._path)
        return self._connection

    def upgrade(self, now_ms: int) -> None:
        connection = self._reached()
        with self._errors:
            connection.execute("BEGIN IMMEDIATE")
            try:
                schema.upgrade(
                    *self._found(), schema.SQLITE, self._execute, now_ms, str(self._path)
                )
                self._execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute("COMMIT")
            finally:
                self.rollback()

    def _found(self) -> tuple[int | None, str | None]:
        """Return the schema version (None: there is none), and the name of something that is not ours."""
        connection = self._reached()
        names = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' LIMIT 100"
            )
        ]
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        if mark == APPLICATION_ID and "schema_version" in names:
            return connection.execute("SELECT max(version) FROM schema_version").fetchone()[0], None
        if names:
            return None, f"table {names[0]!r}"
        return None, f"another program's mark ({mark:#x})" if mark else None

    def _execute(self, sql: str) -> None:
        self._reached().execute(sql)

    def begin(self) -> None:
        with self._errors:
            self._reached().execute("BEGIN IMMEDIATE")

    def run(self, statements: Plan) -> None:
        execute = self._reached().execute
        with self._errors:
            for form, rows in statements:
                self._rows += len(rows)
                counts_rows = form.must_match
                for sql, bound, wanted in chunks(form, rows, self._statement):
                    cursor = execute(sql, bound)
                    if counts_rows:
                        found = cursor.fetchone()[0] if cursor.description else cursor.rowcount
                        if found != wanted:
                            raise Refused

    def take(self, take: Take) -> list[tuple[Any, ...]]:
        with self._errors:
            rows = [take.changed(row) for row in _select(self._reached(), take.query)]
        if rows:
            position = take.query.shape.position
            changes = [position[column.name] for column in take.form.changes]
            key_of = take.query.shape.key_of
            self.run(
                [(take.form, [(*key_of(row), *[row[index] for index in changes]) for row in rows])]
            )
        return rows

    def savepoint(self, depth: int) -> None:
        with self._errors:
            self._execute(f"SAVEPOINT half_{depth}")

    def restore(self, depth: int) -> None:
        with self._errors:
            self._execute(f"ROLLBACK TO half_{depth}")

    def commit(self) -> None:
        try:
            self._execute("COMMIT")
        except sqlite3.Error as cause:
            # The log may hold the commit's mark though its fsync failed: a crash now could bring it back.
            raise OutcomeUnknown(f"{self._path}: {cause}") from cause
        self._checkpointer.committed(self._rows)
        self._rows = 0

    def rollback(self) -> None:
        connection = self._connection
        if connection is not None and connection.in_transaction:
            try:
                connection.execute("ROLLBACK")
            except sqlite3.Error:
                self.close()

    def tick(self, touched: Touched) -> Touched:
        touched.clear()  # others look for themselves, as here
        try:
            (version,) = self._reached().execute("PRAGMA data_version").fetchone()
        except (sqlite3.Error, StoreUnavailable):
            return set()
        before, self._version = self._version, version
        return set() if before in (0, version) else set(SHAPES)

    def close(self) -> None:
        self._checkpointer.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _SqliteReader:
    """One connection that reads; used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._errors = _Errors(path)
        self._connection = _connect(path)
        self._connection.execute("PRAGMA query_only = ON")

    def get(self, shape: Shape, key: Values) -> tuple[Any, ...] | None:
        with self._errors:
            row = self._connection.execute(get_sql(shape), key).fetchone()
        return None if row is None else made(shape, row)

    def select(self, query: Query) -> list[tuple[Any, ...]]:
        with self._errors:
            return _select(self._connection, query)

    def columns(self, page: Page) -> list[list[Any]]:
        with self._errors, self._mapped():
            found = turned(page.columns, self._connection.execute(*columns_sql(page)).fetchall())
        for place, column in enumerate(page.columns):
            if column.kind is bool:
                found[place] = [None if value is None else bool(value) for value in found[place]]
        return found

    def count(
        self, shape: Shape, conditions: tuple[Condition, ...], by: tuple[Column, ...]
    ) -> list[tuple[Any, ...]]:
        with self._errors:
            return self._connection.execute(*count_sql(shape, conditions, by)).fetchall()

    @contextmanager
    def _mapped(self) -> Iterator[None]:
        """Read the file through the kernel's own pages: few columns of long rows cost a third less than by copies.

        For one page of columns at a time, so that a disk that fails meanwhile, which then ends the process, has little time
        to, and the pages do not count as this process's memory.
        """
        self._connection.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
        try:
            yield
        finally:
            self._connection.execute("PRAGMA mmap_size = 0")

    def check(self) -> list[Finding]:
        with self._errors:
            return sqlite_check.findings(self._connection, self._path)

    def close(self) -> None:
        self._connection.close()


def _select(connection: sqlite3.Connection, query: Query) -> list[tuple[Any, ...]]:
    if (packed := packed_sql(query)) is not None:
        try:
            return unpacked(query.shape, connection.execute(*packed).fetchone()[0])
        except sqlite3.DataError:
            pass  # the rows together are more text than SQLite puts into one value: read them one by one
    return [made(query.shape, row) for row in connection.execute(*select_sql(query)).fetchall()]


def _connect(path: Path) -> sqlite3.Connection:
    with _Errors(path):
        connection = sqlite3.connect(
            path,
            timeout=BUSY_MS / 1000,
            isolation_level=None,
            check_same_thread=False,  # each connection is used by one thread at a time, not always the same one
            cached_statements=STATEMENTS,
        )
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise StoreUnavailable(
                    f"{path} cannot keep a write-ahead log (journal mode is {mode}); use a local disk"
                )
            connection.execute("PRAGMA synchronous = FULL")
            # On macOS plain fsync leaves writes in the drive's cache; elsewhere these two change nothing.
            connection.execute("PRAGMA fullfsync = ON")
            connection.execute("PRAGMA checkpoint_fullfsync = ON")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            connection.execute("PRAGMA cache_size = -32768")
            connection.execute("PRAGMA temp_store = MEMORY")
        except BaseException:
            connection.close()
            raise
    return connection


class _Errors:
    """Turns SQLite's errors into ours, by what the caller can do about them. A generator costs ten times as much."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, cause: BaseException | None, trace: object) -> None:
        if cause is None:
            return
        if isinstance(cause, sqlite3.IntegrityError):
            raise Refused from cause
        if isinstance(cause, sqlite3.DataError | OverflowError | UnicodeEncodeError):
            raise Refused(
                InvalidInput(
                    f"{self._path} cannot store a value of this commit: {cause}; nothing was written"
                )
            ) from cause
        if not isinstance(cause, sqlite3.DatabaseError):
            return
        if getattr(cause, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise SchemaMismatch(
                f"{self._path} is not a SQLite database; nothing was changed, name another file"
            ) from cause
        raise StoreUnavailable(
            f"{self._path} cannot be used now ({cause}); nothing was written, try again"
        ) from cause


def _lock(path: Path) -> int:
    """Return the descriptor that holds the folder; closing it lets go.

    Raises:
        DataDirInUse: another process holds it.
    """
    name = path.with_name(path.name + ".lock")
    try:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as cause:
        raise StoreUnavailable(
            f"{name} cannot be opened ({cause}); make the folder writable"
        ) from cause
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as cause:
        holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise DataDirInUse(
            f"{path} is run by process {holder}; stop it, or use another folder"
        ) from cause
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError:
        pass  # a full disk must not keep the one runner out; only the number for the message is missing
    return descriptor
