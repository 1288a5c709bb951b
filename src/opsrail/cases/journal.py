"""What a case did so far, and how more becomes durable.

Theory: every call on a Case takes the next number, in the order the author's code makes them. If the journal has that
    number, its result is given back and nothing runs; else it runs, and its result is durable before the author's
    next line.

Code that runs at the same time as other code of the case (a task of `asyncio.gather` or a TaskGroup) counts in a lane of its
own, named by the lane that made it and its place there: whichever is faster on a second run, each call finds its entry. A
task that makes tasks of its own must make a call before: without a lane it cannot name theirs.

Cheap rows (an action, a clock reading, a failure that the author handled) wait in a buffer and go with the next commit.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from opsrail.cases.signals import Interrupted
from opsrail.clock import Clock
from opsrail.decide.decider import Decider
from opsrail.documents.reader import DocumentReader
from opsrail.errors import (
    AuthorError,
    BlockedLoop,
    Conflict,
    Fenced,
    InvalidInput,
    NondeterministicJournal,
    NotDurable,
    StoreUnavailable,
    Unavailable,
)
from opsrail.ports import Store
from opsrail.review.queue import Queue
from opsrail.values.cases import CaseRow, InboxRow, JournalRow
from opsrail.values.rows import Insert, Require, Write

log = logging.getLogger("opsrail.cases")
STORE_DOWN_S = 0.5
"""Wait before a database that is away is tried again. Ours: F6 asks for at most 5 s beyond the downtime."""
LANE_CALLS = 100_000
"""Calls that one lane may make. Ours: lane 1 counts from 100,000, lane 2 from 200,000, so that people can read it."""
LANES = 10_000
"""Lanes that one lane may make, three deep; so every number fits a 64-bit column. Ours."""


@dataclass(slots=True)
class _Lane:
    """Where one task of the author's stands: its number, and how many calls and lanes it made."""

    number: int
    calls: int = 0
    lanes: int = 0


_LANE: ContextVar[_Lane] = ContextVar("opsrail_lane")


@dataclass(frozen=True, slots=True)
class Road:
    """What a case needs of its app.

    Attributes:
        threads: Where plain `def` steps run.
        fence: Worker id -> the condition that it still lives; goes with every commit of its cases.
        strict: Whether a call that blocked the loop is an error of the case, not only a log line.
        queues: Desks that the author's files declare.
    """

    store: Store
    clock: Clock
    decider: Decider
    documents: DocumentReader
    threads: Executor
    fence: Callable[[str | None], Require]
    strict: bool = False
    queues: Mapping[str, Queue] = field(default_factory=dict)


