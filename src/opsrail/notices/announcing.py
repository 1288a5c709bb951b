"""A store that tells: each commit gets, beside what it writes, the rows of the notices that follow from it.

It stands between the trades and the adapter (`app/`), so that whoever opens a review, raises an alarm or plans a change, in
a server or on the command line, tells it in the very commit. Everything else is the store's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from opsrail.clock import Clock
from opsrail.notices.subscriptions import Channel, notices_of
from opsrail.ports import Finding, Store
from opsrail.values.rows import R, Value, Where, Write


class Announcing:
    """A `ports.Store` over another one.

    Args:
        channels: Who wants to know what.
    """

    def __init__(self, store: Store, clock: Clock, channels: Sequence[Channel]) -> None:
        self.inner = store
        self._clock = clock
        self._channels = tuple(channels)

    async def commit(self, writes: Sequence[Write]) -> None:
        """As `Store.commit`, with the notices that follow."""
        told = notices_of(writes, self._channels, self._clock.now_ms(), self._clock.new_id)
        await self.inner.commit([*writes, *told] if told else writes)

    async def open(self) -> None:
        """As `Store.open`."""
        await self.inner.open()

    async def close(self) -> None:
        """As `Store.close`."""
        await self.inner.close()

    async def get(self, table: type[R], *key: Value) -> R | None:
        """As `Store.get`."""
        return await self.inner.get(table, *key)

    async def select(
        self,
        table: type[R],
        *where: Where,
        order: Sequence[str] = (),
        descending: bool = False,
        limit: int = 1000,
    ) -> list[R]:
        """As `Store.select`."""
        return await self.inner.select(
            table, *where, order=order, descending=descending, limit=limit
        )

    async def columns(
        self,
        table: type[tuple[Any, ...]],
        names: Sequence[str],
        *where: Where,
        after: Sequence[Value] = (),
        descending: bool = False,
        limit: int = 10_000,
    ) -> list[list[Any]]:
        """As `Store.columns`."""
        return await self.inner.columns(
            table, names, *where, after=after, descending=descending, limit=limit
        )

    async def count(
        self, table: type[tuple[Any, ...]], *where: Where, by: Sequence[str] = ()
    ) -> dict[tuple[Any, ...], int]:
        """As `Store.count`."""
        return await self.inner.count(table, *where, by=by)

    async def take(
        self,
        table: type[R],
        *where: Where,
        set: Mapping[str, Value],
        add: Mapping[str, int] | None = None,
        order: Sequence[str] = (),
        limit: int = 100,
    ) -> list[R]:
        """As `Store.take`."""
        return await self.inner.take(table, *where, set=set, add=add, order=order, limit=limit)

    async def now_ms(self) -> int:
        """As `Store.now_ms`."""
        return await self.inner.now_ms()

    def changed(self, table: type[tuple[Any, ...]]) -> asyncio.Event:
        """As `Store.changed`."""
        return self.inner.changed(table)

    async def check(self) -> list[Finding]:
        """As `Store.check`."""
        return await self.inner.check()
