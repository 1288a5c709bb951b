"""An event loop whose time jumps when all wait.

`asyncio.sleep(3600)` returns at once when nothing else can happen before: the loop moves its clock to the next timer
instead of waiting for it. Work in threads counts as something that can happen: the loop waits for it in real time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

THREAD_POLL_S = 0.001


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for a timer: hands the time it would have waited to the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: JumpingLoop | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or self.loop is None or timeout == 0:
            return ready
        if self.loop.busy_threads:
            return super().select(THREAD_POLL_S)
        if timeout is None:
            return super().select(None)
        self.loop.jump(timeout)
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop with a clock of its own.

    Attributes:
        busy_threads: Calls in threads that have not returned; while there are any, the clock stands.
    """

    def __init__(self) -> None:
        selector = _JumpingSelector()
        super().__init__(selector)
        self._offset_s = 0.0
        # After months of jumped time a float's steps are coarser than the loop's own 1 ns; a timer due now would never fire.
        self._clock_resolution = 1e-6
        self.busy_threads = 0
        selector.loop = self

    def time(self) -> float:
        """Return the loop's own time, seconds from 0."""
        return self._offset_s

    def jump(self, seconds: float) -> None:
        """Let time pass."""
        self._offset_s += seconds

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run a call in a thread; the clock stands while it runs."""
        future = super().run_in_executor(executor, func, *args)
        self.busy_threads += 1
        future.add_done_callback(self._thread_ended)
        return future

    def _thread_ended(self, _: asyncio.Future[Any]) -> None:
        self.busy_threads -= 1
