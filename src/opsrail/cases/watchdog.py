"""Finds calls that block the event loop, and says where in the author's file.

A thread pings the loop; when pings stay unanswered for `limit_s` it reads the loop thread's stack, finds the innermost line
in one of the author's files, and reports it with the task that was running.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Collection

from opsrail.errors import BlockedLoop

log = logging.getLogger("opsrail.watchdog")
LIMIT_S = 1.0
PINGS = 4


class Watchdog:
    """Watches one event loop.

    Args:
        files: Author files whose lines count.
        report: Called on the loop with the task's name and the error, once per place.
        limit_s: How long a call may hold the loop.
    """

    def __init__(
        self,
        files: Collection[str],
        report: Callable[[str, BlockedLoop], None],
        *,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._files = frozenset(files)
        self._report = report
        self._limit_s = limit_s
        self._unanswered = 0
        self._stopped = threading.Event()
        self._seen: set[str] = set()

    async def run(self) -> None:
        """Watch until cancelled."""
        loop, ident = asyncio.get_running_loop(), threading.get_ident()
        thread = threading.Thread(
            target=self._look_on, args=(loop, ident), name="opsrail-watchdog", daemon=True
        )
        thread.start()
        try:
            await loop.create_future()
        finally:
            self._stopped.set()

    def _look_on(self, loop: asyncio.AbstractEventLoop, ident: int) -> None:
        while not self._stopped.wait(self._limit_s / PINGS):
            if self._unanswered >= PINGS:
                self._name_line(loop, ident)
            self._unanswered += 1
            try:
                loop.call_soon_threadsafe(self._answer)
            except RuntimeError:  # the loop is closed
                return

    def _answer(self) -> None:
        self._unanswered = 0

    def _name_line(self, loop: asyncio.AbstractEventLoop, ident: int) -> None:
        frame, task = sys._current_frames().get(ident), asyncio.current_task(loop)
        found = [line for line in traceback.extract_stack(frame) if line.filename in self._files]
        if not found or task is None:
            return
        line = found[-1]
        place = f"{line.filename}:{line.lineno}"
        if place in self._seen:
            return
        self._seen.add(place)
        error = BlockedLoop(
            f"{place} in {line.name}: `{line.line}` has held the event loop for over {self._limit_s:g} s, "
            f"and every case with it. Make the step a plain `def` (it runs in a thread), or use an awaitable call"
        )
        log.error("%s", error)
        loop.call_soon_threadsafe(self._report, task.get_name(), error)
