"""The Store port over a blocking database: commits and takes go to the group writer, reads to a few threads."""

from __future__ import annotations

import asyncio
import queue
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar, cast

from opsrail.clock import Clock
from opsrail.errors import StoreUnavailable
from opsrail.ports import EntryChain, Finding, Follow
from opsrail.store.forms import Forms
from opsrail.store.group import Driver, GroupWriter, Refused, TryAgain
from opsrail.store.page_sql import Page, page
from opsrail.store.queries import Condition, Query, query, take
from opsrail.store.shapes import SHAPES, Column, Shape, Values, shape_of
from opsrail.values.rows import R, Value, Where, Write


class Reader(Protocol):
    """One connection that reads, blocking; used by one thread at a time."""

    def get(self, shape: Shape, key: Values) -> tuple[Any, ...] | None:
        """Return the row with that key."""
        ...

    def select(self, query: Query) -> list[tuple[Any, ...]]:
        """Return the rows asked for."""
        ...

    def columns(self, page: Page) -> list[list[Any]]:
        """Return the columns asked for."""
        ...

    def count(
        self, shape: Shape, conditions: tuple[Condition, ...], by: tuple[Column, ...]
    ) -> list[tuple[Any, ...]]:
        """Return the values of the `by` columns and the number of rows that have them."""
        ...

    def check(self) -> list[Finding]:
        """Return how durable the database is."""
        ...

    def close(self) -> None:
        """Release the connection; never raises."""
        ...


AnyReader = TypeVar("AnyReader", bound=Reader)
T = TypeVar("T")


class DatabaseStore(ABC, Generic[AnyReader]):
    """What the two databases share; see `ports.Store` for the promises."""

    def __init__(
        self,
        chain: EntryChain | None,
        follow: Follow | None,
        clock: Clock,
        *,
        tick_s: float,
        readers: int,
    ) -> None:
        self._chain = chain
        self._clock = clock
        self._tick_s = tick_s
        self._reader_count = readers
        self._forms = Forms(follow)
        self._events = {row_type: asyncio.Event() for row_type in SHAPES}
        self._writer: GroupWriter | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._idle: queue.SimpleQueue[AnyReader] = queue.SimpleQueue()

    @abstractmethod
    def _prepare(self) -> Driver:
        """Connect the writer and bring the schema up to date; blocking."""

    @abstractmethod
    def _reader(self) -> AnyReader:
        """Connect one reader; blocking."""

    def _release(self) -> None:
        """Let go of what is held beside connections."""

    async def open(self) -> None:
        driver = await asyncio.to_thread(self._prepare)
        self._threads = ThreadPoolExecutor(
            self._reader_count, thread_name_prefix="opsrail-store-reader"
        )
        self._writer = GroupWriter(driver, self._chain, self._events, self._clock, self._tick_s)

    async def close(self) -> None:
        writer, self._writer = self._writer, None
        threads, self._threads = self._threads, None
        if writer is not None:
            await writer.close()
        if threads is not None:
            await asyncio.to_thread(threads.shutdown)
        while not self._idle.empty():
            self._idle.get_nowait().close()
        self._release()

    async def commit(self, writes: Sequence[Write]) -> None:
        asked = self._forms.commit(writes)
        if asked.appends and self._chain is None:
            raise TypeError(
                "this store was made without a chain, so it cannot take an Append; give it one"
            )
        if asked.ops or asked.appends:
            await self._writing().submit(asked)

    async def get(self, table: type[R], *key: Value) -> R | None:
        shape = shape_of(table)
        values = shape.key_values(key)
        return cast(R | None, await self._read(lambda reader: reader.get(shape, values)))

    async def select(
        self,
        table: type[R],
        *where: Where,
        order: Sequence[str] = (),
        descending: bool = False,
        limit: int = 1000,
    ) -> list[R]:
        asked = query(table, where, order, descending, limit)
        return cast(list[R], await self._read(lambda reader: reader.select(asked)))

    async def columns(
        self,
        table: type[tuple[Any, ...]],
        names: Sequence[str],
        *where: Where,
        after: Sequence[Value] = (),
        descending: bool = False,
        limit: int = 10_000,
    ) -> list[list[Any]]:
        asked = page(table, names, where, after, limit, descending=descending)
        return await self._read(lambda reader: reader.columns(asked))

    async def count(
        self, table: type[tuple[Any, ...]], *where: Where, by: Sequence[str] = ()
    ) -> dict[tuple[Any, ...], int]:
        asked = query(table, where, by, False, 0)
        columns = tuple(map(asked.shape.column, by))
        casts = [column.kind is bool for column in columns]
        rows = await self._read(lambda reader: reader.count(asked.shape, asked.conditions, columns))
        return {
            tuple(
                bool(value) if is_bool else value
                for is_bool, value in zip(casts, row, strict=False)
            ): row[-1]
            for row in rows
        }

    async def take(
        self,
        table: type[R],
        *where: Where,
        set: Mapping[str, Value],
        add: Mapping[str, int] | None = None,
        order: Sequence[str] = (),
        limit: int = 100,
    ) -> list[R]:
        asked = take(self._forms, query(table, where, order, False, limit), set, add or {})
        return list(cast(Sequence[R], await self._writing().submit(asked)))

    def changed(self, table: type[tuple[Any, ...]]) -> asyncio.Event:
        return self._events[shape_of(table).row]

    async def check(self) -> list[Finding]:
        return await self._read(lambda reader: reader.check())

    def _writing(self) -> GroupWriter:
        if self._writer is None:
            raise StoreUnavailable("the store is not open; nothing was written, open it first")
        return self._writer

    async def _read(self, work: Callable[[AnyReader], T]) -> T:
        if self._threads is None:
            raise StoreUnavailable("the store is not open; open it first")
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, self._with_reader, work
        )

    def _with_reader(self, work: Callable[[AnyReader], T]) -> T:
        try:
            return self._with(self._idle.get_nowait(), work)
        except queue.Empty:
            pass
        except StoreUnavailable:
            pass  # its connection may have been lost while it was idle: look once more through a fresh one
        return self._with(self._reader(), work)

    def _with(self, reader: AnyReader, work: Callable[[AnyReader], T]) -> T:
        try:
            answer = work(reader)
        except Refused as refused:
            reader.close()
            raise refused.error or StoreUnavailable("the database refused a read") from refused
        except TryAgain as cause:
            reader.close()
            raise StoreUnavailable(f"the database asks to try again ({cause})") from cause
        except BaseException:
            reader.close()
            raise
        self._idle.put(reader)
        return answer
