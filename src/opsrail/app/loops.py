"""The loops that one process runs beside each other: started by name, ended together; what ends one for good is kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger("opsrail.app")
Loop = Callable[[], Coroutine[Any, Any, None]]


class Loops:
    """Loops under way.

    Attributes:
        broken: What ended one of them for good, if anything.
    """

    def __init__(self) -> None:
        self.broken: BaseException | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def start(self, name: str, loop: Loop) -> None:
        """Begin a loop."""
        self._tasks[name] = asyncio.create_task(self._guarded(loop), name=f"opsrail:{name}")

    def cancel(self, *names: str) -> None:
        """Tell loops to end, all when none is named; `stop` waits until they have."""
        for name in names or tuple(self._tasks):
            self._tasks[name].cancel()

    async def stop(self) -> None:
        """End all."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _guarded(self, loop: Loop) -> None:
        try:
            await loop()
        except Exception as error:
            self.broken = error
            log.exception("a loop of opsrail ended")
