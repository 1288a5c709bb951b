"""The work of one input file, from its check to the last case at rest; killed at any line, it goes on where it was.

A page of rows and the file's cursor become durable in one commit, so a row is a case once. Cases of the file are
found again by their source, `file:<name>#<start of the digest>`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from opsrail import faults
from opsrail.cases.definition import Automation
from opsrail.cases.files import CheckedFile, good_rows
from opsrail.cases.intake import Intake
from opsrail.clock import Clock
from opsrail.errors import Conflict, Overloaded, StaleWrite, StoreUnavailable
from opsrail.ports import Store
from opsrail.values.cases import CaseRow, CaseState, InboxRow, OutboxRow, OutboxState, SwitchRow
from opsrail.values.intake import FileRow
from opsrail.values.rows import Insert, Where

PAGE_ROWS = 500
"""Rows in one commit. Source: ours; half a megabyte of ordinary rows, one fsync."""
AGAIN_S = 1.0
"""Wait before a page is offered again when nothing says how long."""
LOST_RACES = 20
"""How often a page may lose against another writer of the same business keys."""
NAMED_DIGITS = 8
PAGE_ACTIONS = 1_000


class Standing(NamedTuple):
    """Where the cases of a file stand.

    Attributes:
        settled, set_aside, cancelled: At rest for good, or until an operator sends them on.
        waiting: Parked for a person.
        timers: Parked until a moment comes.
        running: Running, or ready to.
        due_actions: Actions of the automation that are to be sent, of all its cases.
        held_actions: As many that a stop button holds.
        dead_actions: As many that used up their attempts.
    """

    settled: int = 0
    waiting: int = 0
    timers: int = 0
    set_aside: int = 0
    cancelled: int = 0
    running: int = 0
    due_actions: int = 0
    held_actions: int = 0
    dead_actions: int = 0

    @property
    def cases(self) -> int:
        """Cases in all."""
        return sum(self[:6])

    @property
    def may_go_on(self) -> bool:
        """Whether something can still happen without a person."""
        return bool(self.running or self.timers or self.due_actions)


class FileRun:
    """One file on its way in.

    Args:
        folder: Where documents named by rows must lie; None: the file's own folder.

    Attributes:
        held: Why the page at hand waits for the database; None: it does not.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        intake: Intake,
        automation: Automation[Any, Any],
        checked: CheckedFile,
        *,
        folder: Path | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._intake = intake
        self._automation = automation
        self._checked = checked
        self._folder = folder
        name = f"{checked.path.absolute().name}#{checked.digest.removeprefix('sha256:')[:NAMED_DIGITS]}"
        self._file = FileRow(
            checked.digest, automation.name, name, checked.rows, checked.rejected, 0, 0
        )
        self._new = 0
        self.held: str | None = None

    @property
    def accepted(self) -> int:
        """Good rows that are cases by now, those of earlier runs included."""
        return self._file.accepted

    @property
    def new(self) -> int:
        """Cases that this run made."""
        return self._new

    async def begin(self) -> int:
        """Enter the file, or find it entered; return the rows that an earlier run accepted.

        Raises:
            Conflict: the same content was checked before with another result: the automation's model changed since.
                Nothing was accepted.
        """
        known = await self._store.get(FileRow, self._file.digest)
        if known is None:
            self._file = self._file._replace(at_ms=self._clock.now_ms())
            await self._store.commit([Insert(self._file)])
        elif (known.rows, known.rejected) == (self._file.rows, self._file.rejected):
            self._file = known
        else:
            raise Conflict(
                f"{self._checked.path} was begun when {known.rejected:,} of its {known.rows:,} rows were faulty; now "
                f"{self._file.rejected:,} are: the model of {self._automation.name} changed since. Hand in the rows "
                f"that are not cases yet as a file of their own"
            )
        faults.point("intake.file_checked")
        return self._file.accepted

    async def feed(self) -> None:
        """Accept what is not accepted yet, page by page; a full backlog or a database that is away is waited for.

        Raises:
            Conflict: the file changed, or another process accepts it too. What was accepted stays.
        """
        rows = good_rows(
            self._checked, self._automation, folder=self._folder, skip=self._file.accepted
        )
        while page := await asyncio.to_thread(_page, rows):
            await self._accept(page)
            self.held = None
            await asyncio.sleep(0)

    async def standing(self) -> Standing:
        """Count the cases of the file, and the automation's actions."""
        source = Where("source", "=", f"file:{self._file.name}")
        by_state = await self._store.count(CaseRow, source, by=("state",))
        parked = (source, Where("state", "=", CaseState.WAITING))
        timers = await self._store.count(CaseRow, *parked, Where("due_at_ms", "null", False))
        count = {state: by_state.get((state,), 0) for state in CaseState}
        due, held, dead = await self._actions()
        return Standing(
            settled=count[CaseState.SETTLED],
            waiting=count[CaseState.WAITING] - timers.get((), 0),
            timers=timers.get((), 0),
            set_aside=count[CaseState.SET_ASIDE],
            cancelled=count[CaseState.CANCELLED],
            running=count[CaseState.RUNNING] + count[CaseState.READY],
            due_actions=due,
            held_actions=held,
            dead_actions=dead,
        )

    async def is_woken(self) -> bool:
        """Return whether an answer has arrived for a case of the file that is still parked."""
        arrived = await self._store.select(InboxRow, limit=PAGE_ACTIONS)
        ids = tuple({row.case_id for row in arrived})
        if not ids:
            return False
        parked = (Where("id", "in", ids), Where("state", "=", CaseState.WAITING))
        rows = await self._store.select(CaseRow, *parked, limit=PAGE_ACTIONS)
        return any(row.source == f"file:{self._file.name}" for row in rows)

    async def _actions(self) -> tuple[int, int, int]:
        ours = Where("automation", "=", self._automation.name)
        unsent = Where("state", "in", (OutboxState.DUE, OutboxState.DEAD))
        count = await self._store.count(OutboxRow, unsent, ours, by=("state",))
        due, dead = count.get((OutboxState.DUE,), 0), count.get((OutboxState.DEAD,), 0)
        if due == 0:
            return 0, 0, dead
        stopped = {row.name for row in await self._store.select(SwitchRow)}
        is_held = bool(stopped & {"actions:*", f"actions:{self._automation.name}"})
        return (0, due, dead) if is_held else (due, 0, dead)

    async def _accept(self, page: list[BaseModel]) -> None:
        """Accept one page once, whatever the database answers."""
        lost = 0
        while True:
            try:
                self._file, new = await self._intake.accept_page(
                    self._automation.name, page, self._file
                )
                self._new += new
                return
            except Overloaded as full:
                await self._clock.sleep(full.after_s or AGAIN_S)
            except StaleWrite:
                lost += 1
                if lost > LOST_RACES:
                    raise
            except StoreUnavailable as down:
                self.held = str(down)
                await self._clock.sleep(down.after_s or AGAIN_S)
            if await self._is_in(page):
                return

    async def _is_in(self, page: list[BaseModel]) -> bool:
        """Return whether the page became durable although the answer was lost.

        Raises:
            Conflict: the cursor stands where neither this process nor an earlier run left it.
        """
        try:
            row = await self._store.get(FileRow, self._file.digest)
        except StoreUnavailable:
            return False
        if row is None or row.accepted == self._file.accepted:
            return False
        if row.accepted == self._file.accepted + len(page):
            self._file = row
            return True
        raise Conflict(
            f"{self._checked.path} is accepted by another process too; let it finish, then run it again"
        )


def _page(rows: Iterator[BaseModel]) -> list[BaseModel]:
    return list(islice(rows, PAGE_ROWS))