class Journal:
    """One run of a case against what earlier runs wrote down.

    Attributes:
        row: The case as it was claimed.
        is_fresh: Nothing was written for it before: no earlier run, no inbox.
        fence: The condition that the worker who claimed it still lives.
        blocked: Set when this case's code held the event loop too long.
        broken: Set when its code left the path of its journal; no `except` of the author's hides it.
    """

    def __init__(
        self, row: CaseRow, entries: Sequence[JournalRow], inbox: Sequence[InboxRow], road: Road
    ) -> None:
        self.row = row
        self.fence = road.fence(row.owner)
        self.is_fresh = not entries and not inbox and row.waiting_for is None
        self.blocked: BlockedLoop | None = None
        self.broken: AuthorError | None = None
        self._road = road
        self._entries = {entry.seq: entry for entry in entries}
        self._inbox = {arrived.topic: arrived for arrived in inbox}
        self._asked: set[int] = set()
        self._main = _Lane(0)
        self._lanes = {asyncio.current_task(): self._main}
        _LANE.set(self._main)
        self._open: dict[int, str] = {}
        self._buffer: list[Write] = []
        self._flushed = 0
        self._written = 0

    def number(self, name: str) -> int:
        """Return the number of a call that the code makes now.

        Raises:
            BlockedLoop: the case's code blocked the loop before, and the app is strict about it.
        """
        if self._road.strict and self.blocked is not None:
            raise self.blocked
        lane = self._lanes.get(asyncio.current_task()) or self._new_lane()
        seq = lane.number * LANE_CALLS + lane.calls
        lane.calls += 1
        self._open[seq] = name
        return seq

    def _new_lane(self) -> _Lane:
        """Return the lane of a task that makes its first call; tasks made together begin in that order."""
        parent = _LANE.get(self._main)
        parent.lanes += 1
        number = parent.number * LANES + parent.lanes
        if parent.lanes >= LANES or number >= LANES**3:
            self.broken = AuthorError(
                f"case {self.row.id}: its code runs in more than {LANES - 1:,} tasks at once, or in tasks of tasks of tasks "
                f"of tasks; make it simpler, or more than one case"
            )
            raise self.broken
        lane = self._lanes[asyncio.current_task()] = _Lane(number)
        _LANE.set(lane)
        return lane

    def recorded(self, seq: int, kind: str, name: str, digest: str = "") -> JournalRow | None:
        """Return what an earlier run wrote down for a call; None: it has to run.

        Raises:
            NondeterministicJournal: an earlier run made another call here. Terminal: the case is set aside.
        """
        known = self._entries.get(seq)
        if known is None:
            return None
        is_same_call = known.name == name and known.kind in (kind, "failed")
        if not is_same_call or known.digest != digest:
            now = "the same with other arguments" if is_same_call else f"{kind} {name!r}"
            self.broken = NondeterministicJournal(
                f"case {self.row.id}: call {seq} was {known.kind} {known.name!r} when it first ran and is now {now}. "
                f"Code between calls may depend only on the input and on what calls returned: take time and chance "
                f"from case.now() and case.random(); after a code change, finish old cases with the old code or "
                f"cancel them"
            )
            raise self.broken
        self._asked.add(seq)
        del self._open[seq]
        return known

    def arrived(self, topic: str) -> InboxRow | None:
        """Return what came in for the case under a topic."""
        return self._inbox.get(topic)

    def entry(
        self, seq: int, kind: str, name: str, digest: str, result: str, attempts: int = 1
    ) -> Insert:
        """Return the write that keeps a call's result."""
        at_ms = self._road.clock.now_ms()
        return Insert(JournalRow(self.row.id, seq, kind, name, digest, result, attempts, at_ms))

    def later(self, seq: int, *writes: Write) -> None:
        """Keep a call's writes for the next commit; the call is done."""
        self._buffer += writes
        self._open.pop(seq, None)

    async def commit(self, seq: int, *writes: Write) -> None:
        """Make a call's writes durable, and what waits in the buffer before them; the call is done.

        A database that is away is waited for with the result in hand: what ran must not run again because of it.

        Raises:
            Interrupted: another owns the case, or the writes are there already; the journal tells.
            NotDurable: the database cannot hold them. Terminal: the case is set aside.
        """
        batch = [*self.flush(), *writes, self.fence]
        while True:
            try:
                await self._road.store.commit(batch)
            except (Conflict, Fenced) as cause:
                raise Interrupted(cause) from cause
            except InvalidInput as refused:
                self.broken = NotDurable(f"case {self.row.id}: {refused}")
                raise self.broken from refused
            except Unavailable as down:
                log.warning("case %s waits for the database: %s", self.row.id, down)
                await self._road.clock.sleep(STORE_DOWN_S)
            else:
                return self.wrote(seq)

    def wrote(self, seq: int) -> None:
        """Note that a call's entry is durable."""
        self._written += 1
        del self._open[seq]

    def check_whole(self) -> None:
        """Refuse to end a stretch on a journal that may lack something.

        Raises:
            Interrupted: a commit was given up, or its answer did not come: what was to go with it may be lost.
        """
        if self._flushed != self._written:
            raise Interrupted(
                StoreUnavailable(f"case {self.row.id}: a commit of its journal has no answer")
            )

    def flush(self) -> list[Write]:
        """Return the buffered writes and forget them; they belong into the commit that follows at once."""
        self._flushed += 1
        buffered, self._buffer = self._buffer, []
        return buffered

    @property
    def length(self) -> int:
        """Durable entries, those of earlier runs included."""
        return len(self._entries) + self._written

    def unfinished(self) -> list[str]:
        """Return names of calls never awaited to their end, and of entries that no call asked for."""
        skipped = (entry.name for seq, entry in self._entries.items() if seq not in self._asked)
        return [*self._open.values(), *skipped]


def digest_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Return 16 hex digits over a call's arguments, empty for none; arguments of no plain form count by their type."""
    if not args and not kwargs:
        return ""
    text = to_json(
        (args, kwargs), fallback=lambda thing: f"<{type(thing).__name__}>", inf_nan_mode="constants"
    )
    return hashlib.blake2b(text, digest_size=8).hexdigest()
