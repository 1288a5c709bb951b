"""All that the shadow side may do to the database: read an artifact, and add what challengers said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from opsrail.errors import Denied
from opsrail.ports import Store
from opsrail.values.registry import ArtifactRow
from opsrail.values.rows import Insert, R, Value
from opsrail.values.shadows import ShadowScoreRow


class ShadowStore:
    """A store without its other methods. It keeps no store, only two functions that refuse all but one table each.

    It guards against faults of ours. A model that runs in this process could still do anything that Python can; one of
    which that is feared runs in a child process.
    """

    __slots__ = ("_insert", "_read")

    def __init__(self, store: Store) -> None:
        self._insert = _inserting(store)
        self._read = _reading(store)

    async def insert(self, rows: Sequence[ShadowScoreRow]) -> None:
        """Make rows durable, all or none.

        Raises:
            Denied: one of them is no ShadowScoreRow. Terminal; nothing was written.
            StaleWrite: a decision has a row of that challenger. Nothing was written.
            StoreUnavailable: not written, or not known to be.
        """
        await self._insert(rows)

    async def get(self, table: type[R], *key: Value) -> R | None:
        """Return an artifact. Raises Denied for any other table, and StoreUnavailable."""
        found: R | None = await self._read(table, *key)
        return found


def _inserting(store: Store) -> Callable[[Sequence[Any]], Awaitable[None]]:
    async def insert(rows: Sequence[Any]) -> None:
        strangers = {type(row).__name__ for row in rows if type(row) is not ShadowScoreRow}
        if strangers:
            raise Denied(
                f"a challenger's side may only add shadow scores, not {', '.join(sorted(strangers))}; nothing was written"
            )
        await store.commit([Insert(row) for row in rows])

    return insert


def _reading(store: Store) -> Callable[..., Awaitable[Any]]:
    async def read(table: type[tuple[Any, ...]], *key: Value) -> Any:
        if table is not ArtifactRow:
            raise Denied(f"a challenger's side may only read artifacts, not {table.__name__}")
        return await store.get(table, *key)

    return read
