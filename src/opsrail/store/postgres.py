"""The PostgreSQL adapter: one writer connection on one thread, a few readers; many processes share the database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psycopg

from opsrail.clock import Clock
from opsrail.errors import StoreUnavailable
from opsrail.ports import EntryChain, Finding, Follow
from opsrail.store import postgres_check, schema
from opsrail.store.database import DatabaseStore
from opsrail.store.group import OutcomeUnknown, Refused, Touched, TryAgain
from opsrail.store.page_sql import Page, turned
from opsrail.store.postgres_network import SESSION as NETWORK_SESSION
from opsrail.store.postgres_network import SilentSessions
from opsrail.store.postgres_server import PREPARED, Server, first_line
from opsrail.store.postgres_sql import (
    batches,
    columns_sql,
    count_sql,
    get_sql,
    select_sql,
    statement,
    take_sql,
)
from opsrail.store.queries import Condition, Query, Take
from opsrail.store.shapes import SHAPES, Column, Shape, Values
from opsrail.store.waves import Plan
from opsrail.values.cases import JournalRow, KeyRow, WorkerRow

TICK_S = 0.02
"""How often other processes are told of changes and listened to, seconds. Ours: bounds both the delay and the work."""
READERS = 3
"""Reader threads, a connection each. Ours: reads are short; the server has connections for many processes."""
SESSION = {
    **NETWORK_SESSION,
    "lock_timeout": "4s",
    "statement_timeout": "20s",
    "client_min_messages": "error",
    # All statements are short; compiling one takes 0.3 s, and a disabled kind of plan looks dear enough to be compiled.
    "jit": "off",
}
WRITER = {
    # A group's rows are always found by key; without these a plan made while a table was small would read all of it.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
BACKOFF_S = (0.05, 0.1, 0.2, 0.5)
"""Seconds between attempts to reach a lost server; the last repeats. Ours: F6 asks for at most 5 s beyond the downtime."""
NOW_SQL = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
DURABLE_SQL = """
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
"""A server, database or role set to lose commits is overruled; a stronger setting than `on` is kept."""
CHANNEL = "opsrail_changed"
QUIET = frozenset((JournalRow, KeyRow, WorkerRow))
"""Tables that no other process waits for, and every group writes."""
UNKNOWN = frozenset(("08", "57", "XX"))
"""Classes of errors after which a COMMIT may have happened: lost connection, operator's intervention, internal error."""


class PostgresStore(DatabaseStore["_PostgresReader"]):
    """Rows in one PostgreSQL database."""

    def __init__(
        self,
        url: str,
        *,
        chain: EntryChain | None = None,
        follow: Follow | None = None,
        clock: Clock,
    ) -> None:
        """Args: url: `postgresql://user:password@host:port/database`; appears in no message.

        Raises:
            ConfigInvalid: the URL cannot be read. Terminal.
        """
        super().__init__(chain, follow, clock, tick_s=TICK_S, readers=READERS)
        self._server = Server(url)

    async def now_ms(self) -> int:
        return await self._read(_PostgresReader.now_ms)

    def _prepare(self) -> _PostgresDriver:
        driver = _PostgresDriver(self._server, self._clock)
        try:
            driver.upgrade()
        except BaseException:
            driver.close()
            raise
        return driver

    def _reader(self) -> _PostgresReader:
        return _PostgresReader(self._server)


