"""Many rows through one road: in order, a few under way at a time, so that neither memory nor the models are flooded.

Whoever takes the answers sets the pace: while nobody takes one, no further row is begun.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from opsrail.clock import Clock
from opsrail.errors import Overloaded

T = TypeVar("T")
R = TypeVar("R")
PATIENCE_S = 30.0
"""Time that one row waits for room. Ours: what is still full then will not soon be empty."""
PAUSE_S = 0.1
"""Time before a row that found no room is asked again, when nothing says how long. Ours."""


async def in_order(
    rows: AsyncIterable[T], work: Callable[[T], Coroutine[Any, Any, R]], at_once: int
) -> AsyncGenerator[R, None]:
    """Yield what `work` returns for each row, in the order of the rows.

    What `work` raises ends the iteration; rows under way are then given up, as when the iteration is closed. What reading a
    row raises ends it after the rows that were read.

    Args:
        at_once: Rows under way at a time, at most; from 1 on.
    """
    under_way: deque[asyncio.Task[R]] = deque()
    unreadable: Exception | None = None
    reading = aiter(rows)
    try:
        while True:
            try:
                row = await anext(reading)
            except StopAsyncIteration:
                break
            except Exception as wrong:
                unreadable = wrong
                break
            under_way.append(asyncio.create_task(work(row)))
            if len(under_way) >= at_once:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
        if unreadable is not None:
            raise unreadable
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def patiently(ask: Callable[[], Awaitable[R]], clock: Clock) -> R:
    """Return what is answered once there is room: many rows at once have to wait, where one is refused.

    Raises:
        Overloaded: there was none for `PATIENCE_S`.
    """
    until_s = clock.monotonic_s() + PATIENCE_S
    while True:
        try:
            return await ask()
        except Overloaded as full:
            pause_s = max(full.after_s or 0.0, PAUSE_S) * (0.5 + clock.uniform())
            if clock.monotonic_s() + pause_s >= until_s:
                raise
            await clock.sleep(pause_s)
