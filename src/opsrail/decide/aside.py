"""A thread for calls that may be late without harm: whoever waits leaves in time, and a call that hangs loses its thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from opsrail.clock import Clock
from opsrail.decide.threads import Threads
from opsrail.errors import Overloaded

T = TypeVar("T")
HANGS_S = 10.0
"""Ours: a call that runs longer is taken for one that never ends; those after it get another thread."""


class Aside:
    """Calls functions one after the other, beside the work that must not wait.

    Args:
        name: Of the thread.
        most_waiting: Calls that may wait; further ones are refused at once.
    """

    def __init__(self, name: str, clock: Clock, most_waiting: int) -> None:
        self._name = name
        self._clock = clock
        self._most_waiting = most_waiting
        self._thread: Threads | None = None
        self._waiting = 0
        self._began_s: float | None = None

    async def run(self, call: Callable[[], T], limit_s: float) -> T:
        """Return what a function gives.

        Raises:
            TimeoutError: not within the limit. A call that has not begun is dropped.
            Overloaded: too many calls wait.
        """
        if self._waiting >= self._most_waiting:
            raise Overloaded("too many explanations are asked for; ask again in a moment")
        if self._began_s is not None and self._clock.monotonic_s() - self._began_s > HANGS_S:
            self.close()
        if self._thread is None:
            self._thread = Threads(self._name)
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._thread, self._timed, call)
        self._waiting += 1
        try:
            async with asyncio.timeout(max(limit_s, 0.0)):
                return await future
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the thread after the call that runs; one that hangs is left to end with the process."""
        if self._thread is not None:
            self._thread.shutdown()
        self._thread, self._began_s = None, None

    def _timed(self, call: Callable[[], T]) -> T:
        self._began_s = self._clock.monotonic_s()
        try:
            return call()
        finally:
            self._began_s = None
