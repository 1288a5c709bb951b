"""A store that fails where a test says so, and processes that work on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from opsrail.app import App
from opsrail.cases.intake import Submission
from opsrail.cases.loader import Definitions
from opsrail.cases.office import Office
from opsrail.clock import SystemClock
from opsrail.config import CasesConfig, Config
from opsrail.errors import StoreUnavailable
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.keys import Signer
from opsrail.ledger.notes import SigningKey
from opsrail.store.memory import MemoryStore
from opsrail.values.cases import (
    CaseRow,
    CaseState,
)
from opsrail.values.rows import Update

BOUND_S = 20.0


async def waited(length: int) -> int:
    await asyncio.sleep(length)
    return length


async def at_once() -> str:
    return "done"


class WeakStore(MemoryStore):
    """Fails where a test says so.

    Attributes:
        refuses: Given a commit's writes, returns whether the database is away.
        loses: Given a commit's writes, returns whether it is done and its answer lost.
    """

    refuses: Callable[[Sequence[Any]], bool] = staticmethod(lambda writes: False)
    loses: Callable[[Sequence[Any]], bool] = staticmethod(lambda writes: False)

    async def commit(self, writes: Sequence[Any]) -> None:
        if self.refuses(writes):
            raise StoreUnavailable("the database is away")
        is_lost = self.loses(writes)
        await super().commit(writes)
        if is_lost:
            raise StoreUnavailable("its answer never came")


def weak() -> WeakStore:
    clock = SystemClock()
    return WeakStore(WriterChain(clock), clock=clock)


def app_on(store: Any, definitions: Definitions, **settings: Any) -> App:
    """Return a process on a store; several may share it."""
    config = Config(cases=CasesConfig(**{"dead_s": 5, "poll_s": 0.5, **settings}))
    signer = Signer([SigningKey("test.opsrail.local/ledger", b"k" * 32)])
    clock = SystemClock()
    return App(
        config,
        definitions,
        store,
        signer,
        clock,
        anchor=None,
        alone=False,
        strict=False,
        runtimes={},
    )


@asynccontextmanager
async def running(app: App) -> AsyncIterator[App]:
    async with asyncio.timeout(BOUND_S), app.running():
        await asyncio.sleep(0)
        yield app


async def until(app: App, case_id: str, *states: CaseState) -> CaseRow:
    """Return a case once it is in one of the states."""
    while True:
        row = await Office(app.store, app.clock).get(case_id)
        if row.state in states:
            return row
        await asyncio.sleep(0.005)


async def met(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return once a condition holds."""
    while True:
        if await condition():
            return
        await asyncio.sleep(0)


async def submitted(app: App, priority: int = 5) -> CaseRow:
    row, _ = await app.intake.accept(Submission("orders", {}, "test", priority=priority))
    return row


def sets_state(state: CaseState) -> Callable[[Sequence[Any]], bool]:
    """Return a condition that holds for the first commit that moves a case to a state, and no later one."""
    left = [True]

    def holds(writes: Sequence[Any]) -> bool:
        moves = any(
            isinstance(write, Update) and write.table is CaseRow and write.set.get("state") == state
            for write in writes
        )
        return moves and bool(left) and left.pop()

    return holds