class _PostgresDriver:
    """The writer's connection.

    READ COMMITTED is enough: what a commit relies on it locks. Keys are held by unique indexes; an update finds its row
    under the row's lock and looks at the conditions again if another transaction changed it meanwhile; a Require locks its
    row FOR SHARE until the end. Nothing is decided on a row that was merely read.
    """

    def __init__(self, server: Server, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._connection: psycopg.Connection | None = self._connect()
        self._statement = lru_cache(maxsize=PREPARED)(statement)
        self._must_begin = False
        self._failures = 0
        self._next_try_s = 0.0
        self._silent = SilentSessions(clock)

    def _connect(self) -> psycopg.Connection:
        connection = self._server.connect({**SESSION, **WRITER})
        with self._server.errors():
            connection.execute(f"LISTEN {CHANNEL}")
            connection.execute(DURABLE_SQL)
        return connection

    def upgrade(self) -> None:
        connection = self._reached()
        with self._server.errors(), connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (0x4F505352,))
            (now_ms,) = connection.execute(NOW_SQL).fetchone() or (0,)
            schema.upgrade(
                *postgres_check.found(connection),
                schema.POSTGRES,
                self._execute,
                now_ms,
                self._server.place,
            )

    def _execute(self, sql: str) -> None:
        self._reached().execute(sql.encode())

    def _reached(self) -> psycopg.Connection:
        """Return the connection, made anew if it was lost, though not more often than the backoff says.

        Raises:
            StoreUnavailable: the server cannot be reached.
        """
        if self._connection is not None:
            return self._connection
        now_s = self._clock.monotonic_s()
        if now_s < self._next_try_s:
            raise StoreUnavailable(
                f"{self._server.place} is away; nothing was written, try again",
                after_s=self._next_try_s - now_s,
            )
        try:
            self._connection = self._connect()
        except StoreUnavailable:
            self._next_try_s = now_s + BACKOFF_S[min(self._failures, len(BACKOFF_S) - 1)]
            self._failures += 1
            raise
        self._failures = 0
        return self._connection

    def begin(self) -> None:
        self._reached()
        self._must_begin = True  # travels with the first statements: one round trip less

    def _begin_now(self, connection: psycopg.Connection) -> None:
        if self._must_begin:
            self._must_begin = False
            connection.execute("BEGIN")

    def run(self, statements: Plan) -> None:
        connection = self._reached()
        answers: list[tuple[psycopg.Cursor[Any], int]] = []
        with self._server.errors(), _pipeline(connection):
            self._begin_now(connection)
            for form, rows in statements:
                for sql, bound, wanted in batches(form, rows, self._statement):
                    cursor = connection.execute(sql.encode(), bound, prepare=True)
                    if form.must_match:
                        answers.append((cursor, wanted))
        if any(cursor.rowcount != wanted for cursor, wanted in answers):
            raise Refused

    def take(self, take: Take) -> list[tuple[Any, ...]]:
        connection = self._reached()
        sql, bound = take_sql(take)
        with self._server.errors():
            with _pipeline(connection):
                self._begin_now(connection)
                cursor = connection.cursor(binary=True).execute(sql.encode(), bound, prepare=False)
            rows = sorted(cursor.fetchall())
        return [take.query.shape.make(row[1:]) for row in rows]

    def savepoint(self, depth: int) -> None:
        connection = self._reached()
        with self._server.errors():
            self._begin_now(connection)
            connection.execute(f"SAVEPOINT half_{depth}".encode())

    def restore(self, depth: int) -> None:
        with self._server.errors():
            self._execute(f"ROLLBACK TO half_{depth}")

    def commit(self) -> None:
        if self._must_begin:
            self._must_begin = False
            return
        connection = self._reached()
        try:
            cursor = connection.execute("COMMIT")
        except psycopg.Error as cause:
            if connection.closed or (cause.sqlstate or "08")[:2] in UNKNOWN:
                raise OutcomeUnknown(f"{self._server.place}: {first_line(cause)}") from cause
            with self._server.errors():
                raise
        if cursor.statusmessage != "COMMIT":
            raise StoreUnavailable(
                f"{self._server.place} answered {cursor.statusmessage} to COMMIT; nothing was written"
            )

    def rollback(self) -> None:
        self._must_begin = False
        connection = self._connection
        if connection is None:
            return
        try:
            connection.execute("ROLLBACK")
        except psycopg.Error:
            self._lose()

    def tick(self, touched: Touched) -> Touched:
        if self._connection is None:
            return self._come_back()
        try:
            self._tell(self._connection, touched - QUIET)
            touched.clear()
            self._silent.end(self._connection)
            return self._listen(self._connection)
        except psycopg.Error:
            self._lose()
            return set()

    def _tell(self, connection: psycopg.Connection, touched: Touched) -> None:
        """Name the changed tables to other processes.

        After the group, not in it: NOTIFY makes commits of all processes wait for each other, so it must not hold its lock
        through an fsync. A process that dies in between leaves the others to their own polls.
        """
        if touched:
            names = ",".join(sorted(SHAPES[row_type].name for row_type in touched))
            told = f"BEGIN; SET LOCAL synchronous_commit = off; NOTIFY {CHANNEL}, '{names}'; COMMIT"
            connection.execute(told.encode())

    def _listen(self, connection: psycopg.Connection) -> Touched:
        """Return the tables that other processes named since the last time."""
        own = connection.info.backend_pid
        notes = [
            note.payload.split(",") for note in connection.notifies(timeout=0) if note.pid != own
        ]
        names = set().union(*notes)
        return (
            {row_type for row_type, shape in SHAPES.items() if shape.name in names}
            if names
            else set()
        )

    def _come_back(self) -> Touched:
        """Try to reach a lost server; what changed meanwhile is not known, so everything may have."""
        try:
            self._reached()
        except (StoreUnavailable, Refused, TryAgain):
            return set()
        return set(SHAPES)

    def _lose(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def close(self) -> None:
        self._lose()


class _PostgresReader:
    """One connection that reads; used by one thread at a time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection = server.connect({**SESSION, "default_transaction_read_only": "on"})

    def get(self, shape: Shape, key: Values) -> tuple[Any, ...] | None:
        rows = self._rows(get_sql(shape), key)
        return shape.make(rows[0]) if rows else None

    def select(self, query: Query) -> list[tuple[Any, ...]]:
        return list(map(query.shape.make, self._rows(*select_sql(query))))

    def columns(self, page: Page) -> list[list[Any]]:
        return turned(page.columns, self._rows(*columns_sql(page)))

    def count(
        self, shape: Shape, conditions: tuple[Condition, ...], by: tuple[Column, ...]
    ) -> list[tuple[Any, ...]]:
        return self._rows(*count_sql(shape, conditions, by))

    def now_ms(self) -> int:
        return int(self._rows(NOW_SQL, ())[0][0])

    def check(self) -> list[Finding]:
        with self._server.errors():
            return postgres_check.findings(self._connection)

    def _rows(self, sql: str, bound: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._server.errors():
            # Planned anew each time: which index serves depends on the values, and a plan for all values fits none.
            cursor = self._connection.cursor(binary=True).execute(
                sql.encode(), bound, prepare=False
            )
            return cursor.fetchall()

    def close(self) -> None:
        self._connection.close()


@contextmanager
def _pipeline(connection: psycopg.Connection) -> Iterator[None]:
    """Send statements without waiting for each answer; raise the first error once all have been read.

    The error must not pass through psycopg's own block: it would log a warning for each refused commit.
    """
    first: psycopg.Error | None = None
    try:
        with connection.pipeline():
            try:
                yield
            except psycopg.Error as cause:
                first = cause
    except psycopg.Error as cause:
        first = first or cause
    if first is not None:
        raise first
