"""Group commit: one thread takes everything the callers queued, applies it in one transaction, pays one fsync for all.

Theory: a group is first applied as a whole with bulk statements (`waves.plan`). Refusals are rare, so a refused group is
rolled back and applied again half by half, each half in a savepoint, down to the single commit that is at fault: only that
one gets its error, and the order of the queue is kept. The two threads talk once a group: the loop hands over what a turn
of it queued, the thread hands back how the group ended. Handed over one by one, each commit woke the thread, which took the
interpreter lock from the loop in mid-turn: 12% of a case (bench cases).
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar

from opsrail import faults
from opsrail.clock import Clock
from opsrail.errors import InvalidInput, OpsrailError, StoreUnavailable
from opsrail.ports import EntryChain
from opsrail.store.forms import Commit, Forms, Kind
from opsrail.store.queries import Take
from opsrail.store.waves import Plan, plan
from opsrail.values.ledger import ChainRow

GROUP_WRITES = 4_000
"""Writes in one group at most. Ours: a group of 200 three-step cases has under 1,000; bounds the time a commit can wait."""
GROUP_BYTES = 16_000_000
"""Bytes in one group at most. Ours: keeps the transaction in the page cache."""
ATTEMPTS = 5
"""Times a group is tried when the database asks to (deadlock, a lock that did not come). Ours."""

Touched = set[type[tuple[Any, ...]]]
Events = Mapping[type[tuple[Any, ...]], asyncio.Event]


Asked = TypeVar("Asked", Commit, Take)
_Rows = Sequence[tuple[Any, ...]]
_Queued = tuple[Commit | Take, asyncio.Future[_Rows]]


class Refused(Exception):
    """The database did not take one of a statement's writes; it can go on after a rollback to a savepoint.

    Attributes:
        error: The caller's error if it is known already, e.g. a value too large.
    """

    def __init__(self, error: OpsrailError | None = None) -> None:
        super().__init__(str(error))
        self.error = error


class TryAgain(Exception):
    """The transaction was rolled back for another's sake (deadlock, lock timeout); the same may succeed at once."""


class OutcomeUnknown(Exception):
    """COMMIT was sent and its answer never came."""


class Driver(Protocol):
    """One writer connection, blocking. Any method may raise StoreUnavailable: the transaction is over, not committed."""

    def begin(self) -> None:
        """Open a transaction; connect first if the connection was lost."""
        ...

    def run(self, statements: Plan) -> None:
        """Run statements. Raises Refused if not every row of every statement was taken."""
        ...

    def take(self, take: Take) -> list[tuple[Any, ...]]:
        """Change matching rows and return them as changed."""
        ...

    def savepoint(self, depth: int) -> None:
        """Set a savepoint."""
        ...

    def restore(self, depth: int) -> None:
        """Undo what was done since the savepoint of that depth."""
        ...

    def commit(self) -> None:
        """Make it durable. Raises OutcomeUnknown when the database failed before it answered."""
        ...

    def rollback(self) -> None:
        """Undo everything; never raises."""
        ...

    def tick(self, touched: Touched) -> Touched:
        """Look after other processes: tell them of tables touched here, return those they touched.

        Args:
            touched: Tables not told yet; emptied once they are.
        """
        ...

    def close(self) -> None:
        """Release the connection; never raises."""
        ...


@dataclass(eq=False, slots=True)
class _Waiting(Generic[Asked]):
    """A caller's place in the queue."""

    asked: Asked
    future: asyncio.Future[_Rows]
    rows: _Rows = ()
    error: Exception | None = None


@dataclass(slots=True)
class _Group:
    commits: list[_Waiting[Commit]] = field(default_factory=list)
    takes: list[_Waiting[Take]] = field(default_factory=list)
    writes: int = 0
    size_bytes: int = 0

    def add(self, asked: Commit | Take, future: asyncio.Future[_Rows]) -> None:
        if isinstance(asked, Commit):
            self.commits.append(_Waiting(asked, future))
            self.writes += len(asked.ops) + len(asked.appends)
            self.size_bytes += asked.size_bytes
        else:
            self.takes.append(_Waiting(asked, future))
            self.writes += asked.query.limit

    def waiting(self) -> Iterator[_Waiting[Commit] | _Waiting[Take]]:
        yield from self.commits
        yield from self.takes

    def is_full(self) -> bool:
        return self.writes >= GROUP_WRITES or self.size_bytes >= GROUP_BYTES

    def fail(self, error: Exception) -> None:
        for waiting in self.waiting():
            # Each caller gets an error of its own: raising one object in many tasks tangles their tracebacks.
            waiting.error = (
                StoreUnavailable(str(error)) if isinstance(error, StoreUnavailable) else error
            )


