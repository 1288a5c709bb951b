"""Carries cases: runs the author's function, writes down how the stretch ended.

Every case that may go on reaches `_advance`, one task a case while it runs and none while it waits; what a stretch does is
on one page there. `dispatcher.py` finds the cases.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Coroutine, Mapping
from inspect import CORO_CREATED, getcoroutinestate
from typing import Any, cast

from opsrail import faults
from opsrail.cases.context import Case
from opsrail.cases.definition import Automation
from opsrail.cases.ending import (
    Ending,
    Failed,
    Parked,
    Settled,
    cancelled,
    withdrawn,
    writes_of,
)
from opsrail.cases.journal import STORE_DOWN_S, Road
from opsrail.cases.machine import PATIENCE, backoff_s
from opsrail.cases.signals import Interrupted
from opsrail.cases.stretch import run_stretch
from opsrail.cases.worker import Worker
from opsrail.errors import (
    AuthorError,
    BlockedLoop,
    Conflict,
    Fenced,
    StaleWrite,
    Unavailable,
)
from opsrail.features.facts import facts_of
from opsrail.review.machine import Event, follows, standing_of
from opsrail.values.cases import CaseRow, CaseState, InboxRow, JournalRow
from opsrail.values.reviews import ReviewRow
from opsrail.values.rows import Insert, Update, Where, Write

log = logging.getLogger("opsrail.cases")
RETRY_BASE_S = 1.0
RETRY_CAP_S = 300.0
CANCEL_TOPIC = "cancel"
JOURNAL_LIMIT = 100_000


class Runner:
    """Runs the cases of some automations on one worker.

    Args:
        automations: By name; cases of others are left alone.
        at_once: Cases that may run at the same time.

    Attributes:
        nudge: Set when the dispatcher should look again.
        more_due: Whether more cases were due than had room when it last looked.
        suspect: Case that runs alone because its process died twice while it ran.
    """

    def __init__(
        self,
        road: Road,
        worker: Worker,
        automations: Mapping[str, Automation[Any, Any]],
        *,
        at_once: int = 256,
    ) -> None:
        self._road = road
        self._store = road.store
        self._worker = worker
        self._automations = automations
        self._at_once = at_once
        self._running: dict[str, asyncio.Task[None]] = {}
        self._contexts: dict[str, Case] = {}
        self._cancelling: dict[str, str] = {}
        self._reserved = 0
        self.suspect: str | None = None
        self.nudge = asyncio.Event()
        self.more_due = False
        self._waiters: dict[str, list[asyncio.Future[CaseRow]]] = {}
        self._called: set[str] = set()

    # -- what others call --------------------------------------------------------------------------------------------

    @property
    def free(self) -> int:
        """Cases that could start now."""
        return self._at_once - self.held

    def reserve(self) -> bool:
        """Hold a place for a case about to be accepted, unless others wait for one; `unreserve` gives it back."""
        if self.free <= 0 or self.more_due:
            self.more_due = True
            if self.free > 0:
                self.nudge.set()  # those who wait go first, at once
            return False
        self._reserved += 1
        return True

    @property
    def held(self) -> int:
        """Cases that run here, and places held for cases about to be accepted."""
        return len(self._running) + self._reserved

    def has(self, case_id: str) -> bool:
        """Return whether a case runs here now."""
        return case_id in self._running

    def is_busy(self, case_id: str, topic: str) -> bool:
        """Return whether a case runs here now, for which something arrived; if it came too late, the end nudges."""
        if case_id not in self._running:
            return False
        context = self._contexts.get(case_id)
        if context is None or context.journal.arrived(topic) is None:
            self._called.add(case_id)
        return True

    def cancel(self, case_id: str, reason: str) -> bool:
        """End a case that runs here; return whether it does."""
        task = self._running.get(case_id)
        if task is None:
            return False
        if case_id not in self._cancelling:  # a second one would end the ending
            self._cancelling[case_id] = reason
            # One that has not begun would be ended without a line of ours; it looks when it begins.
            if getcoroutinestate(cast(Coroutine[Any, Any, None], task.get_coro())) != CORO_CREATED:
                task.cancel()
        return True

    def unreserve(self) -> None:
        """Give a held place back."""
        self._reserved -= 1

    def start(self, row: CaseRow, *, is_fresh: bool = False) -> None:
        """Run a case this worker owns; `is_fresh`: it was accepted a moment ago and has no journal."""
        if (lingering := self._running.get(row.id)) is not None:
            lingering.cancel()  # it never heard that its end was written down, and the case is due again
        task = asyncio.create_task(self._carry(row, is_fresh), name=f"case:{row.id}")
        self._running[row.id] = task
        task.add_done_callback(functools.partial(self._ended, row.id))

    def ending_of(self, case_id: str) -> asyncio.Future[CaseRow]:
        """Return a future of the case's row at the end of its next stretch here; `forget` it when it may never end."""
        future: asyncio.Future[CaseRow] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(case_id, []).append(future)
        return future

    def forget(self, case_id: str, ending: asyncio.Future[CaseRow]) -> None:
        """Wait no longer for the end of a stretch."""
        ending.cancel()
        if ending in (waiting := self._waiters.get(case_id, [])):
            waiting.remove(ending)
            if not waiting:
                del self._waiters[case_id]

    def blocked(self, task_name: str, error: BlockedLoop) -> None:
        """Note that a case's code blocked the loop (called by the watchdog)."""
        context = self._contexts.get(task_name.removeprefix("case:"))
        if context is not None:
            context.journal.blocked = error

    async def stop(self) -> None:
        """End running stretches where they stand and give their cases back; nothing durable is lost."""
        await self.drop()
        try:
            await self._worker.leave()
        except (Unavailable, Conflict) as down:
            log.warning(
                "could not give cases back (%s); they are taken over when the heartbeat is missed",
                down,
            )

    # -- one case ----------------------------------------------------------------------------------------------------

    async def _carry(self, row: CaseRow, is_fresh: bool) -> None:
        """Carry one case to the end of its stretch, through a database that may be away for a while."""
        fault: Exception | None = None
        is_again = False
        if (reason := self._cancelling.get(row.id)) is not None:
            return await self._end(row, reason)
        while True:
            try:
                if is_again and not await self._is_mine(row):
                    return
                return await self._advance(row, is_fresh, fault)
            except Fenced:
                return
            except StaleWrite as moved:
                log.warning("case %s went on elsewhere: %s", row.id, moved)
                return
            except asyncio.CancelledError:
                if (reason := self._cancelling.get(row.id)) is None:
                    raise
                return await self._end(row, reason)
            except (Unavailable, Interrupted) as down:
                cause = down.cause if isinstance(down, Interrupted) else down
                if isinstance(cause, Fenced):
                    return
                log.warning("case %s waits for the database: %s", row.id, cause)
            except Exception as wrong:
                if fault is not None:
                    raise
                log.exception("case %s cannot be written down as it ended", row.id)
                fault = wrong
            await self._road.clock.sleep(STORE_DOWN_S)
            is_fresh, is_again = False, True

    async def _is_mine(self, row: CaseRow) -> bool:
        """Return whether a case still runs here after a commit without an answer; it may have been done."""
        now = await self._store.get(CaseRow, row.id)
        return now is not None and (now.state, now.owner) == (CaseState.RUNNING, row.owner)

    async def _advance(self, row: CaseRow, is_fresh: bool, fault: Exception | None) -> None:
        """Carry one case one stretch further; safe to kill at any line.

        Args:
            fault: Why the stretch before could not be written down; the case fails of it.
        """
        journal, inbox = ([], []) if is_fresh else await self._history(row)
        if row.losses and len(journal) > row.progress:
            row = await self._went_on(row, len(journal))
        case = Case(row, journal, inbox, self._road)
        if fault is not None:
            ending: Ending = Failed(fault)
        else:
            ending = self._condemned(row, case) or await self._run(row, case)
        ending, learned = self._learned(row, ending, case)
        now_ms = self._now_ms()
        state, writes = writes_of(
            row,
            ending,
            case.journal.flush(),
            journal_length=case.journal.length,
            now_ms=now_ms,
            retry_at_ms=now_ms + (self._backoff_ms(row) if isinstance(ending, Failed) else 0),
        )
        if state == CaseState.SET_ASIDE:
            what = type(ending.error).__name__ if isinstance(ending, Failed) else ""
            log.error("case %s is set aside (%s); see: opsrail cases show %s", row.id, what, row.id)
            faults.point("case.before_set_aside")
        faults.point("case.before_commit")
        await self._store.commit([*writes, *learned, case.journal.fence])
        faults.point("case.after_commit")
        self._tell(row, state, ending)

    async def _went_on(self, row: CaseRow, journal_length: int) -> CaseRow:
        """Write down, before it runs, that a case whose process died had made progress: that death is its first here."""
        counted: dict[str, Any] = {"losses": 1, "failures": 0, "progress": journal_length}
        mine = {"owner": row.owner}
        fence = self._worker.fence(row.owner)
        await self._store.commit([Update(CaseRow, (row.id,), counted, mine), fence])
        if self.suspect == row.id:
            self.suspect = None
            self.nudge.set()
        return row._replace(**counted)

    async def _end(self, row: CaseRow, reason: str) -> None:
        """End a running case that somebody cancelled, unless it ended by itself just now."""
        while True:
            try:
                await cancel_case(self._store, row, reason, self._now_ms())
            except Conflict as moved:
                log.info("case %s ended before it could be cancelled: %s", row.id, moved)
                self.nudge.set()  # parked or ready, it is cancelled from there
            except Unavailable as down:
                log.warning("case %s cannot be cancelled yet: %s", row.id, down)
                await self._road.clock.sleep(STORE_DOWN_S)
                continue
            return

    @staticmethod
    def _condemned(row: CaseRow, case: Case) -> Failed | None:
        """Return the ending of a case that may not run again: it took its process with it too often."""
        if row.losses < PATIENCE or case.journal.length > row.progress:
            return None
        return Failed(AuthorError(f"its process died {row.losses} times in a row while it ran"))

    def _backoff_ms(self, row: CaseRow) -> int:
        chance = self._road.clock.uniform()
        return round(
            1000 * backoff_s(row.failures + 1, chance, base_s=RETRY_BASE_S, cap_s=RETRY_CAP_S)
        )

    async def _history(self, row: CaseRow) -> tuple[list[JournalRow], list[InboxRow]]:
        journal = await self._store.select(
            JournalRow, Where("case_id", "=", row.id), order=("seq",), limit=JOURNAL_LIMIT
        )
        inbox = (
            []
            if row.waiting_for is None
            else await self._store.select(InboxRow, Where("case_id", "=", row.id))
        )
        return journal, inbox

    async def _run(self, row: CaseRow, context: Case) -> Ending:
        self._contexts[row.id] = context
        try:
            return await run_stretch(
                self._automations[row.automation], row, context, is_strict=self._road.strict
            )
        finally:
            self._contexts.pop(row.id, None)
            context.end_tasks()

    def _learned(self, row: CaseRow, ending: Ending, case: Case) -> tuple[Ending, list[Insert]]:
        """Return the facts that a settled case adds to feature views; a view that cannot take them fails the case."""
        automation = self._automations[row.automation]
        if not isinstance(ending, Settled) or not automation.history:
            return ending, []
        given = automation.read(row.input)
        outcome = automation.outcome.model_validate_json(ending.outcome)
        clock = self._road.clock
        try:
            return ending, facts_of(
                automation.history,
                given,
                outcome,
                case.rulings,
                case_id=row.id,
                at_ms=clock.now_ms(),
                new_id=clock.new_id,
            )
        except AuthorError as wrong:
            return Failed(wrong), []

    # -- bookkeeping -------------------------------------------------------------------------------------------------

    def _tell(self, row: CaseRow, state: CaseState, ending: Ending) -> None:
        if state == CaseState.READY or (
            isinstance(ending, Parked) and ending.due_at_ms is not None
        ):
            self.nudge.set()  # it comes due before anything else might
        outcome = ending.outcome if isinstance(ending, Settled) else None
        for future in self._waiters.pop(row.id, ()):
            if not future.done():
                future.set_result(row._replace(state=state, outcome=outcome))

    def _ended(self, case_id: str, task: asyncio.Task[None]) -> None:
        if self._running.get(case_id) is not task:  # one that outlived `drop`
            return
        del self._running[case_id]
        self._cancelling.pop(case_id, None)
        if case_id in self._called:
            self._called.discard(case_id)
            self.nudge.set()
        if self.suspect == case_id:
            self.suspect = None
            self.nudge.set()
        if self.more_due and self.free >= self._at_once // 8:
            self.nudge.set()

    async def drop(self) -> None:
        """End running stretches where they stand, and write nothing."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=10)

    def _now_ms(self) -> int:
        return self._road.clock.now_ms()


async def _withdrawals(store: Any, case_id: str, now_ms: int) -> list[Write]:
    rows = await store.select(ReviewRow, Where("case_id", "=", case_id))
    return [
        write
        for row in rows
        if follows(standing_of(row, now_ms), Event.WITHDRAW)
        for write in withdrawn(row, now_ms)
    ]


async def cancel_case(store: Any, row: CaseRow, reason: str, now_ms: int) -> None:
    """End a case that does not run.

    Raises:
        StaleWrite: it moved meanwhile; look at it again.
    """
    await store.commit(
        [*cancelled(row, reason, now_ms), *await _withdrawals(store, row.id, now_ms)]
    )
