"""What we need from a database: rows, durable, in commits that are whole or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from opsrail.values.ledger import ChainRow
from opsrail.values.rows import Append, R, Value, Where, Write


class Finding(NamedTuple):
    """One thing a self-check found.

    Attributes:
        level: `ok`, `warn` (works, promises less) or `fail` (promises cannot be kept: refused at start).
        message: What is and what should be.
    """

    name: str
    level: str
    message: str


class Store(Protocol):
    """Rows, durable, in one database. All methods may raise StoreUnavailable: nothing of that call was written."""

    async def open(self) -> None:
        """Connect and bring the schema up to date.

        Raises:
            SchemaMismatch: the database is newer than this opsrail. Terminal; nothing was changed.
            StoreUnavailable: it cannot be reached.
        """

    async def close(self) -> None:
        """Finish commits under way, refuse new ones, release everything."""

    async def commit(self, writes: Sequence[Write]) -> None:
        """Make all writes durable, whole, in order; many callers share one fsync.

        Returns when the database has them on disk. Cancelling the caller does not cancel a commit that has begun.

        Raises:
            StaleWrite: an Insert's key is taken, an Update found no matching row, or a Require does not hold.
            Fenced: a Require with refusal `fenced` does not hold.
            StoreUnavailable: not written, or (server lost mid-commit) not known to be written.
        """

    async def get(self, table: type[R], *key: Value) -> R | None:
        """Return the row with that primary key."""

    async def select(
        self,
        table: type[R],
        *where: Where,
        order: Sequence[str] = (),
        descending: bool = False,
        limit: int = 1000,
    ) -> list[R]:
        """Return rows that meet all conditions, ordered by the columns (default: primary key), at most `limit`."""

    async def columns(
        self,
        table: type[tuple[Any, ...]],
        names: Sequence[str],
        *where: Where,
        after: Sequence[Value] = (),
        descending: bool = False,
        limit: int = 10_000,
    ) -> list[list[Any]]:
        """Return some columns of the rows that meet all conditions, by primary key: one list a column, equally long.

        For reading millions of rows page by page: each page is one short read of its own, which holds up no writer, and rows
        are not made.

        Args:
            names: Columns to read, at least one.
            after: Primary key of the last row of the page before; empty: from the first.
            descending: From the last key to the first.
            limit: Rows, at most.
        """

    async def count(
        self, table: type[tuple[Any, ...]], *where: Where, by: Sequence[str] = ()
    ) -> dict[tuple[Any, ...], int]:
        """Return the number of rows for each combination of the `by` columns; `{(): n}` without."""

    async def take(
        self,
        table: type[R],
        *where: Where,
        set: Mapping[str, Value],
        add: Mapping[str, int] | None = None,
        order: Sequence[str] = (),
        limit: int = 100,
    ) -> list[R]:
        """Change up to `limit` matching rows at once and return them as changed; durable on return.

        Two callers never take the same row for the same conditions; rows locked by another are skipped.

        Args:
            set: Columns to overwrite.
            add: Columns to add a number to.
        """

    async def now_ms(self) -> int:
        """Return the database's clock, epoch ms: the one clock that leases of several processes share."""

    def changed(self, table: type[tuple[Any, ...]]) -> asyncio.Event:
        """Return the event that is set after a commit added or changed rows there, also (soon) by another process.

        One waiter clears it, then reads. A missed event is bounded by the waiter's own poll.
        """

    async def check(self) -> list[Finding]:
        """Return how durable this database really is (fsync settings, file system, free space, version)."""


class RowReader(Protocol):
    """The part of a store that reads single rows; every `Store` is one."""

    async def get(self, table: type[R], *key: Value) -> R | None:
        """Return the row with that primary key. Raises StoreUnavailable."""


class EntryChain(Protocol):
    """Links ledger entries of one process in commit order; pure but for its head. Driven by the store's group commit."""

    def link(self, entries: Sequence[Append]) -> list[ChainRow]:
        """Return the rows of several types for the entries, chained to the head, which stays; the store inserts them.

        One call a transaction: besides a row an entry there is one that tells the sequencer of the batch. Empty for
            no entries.
        """

    def advance(self, rows: Sequence[ChainRow]) -> None:
        """Move the head past rows that are committed: the whole list that `link` returned."""

    def renew(self) -> None:
        """Start a fresh chain: it is not known whether the last rows were committed."""


Follow = Callable[[Sequence[Write]], Sequence[Write]]
"""Returns what a commit writes as well, from what it writes; for most nothing. A store calls it once a commit."""