class GroupWriter:
    """The writer thread of one store and its queue."""

    def __init__(
        self, driver: Driver, chain: EntryChain | None, events: Events, clock: Clock, tick_s: float
    ) -> None:
        """Args: events: Set after rows of their table changed. tick_s: How often others are looked after."""
        self._driver = driver
        self._chain = chain
        self._forms = Forms()  # the caller's forms belong to the event loop
        self._clock = clock
        self._tick_s = tick_s
        self._turn: list[_Queued] = []  # what this turn of the loop queued; the loop's
        self._queue: queue.SimpleQueue[list[_Queued] | None] = queue.SimpleQueue()
        self._taken: deque[_Queued] = deque()  # off the queue, in no group yet; the writer's
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._serve, name="opsrail-store-writer", daemon=True
        )
        self._is_open = True
        self._thread.start()

    def submit(self, asked: Commit | Take) -> asyncio.Future[_Rows]:
        """Queue writes; return what ends when they are durable, with the rows of a take."""
        if not self._is_open:
            raise StoreUnavailable("the store is closed; nothing was written, open it again")
        future: asyncio.Future[_Rows] = self._loop.create_future()
        if not self._turn:
            self._loop.call_soon(self._hand_over)
        self._turn.append((asked, future))
        return future

    def _hand_over(self) -> None:
        """Give the writer what this turn of the loop queued."""
        if self._turn:
            turn, self._turn = self._turn, []
            self._queue.put(turn)

    async def close(self) -> None:
        """Finish what is queued, then end the thread and its connection."""
        if self._is_open:
            self._is_open = False
            self._hand_over()
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        try:
            self._work()
        finally:
            self._is_open = False
            self._driver.close()
            with suppress(RuntimeError):  # the loop is gone, and with it everyone who waited
                self._loop.call_soon_threadsafe(self._abandon)

    def _abandon(self) -> None:
        """Answer those whom the thread left behind; there are none unless it ended by a fault of ours."""
        self._hand_over()
        left = _Group()
        for queued in self._taken:
            left.add(*queued)
        while not self._queue.empty():
            for queued in self._queue.get_nowait() or ():
                left.add(*queued)
        left.fail(StoreUnavailable("the store's writer ended; nothing was written, start anew"))
        self._settle(left, set())

    def _work(self) -> None:
        is_last = False
        next_tick_s = 0.0
        touched: Touched = set()
        while not is_last:
            group, is_last = self._collect()
            if group.commits or group.takes:
                now_touched = self._flush(group)
                touched |= now_touched
                self._loop.call_soon_threadsafe(self._settle, group, now_touched)
            now_s = self._clock.monotonic_s()
            if now_s >= next_tick_s:
                next_tick_s = now_s + self._tick_s
                if others := self._driver.tick(touched):
                    self._loop.call_soon_threadsafe(self._wake, others)

    def _collect(self) -> tuple[_Group, bool]:
        """Return what is queued, at most a group full, and whether nothing can follow."""
        group, taken = _Group(), self._taken
        while True:
            while taken:
                group.add(*taken.popleft())
                if group.is_full():
                    return group, False
            is_idle = not group.writes
            try:
                turn = (
                    self._queue.get(timeout=self._tick_s) if is_idle else self._queue.get_nowait()
                )
            except queue.Empty:
                return group, False
            if turn is None:
                return group, True
            taken.extend(turn)

    def _settle(self, group: _Group, touched: Touched) -> None:
        """Wake all callers of a group; runs on the event loop."""
        for waiting in group.waiting():
            future = waiting.future
            if future.done():
                continue
            if waiting.error is None:
                future.set_result(waiting.rows)
            else:
                future.set_exception(waiting.error)
        self._wake(touched)

    def _wake(self, touched: Touched) -> None:
        for table in touched:
            self._events[table].set()

    def _flush(self, group: _Group) -> Touched:
        """Make a group durable, or give each caller its error; return the tables it added to or changed."""
        for _ in range(ATTEMPTS):
            for waiting in group.commits:
                waiting.error = None
            try:
                return self._transact(group)
            except TryAgain as cause:
                self._driver.rollback()
                reason = str(cause)
            except StoreUnavailable as error:
                self._driver.rollback()
                group.fail(error)
                return set()
            except Exception as error:  # a fault of ours must reach the callers, not end the thread
                self._driver.rollback()
                group.fail(error)
                return set()
        group.fail(
            StoreUnavailable(
                f"the database asked {ATTEMPTS} times to try again ({reason}); nothing was written"
            )
        )
        return set()

    def _transact(self, group: _Group) -> Touched:
        driver = self._driver
        driver.begin()
        faults.point("commit.begun")
        entries = self._apply(group.commits)
        for waiting in group.takes:
            if waiting.error is None:
                self._take(waiting)
        faults.point("commit.written")
        try:
            driver.commit()
        except OutcomeUnknown as cause:
            if entries and self._chain is not None:
                self._chain.renew()
            raise StoreUnavailable(
                f"the database failed while it committed ({cause}); look whether it is there"
            ) from cause
        if entries and self._chain is not None:
            self._chain.advance(entries)
        faults.point("commit.done")
        return self._touched(group, entries)

    def _take(self, waiting: _Waiting[Take]) -> None:
        try:
            waiting.rows = self._driver.take(waiting.asked)
        except InvalidInput as error:
            waiting.error = error
        except Refused as refused:
            waiting.error = refused.error or StoreUnavailable(
                f"the database refused a take: {refused}"
            )
            raise TryAgain("the group goes on without a take that was refused") from refused

    def _apply(self, commits: Sequence[_Waiting[Commit]]) -> Sequence[ChainRow]:
        """Write all commits and their ledger entries; those that are refused keep their error and leave no trace."""
        if not commits:
            return ()
        try:
            entries = self._link(commits)
            self._driver.run(self._plan(commits, entries))
        except Refused:
            pass
        else:
            return entries
        self._driver.rollback()
        self._driver.begin()
        self._apply_by_halves(commits, 0)
        accepted = [waiting for waiting in commits if waiting.error is None]
        entries = self._link(accepted)
        self._driver.run(self._plan((), entries))
        return entries

    def _apply_by_halves(self, commits: Sequence[_Waiting[Commit]], depth: int) -> None:
        if len(commits) > 1:
            middle = len(commits) // 2
            for half in (commits[:middle], commits[middle:]):
                self._driver.savepoint(depth)
                try:
                    self._driver.run(self._plan(half, ()))
                except Refused:
                    self._driver.restore(depth)
                    self._apply_by_halves(half, depth + 1)
            return
        for waiting in commits:
            self._driver.savepoint(depth)
            waiting.error = self._apply_one(waiting.asked)
            if waiting.error is not None:
                self._driver.restore(depth)

    def _apply_one(self, asked: Commit) -> Exception | None:
        for op in asked.ops:
            try:
                self._driver.run([(op.form, [op.values])])
            except Refused as refused:
                return refused.error or op.form.refused(op.values)
        return None

    def _link(self, commits: Sequence[_Waiting[Commit]]) -> list[ChainRow]:
        entries = [entry for waiting in commits for entry in waiting.asked.appends]
        return self._chain.link(entries) if entries and self._chain is not None else []

    def _plan(self, commits: Sequence[_Waiting[Commit]], entries: Sequence[ChainRow]) -> Plan:
        statements = plan([op for waiting in commits for op in waiting.asked.ops])
        rows: dict[type[ChainRow], list[ChainRow]] = {}
        for entry in entries:  # checked when they were handed in; each has a row of its own
            rows.setdefault(type(entry), []).append(entry)
        return statements + [
            (self._forms.insert_form(kind), list(found)) for kind, found in rows.items()
        ]

    @staticmethod
    def _touched(group: _Group, entries: Sequence[ChainRow]) -> Touched:
        done = (waiting.asked.ops for waiting in group.commits if waiting.error is None)
        forms = {op.form for op in chain.from_iterable(done)}
        touched: Touched = {form.shape.row for form in forms if form.kind in _CHANGES}
        return touched.union(map(type, entries))


_CHANGES = (Kind.INSERT, Kind.UPDATE)
