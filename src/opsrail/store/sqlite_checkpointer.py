"""Moves SQLite's log into the file beside the writer, so that a commit seldom has to.

The commit with which the log becomes too long moves it (`wal_autocheckpoint`) and is late by as much: at 2,500 decisions a
second every third of a second, and the slowest hundredth of the answers were those that waited for a long commit. A passive
checkpoint on another connection holds up nobody; what is left for the commit is what came since. It is the writer's all
the same to end a log and begin it anew, which nobody else may do while it writes.

Source:
    sqlite.org/wal.html, sections 3.3 (avoiding excessively large WAL files) and 2.3 (checkpointing by another thread).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable

from opsrail.errors import OpsrailError

COMMIT_PAGES, ROW_PAGES = 12, 2
"""About what a commit writes however few its rows, and each row beside. Ours: counted at groups of 5 and of 32 decisions."""
DUE_PAGES = 500
"""Pages since the last time, about. Ours: 2 MB take 5 ms; a process that writes less than that begins no thread."""
ALONE = "The database's log is moved by commits alone: %s"

_log = logging.getLogger("opsrail.store")


class Checkpointer:
    """A thread with a connection of its own, begun when it is first needed.

    Args:
        connect: Opens a connection; called in the thread.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._pages = 0
        self._due = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_closing = False

    def committed(self, rows: int) -> None:
        """Count a commit; called by the writer alone. Never raises: what is committed stands."""
        self._pages += COMMIT_PAGES + ROW_PAGES * rows
        if self._pages < DUE_PAGES:
            return
        self._pages = 0
        if self._thread is None:
            self._is_closing = False
            thread = threading.Thread(
                target=self._work, name="opsrail-store-checkpointer", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:  # the system gives no more threads
                _log.warning(ALONE, error)
                return
            self._thread = thread
        self._due.set()

    def close(self) -> None:
        """End the thread and its connection; never raises."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._is_closing = True
            self._due.set()
            thread.join()

    def _work(self) -> None:
        connection: sqlite3.Connection | None = None
        is_told = False
        while self._due.wait() and not self._is_closing:
            self._due.clear()
            try:
                connection = self._connect() if connection is None else connection
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                is_told = False
            except (sqlite3.Error, OpsrailError) as error:  # then the writer's commits move it
                if not is_told:
                    _log.warning(ALONE, error)
                is_told = True
        if connection is not None:
            connection.close()
