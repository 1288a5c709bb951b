"""Finds cases that may go on: what is due, what got its answer, what a dead process left behind.

A case whose process died twice without progress is a suspect: suspects are started one at a time, so that a case which
kills its process is found out and its neighbours are not blamed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence

from opsrail import faults
from opsrail.cases.journal import STORE_DOWN_S
from opsrail.cases.machine import PATIENCE
from opsrail.cases.runner import CANCEL_TOPIC, Runner, cancel_case
from opsrail.cases.worker import Worker
from opsrail.clock import Clock
from opsrail.errors import Conflict, Fenced, Unavailable
from opsrail.ports import Store
from opsrail.values.cases import FINAL_STATES, CaseRow, CaseState, InboxRow
from opsrail.values.rows import Delete, Where

log = logging.getLogger("opsrail.cases")
POLL_S = 1.0
SHORTEST_S = 0.02
INBOX_PAGE = 1_000


class Dispatcher:
    """Claims cases for one worker and hands them to its runner.

    Args:
        automations: Names; cases of others are left alone.
        alone: Nobody else runs on this store (it is locked by this process).
        poll_s: Longest time between looks for due cases that another process wrote.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        worker: Worker,
        runner: Runner,
        automations: Collection[str],
        *,
        alone: bool = False,
        poll_s: float = POLL_S,
    ) -> None:
        self._store = store
        self._clock = clock
        self._worker = worker
        self._runner = runner
        self._names = tuple(automations)
        self._alone = alone
        self._poll_s = poll_s
        self._strays: set[str] = set()

    async def run(self) -> None:
        """Claim and carry until cancelled."""
        inbox = self._store.changed(InboxRow)
        is_partial = False
        while True:
            self._runner.nudge.clear()
            is_partial = (
                inbox.is_set() and not is_partial
            )  # rulings without end must not starve the rest
            inbox.clear()
            try:
                await (self._wake_ruled() if is_partial else self._claim())
                wait_s = await self._idle_s()
            except (Unavailable, Conflict) as down:
                log.warning("claiming waits: %s", down)
                wait_s = STORE_DOWN_S
            await _first_of((inbox, self._runner.nudge), wait_s)

    async def _idle_s(self) -> float:
        """Return how long there is nothing to claim, seconds: until the next case is due, at most one poll."""
        if self._runner.free <= 0:
            return self._poll_s
        due = [
            Where("automation", "in", self._names),
            Where("due_at_ms", "null", False),
        ]
        if (
            self._runner.suspect is not None
        ):  # the others that are due wait for its end, which nudges
            due.append(Where("losses", "<", PATIENCE - 1))
        wait_s = self._poll_s
        for state in (CaseState.READY, CaseState.WAITING):
            where = Where("state", "=", state)
            for row in await self._store.select(
                CaseRow, where, *due, order=("due_at_ms",), limit=1
            ):
                wait_s = min(wait_s, ((row.due_at_ms or 0) - self._now_ms()) / 1000)
        return max(wait_s, SHORTEST_S)

    async def beat(self) -> None:
        """Keep the worker alive and look after the dead, until cancelled."""
        while True:
            try:
                await self._worker.beat()
                if await self._worker.bury(alone=self._alone) + await self._recall():
                    self._runner.nudge.set()
            except Fenced as dead:
                log.warning("%s", dead)
                await self._start_anew()
            except (Unavailable, Conflict) as down:
                log.warning("heartbeat waits: %s", down)
            await self._clock.sleep(self._worker.beat_s)

    async def _recall(self) -> int:
        """Give back cases that are this worker's by their rows and do not run here; return how many.

        They come from a claim or an acceptance whose commit was done while its answer was lost. One that is about to start
        is seen as such for a moment: only what was so a beat ago, too, counts.
        """
        mine = (Where("owner", "=", self._worker.id), Where("state", "=", CaseState.RUNNING))
        count = (await self._store.count(CaseRow, *mine)).get((), 0)
        strays: set[str] = set()
        if count > self._runner.held:
            rows = await self._store.select(CaseRow, *mine, limit=count)
            strays = {row.id for row in rows if not self._runner.has(row.id)}
        lost, self._strays = tuple(strays & self._strays), strays
        if not lost:
            return 0
        free = {"state": CaseState.READY, "owner": None, "due_at_ms": self._now_ms()}
        return len(
            await self._store.take(
                CaseRow, *mine, Where("id", "in", lost), set=free, limit=len(lost)
            )
        )

    async def _claim(self) -> None:
        """Take what is due and start it."""
        await self._wake_ruled()
        is_due = Where("due_at_ms", "<=", self._now_ms())
        await self._take(Where("state", "=", CaseState.WAITING), is_due, order=("due_at_ms", "id"))
        ready = Where("state", "=", CaseState.READY)
        room = self._runner.free
        self._runner.more_due = (
            await self._take(ready, is_due, Where("losses", "<", PATIENCE - 1)) >= room
        )
        if self._runner.suspect is None:
            await self._take(
                ready, is_due, Where("losses", ">=", PATIENCE - 1), limit=1, is_suspect=True
            )

    async def _take(
        self,
        *where: Where,
        order: Sequence[str] = ("priority", "due_at_ms", "id"),
        limit: int | None = None,
        is_suspect: bool = False,
    ) -> int:
        room = self._runner.free if limit is None else min(limit, self._runner.free)
        if room <= 0 or not self._worker.may_act:
            return 0
        due = (*where, Where("automation", "in", self._names))
        if not await self._store.select(CaseRow, *due, order=order, limit=1):
            return 0
        owned = {"state": CaseState.RUNNING, "owner": self._worker.id}
        rows = await self._store.take(CaseRow, *due, set=owned, order=order, limit=room)
        faults.point("case.claimed")
        for row in rows:
            if is_suspect:
                self._runner.suspect = row.id
            self._runner.start(row)
        return len(rows)

    async def _wake_ruled(self) -> int:
        """Start parked cases whose answer has arrived; end running ones that somebody cancelled."""
        woken = 0
        after = ""
        while page := await self._store.select(InboxRow, Where("id", ">", after), limit=INBOX_PAGE):
            after = page[-1].id
            for arrived in page:
                if arrived.topic == CANCEL_TOPIC:
                    await self._cancel_running(arrived)
            topics: dict[str, set[str]] = {}
            for arrived in page:
                if not self._runner.is_busy(arrived.case_id, arrived.topic):
                    topics.setdefault(arrived.case_id, set()).add(arrived.topic)
            if topics:
                parked = (Where("id", "in", tuple(topics)), Where("state", "=", CaseState.WAITING))
                rows = await self._store.select(CaseRow, *parked, limit=INBOX_PAGE)
                ids = tuple(
                    row.id for row in rows if topics[row.id] & {*(row.waiting_for or "").split()}
                )
                if ids:
                    woken += await self._take(
                        Where("id", "in", ids), Where("state", "=", CaseState.WAITING)
                    )
            if len(page) < INBOX_PAGE:
                break
        return woken

    async def _cancel_running(self, arrived: InboxRow) -> None:
        if self._runner.cancel(arrived.case_id, arrived.payload):
            return
        row = await self._store.get(CaseRow, arrived.case_id)
        if row is None or row.state in FINAL_STATES:
            await self._store.commit([Delete(InboxRow, {"id": arrived.id})])
            return
        if row.state == CaseState.RUNNING:
            return
        try:
            await cancel_case(self._store, row, arrived.payload, self._now_ms())
        except Conflict:
            self._runner.nudge.set()

    async def _start_anew(self) -> None:
        await self._runner.drop()
        try:
            await self._worker.register()
        except (Unavailable, Conflict) as down:
            log.warning("cannot register yet: %s", down)

    def _now_ms(self) -> int:
        return self._clock.now_ms()


async def _first_of(events: tuple[asyncio.Event, ...], timeout_s: float) -> None:
    """Return when one of the events is set, or after `timeout_s`."""
    if any(event.is_set() for event in events):
        return
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
