"""Writes what challengers said, in groups, behind everything else."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from opsrail.errors import OpsrailError, StaleWrite, StoreUnavailable
from opsrail.values.shadows import ShadowScoreRow

log = logging.getLogger("opsrail.shadow")
GROUP = 100
"""Rows in one commit. Ours: they add half a millisecond to the commits of decisions that they share an fsync with."""
MOST_UNWRITTEN = 10_000
"""Rows kept while the database is away; later ones are dropped. Ours: some 3 MB."""
AGAIN_S = 1.0
"""Ours: a database that is away is asked again once a second, behind the decisions that wait for it, too."""


class ShadowSink(Protocol):
    """The one thing that the shadow side may write to."""

    async def insert(self, rows: Sequence[ShadowScoreRow]) -> None:
        """Make rows durable, all or none. Raises StaleWrite, StoreUnavailable."""
        ...


class ShadowWriter:
    """Takes rows and writes them later. One commit at a time.

    Args:
        dropped: Told of each row that could not be written.

    Attributes:
        written: Rows written since the process began.
    """

    def __init__(self, sink: ShadowSink, dropped: Callable[[ShadowScoreRow], None]) -> None:
        self._sink = sink
        self._dropped = dropped
        self._rows: deque[ShadowScoreRow] = deque()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.written = 0

    @property
    def unwritten(self) -> int:
        """Rows that are not durable yet."""
        return len(self._rows)

    def add(self, row: ShadowScoreRow) -> None:
        """Queue a row."""
        if len(self._rows) >= MOST_UNWRITTEN:
            self._dropped(row)
        else:
            self._rows.append(row)

    def begin(self) -> None:
        """Begin to write what is queued, if that is not under way or put off."""
        if self._rows and self._task is None and self._timer is None:
            self._task = asyncio.get_running_loop().create_task(
                self._write(), name="opsrail:shadow scores"
            )
            self._task.add_done_callback(self._ended)

    async def drain(self) -> None:
        """Write all that is queued, once; what the database does not take now is dropped."""
        self._put_off()
        self.begin()
        if self._task is not None:
            await asyncio.wait({self._task})
        self._put_off()
        while self._rows:
            self._dropped(self._rows.popleft())

    def _put_off(self) -> None:
        """Forget that it was to be tried again."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    async def _write(self) -> None:
        while self._rows:
            group = [self._rows[place] for place in range(min(GROUP, len(self._rows)))]
            await self._insert(group)
            for _ in group:
                self._rows.popleft()

    async def _insert(self, group: Sequence[ShadowScoreRow]) -> None:
        """Write a group; of one that was refused, each alone."""
        try:
            await self._sink.insert(group)
            self.written += len(group)
        except StoreUnavailable:
            raise
        except OpsrailError as refused:
            if len(group) > 1:
                for row in group:
                    await self._insert([row])
            elif not isinstance(
                refused, StaleWrite
            ):  # else it is there: its commit was taken for lost
                log.error("what a challenger said cannot be kept: %s", refused)
                self._dropped(group[0])

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if task.cancelled() or (fault := task.exception()) is None:
            return
        if not isinstance(fault, StoreUnavailable):
            log.error("writing what challengers said failed", exc_info=fault)
        self._timer = asyncio.get_running_loop().call_later(AGAIN_S, self._again)

    def _again(self) -> None:
        self._timer = None
        self.begin()
