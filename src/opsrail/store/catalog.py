"""Which store a URL stands for; each is imported when it is first asked for."""

from __future__ import annotations

from pathlib import Path

from opsrail.clock import Clock
from opsrail.errors import ConfigInvalid
from opsrail.ports import EntryChain, Follow, Store


def open_store(
    url: str,
    file: Path,
    chain: EntryChain,
    clock: Clock,
    *,
    exclusive: bool,
    follow: Follow | None = None,
) -> tuple[Store, bool]:
    """Return the store, not yet opened, and whether no other process can carry cases on it.

    Args:
        url: `postgresql://...`, or empty for SQLite in `file`.
        exclusive: Take the file's lock (SQLite): this process will carry cases.

    Raises:
        ConfigInvalid: the URL names no known store; the message never holds it. Terminal.
    """
    if not url:
        from opsrail.store.sqlite import SqliteStore

        store = SqliteStore(file, chain=chain, follow=follow, exclusive=exclusive, clock=clock)
        return store, exclusive
    if url.startswith(("postgresql://", "postgres://")):
        from opsrail.store.postgres import PostgresStore

        return PostgresStore(url, chain=chain, follow=follow, clock=clock), False
    raise ConfigInvalid(
        "store.url names no known store; use postgresql://user@host/database, or leave it empty for SQLite"
    )
