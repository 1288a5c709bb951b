"""What of a case runs at the same time: its calls under way, in tasks of the author's own (`asyncio.gather`)."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

from opsrail.cases.signals import Suspended


class Beside:
    """Counts the calls under way in one run of a case; `with` it around each that takes time."""

    def __init__(self) -> None:
        self._main = asyncio.current_task()
        self._tasks: set[asyncio.Task[Any] | None] = set()
        self._under_way = 0
        self._quiet: asyncio.Event | None = None  # made when somebody waits for it: few cases do

    def __enter__(self) -> None:
        self._under_way += 1
        self._tasks.add(asyncio.current_task())

    def __exit__(self, *_: object) -> None:
        self._under_way -= 1
        if self._quiet is not None and not self._under_way:
            self._quiet.set()

    async def park(self) -> NoReturn:
        """Leave the author's code, once what runs beside has its result: else it would run again after the park.

        Raises:
            Suspended: always.
        """
        if asyncio.current_task() is not self._main:
            await asyncio.sleep(0)  # tasks made together with this one begin first
        while self._under_way:
            self._quiet = self._quiet or asyncio.Event()
            self._quiet.clear()
            await self._quiet.wait()
        raise Suspended

    def end(self) -> None:
        """Cancel what tasks of the author's own still do."""
        for task in self._tasks - {asyncio.current_task(), None}:
            if task is not None:
                task.cancel()
