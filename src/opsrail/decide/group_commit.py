"""Commits of decisions that stand for themselves, many in one: the shell around `grouping`.

A group is one commit of the store. When one of its decisions is refused (a value that no database keeps), each is committed
alone, so that only that one fails. Who is cancelled meanwhile takes nothing back: the commit goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from opsrail.clock import Clock
from opsrail.decide.grouping import Grouping
from opsrail.errors import Conflict, StoreUnavailable, Terminal
from opsrail.ports import Store
from opsrail.values.rows import Write

_Waiting = tuple[Sequence[Write], asyncio.Future[None]]


class GroupCommit:
    """Takes writes, a decision's at a time.

    Args:
        linger_s: See `Grouping`.

    Attributes:
        pending: Decisions that are not durable yet.
        groups: Groups sent since the process began.
        sent: Decisions in them.
    """

    def __init__(self, store: Store, clock: Clock, linger_s: float) -> None:
        self._store = store
        self._clock = clock
        self._grouping = Grouping(linger_s)
        self._group: list[_Waiting] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._will_look = False
        self.pending = self.groups = self.sent = 0

    @property
    def lately(self) -> int:
        """Decisions in the larger of the last two groups; 1 before the first."""
        return self._grouping.expected

    def add(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        """Queue a decision's writes; return what ends when they are durable.

        Raises (the future):
            InvalidInput, StaleWrite: this decision was refused. Terminal; nothing of it was written.
            StoreUnavailable: not written, or not known to be.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._group.append((writes, future))
        self.pending += 1
        self._grouping.add(self._clock.monotonic_s())
        if not self._will_look:
            self._will_look = True
            loop.call_soon(self._look)  # with all that this turn of the loop brings
        return future

    async def drain(self) -> None:
        """Wait until nothing is pending."""
        while self._group or self._tasks:
            if self._group:
                self._send()
            await asyncio.wait(set(self._tasks))
        await asyncio.sleep(0)  # who waited hears of it first

    def _look(self) -> None:
        self._will_look = False
        now_s = self._clock.monotonic_s()
        if self._grouping.is_due(now_s):
            self._send()
        elif self._timer is None and (due_in_s := self._grouping.due_in_s(now_s)) is not None:
            self._timer = asyncio.get_running_loop().call_later(due_in_s, self._waited)

    def _waited(self) -> None:
        """Send the group whose time is over by the loop's own timer, whatever another clock shows."""
        self._timer = None
        if self._grouping.due_in_s(0.0) is not None:
            self._send()

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        group, self._group = self._group, []
        self.groups += 1
        self.sent += self._grouping.begin()
        task = asyncio.get_running_loop().create_task(self._commit(group))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        try:
            await self._store.commit([write for writes, _ in group for write in writes])
        except (Conflict, Terminal) as refused:
            if len(group) == 1:
                _tell(group[0][1], refused)
            else:
                await asyncio.gather(*(self._commit_alone(*one) for one in group))
        except Exception as failed:
            for _, future in group:
                # An error of its own for each: one object raised in many tasks tangles their tracebacks.
                is_store = isinstance(failed, StoreUnavailable)
                _tell(future, StoreUnavailable(str(failed)) if is_store else failed)
        else:
            for _, future in group:
                if not future.done():
                    future.set_result(None)
        finally:
            self.pending -= len(group)
            self._grouping.end()
            self._look()

    async def _commit_alone(self, writes: Sequence[Write], future: asyncio.Future[None]) -> None:
        try:
            await self._store.commit(writes)
        except Exception as failed:
            _tell(future, failed)
        else:
            if not future.done():
                future.set_result(None)


def _tell(future: asyncio.Future[None], error: Exception) -> None:
    """Give an error to who waits, if anybody still does."""
    if not future.done():
        future.set_exception(error)
