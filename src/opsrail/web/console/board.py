"""What the overview shows, computed at most once a second however many watch, and by at most five queries at a time.

Each part has an age that it may have. A look reads the parts that are too old, those never read first, as many as five
queries allow; the rest waits for the next look. Whoever comes while a look is under way gets that look's result. When nobody
looks, nothing is read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from opsrail.app import App
from opsrail.decide.policy import REVIEW
from opsrail.errors import OpsrailError
from opsrail.ledger.reading import last_checkpoint
from opsrail.values.cases import CaseRow, CaseState, WorkerRow
from opsrail.values.decisions import DecisionRow
from opsrail.values.ledger import CheckpointRow
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.values.rollouts import AlarmRow, RolloutRunRow
from opsrail.values.rows import Where
from opsrail.watch.rollouts import first_id
from opsrail.web.console.recent import COLUMNS, ROWS, Limits, Recent, Stretch

log = logging.getLogger("opsrail.console")
FRESH_MS = 1_000
QUERIES = 5
"""Queries of one look. Source: the limit that every page of the console has."""
IN_FLIGHT = (CaseState.READY, CaseState.RUNNING, CaseState.WAITING, CaseState.SET_ASIDE)
WAITING = (ReviewState.OPEN, ReviewState.CLAIMED)
MOST_WAITING = 10_000
"""Waiting reviews that are looked at, those of the oldest cases. Ours: 45 ms of a reader's thread (SQLite)."""
MOST_ALARMS = 1_000
"""Ringing alarms that are read, the newest; each reader is shown those of their own points. Ours: nobody reads more."""
MOST_WORKERS = 100
AGES_MS = {
    "decisions": 1_000,
    "earlier": 1_000,
    "cases": 1_000,
    "queues": 2_000,
    "alarms": 3_000,
    "rollouts": 3_000,
    "checkpoint": 3_000,
    "workers": 5_000,
}
"""How old a part may be before a look reads it again, in the order in which they are read first."""


class QueueFigures(NamedTuple):
    """How one queue of one automation stands.

    Attributes:
        overdue: Waiting behind their due time.
        oldest_ms: When the one that waits longest was opened.
    """

    queue: str
    automation: str
    waiting: int
    claimed: int
    overdue: int
    oldest_ms: int


@dataclass(slots=True)
class Snapshot:
    """What the last looks found; None: not read yet.

    Attributes:
        number: Grows with each look.
        at_ms: When the last look ended.
        is_cut: Whether more reviews wait than were looked at.
        trouble: What kept the last look from reading; empty: nothing.
    """

    number: int = 0
    at_ms: int = 0
    cases: dict[str, int] | None = None
    queues: tuple[QueueFigures, ...] | None = None
    is_cut: bool = False
    alarms: tuple[AlarmRow, ...] | None = None
    rollouts: tuple[RolloutRunRow, ...] | None = None
    checkpoint: CheckpointRow | None = None
    workers: tuple[WorkerRow, ...] | None = None
    trouble: str = ""


class Board:
    """Reads what the overview shows. One a process.

    Attributes:
        recent: What was decided lately.
        snapshot: What the last look found.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self.recent = Recent(app.clock.now_ms(), self._limits)
        self.snapshot = Snapshot()
        self._read_at_ms: dict[str, int] = {}
        self._under_way: asyncio.Task[None] | None = None
        self._parts: dict[str, Callable[[], Awaitable[None]]] = {
            "decisions": self._decisions,
            "cases": self._cases,
            "queues": self._queues,
            "alarms": self._alarms,
            "rollouts": self._rollouts,
            "checkpoint": self._checkpoint,
            "workers": self._workers,
            "earlier": self._earlier,
        }

    async def look(self) -> Snapshot:
        """Return what holds now, at most a second old. It does not fail: what could not be read is as old as it is."""
        now_ms = self._app.clock.now_ms()
        if self._under_way is None and not 0 <= now_ms - self.snapshot.at_ms < FRESH_MS:
            self._under_way = asyncio.create_task(self._look(), name="opsrail:overview")
        if self._under_way is not None:
            await asyncio.shield(self._under_way)
        return self.snapshot

    async def _look(self) -> None:
        trouble = ""
        try:
            for name in self._due():
                await self._parts[name]()
                self._read_at_ms[name] = self._app.clock.now_ms()
        except OpsrailError as error:
            log.warning("the overview could not be read: %s", error)
            trouble = "The database did not answer; the figures are as they were before."
        finally:
            self._under_way = None
            self.snapshot.number += 1
            self.snapshot.at_ms, self.snapshot.trouble = self._app.clock.now_ms(), trouble

    def _due(self) -> list[str]:
        """Return the parts to read now: those never read, then those that are oldest for what they may be."""
        now_ms = self._app.clock.now_ms()
        ages = {
            name: (now_ms - self._read_at_ms[name]) / may_ms
            if name in self._read_at_ms
            else float("inf")
            for name, may_ms in AGES_MS.items()
        }
        if self.recent.earlier(now_ms) is None:
            del ages["earlier"]
        due = [name for name, age in ages.items() if age >= 1 or age < 0]
        return sorted(due, key=lambda name: -ages[name])[:QUERIES]

    def _limits(self, point: str) -> Limits:
        known = self._app.definitions.points.get(point)
        if known is None:
            return Limits(REVIEW, None)
        held = self._app.registry.held
        return Limits(known.policy.review, held.deadline_ms(point, known.deadline_ms))

    async def _decisions(self) -> None:
        rows = await self._rows(self.recent.newest(self._app.clock.now_ms()))
        self.recent.take(rows, self._app.clock.now_ms())

    async def _earlier(self) -> None:
        stretch = self.recent.earlier(self._app.clock.now_ms())
        if stretch is not None:
            rows = await self._rows(stretch)
            self.recent.take_earlier(stretch, rows, self._app.clock.now_ms())

    async def _rows(
        self, stretch: Stretch
    ) -> list[tuple[str, str, str, str | None, bool, int, int]]:
        bounds = [Where("id", ">=", first_id(stretch.begin_ms))]
        if stretch.end_ms is not None:
            bounds.append(Where("id", "<", first_id(stretch.end_ms)))
        after = (stretch.after,) if stretch.after else ()
        columns = await self._app.store.columns(
            DecisionRow, COLUMNS, *bounds, after=after, limit=ROWS
        )
        return list(zip(*columns, strict=True))

    async def _cases(self) -> None:
        counted = await self._app.store.count(
            CaseRow, Where("state", "in", IN_FLIGHT), by=("state",)
        )
        self.snapshot.cases = {state: counted.get((state,), 0) for state in IN_FLIGHT}

    async def _queues(self) -> None:
        names = ("queue", "automation", "state", "opened_at_ms", "due_at_ms")
        columns = await self._app.store.columns(
            ReviewRow, names, Where("state", "in", WAITING), limit=MOST_WAITING
        )
        now_ms = self._app.clock.now_ms()
        self.snapshot.queues = queues_of(list(zip(*columns, strict=True)), now_ms)
        self.snapshot.is_cut = len(columns[0]) == MOST_WAITING

    async def _alarms(self) -> None:
        self.snapshot.alarms = tuple(
            await self._app.alarms.listed(is_ringing=True, limit=MOST_ALARMS)
        )

    async def _rollouts(self) -> None:
        self.snapshot.rollouts = tuple(await self._app.rollouts.under_way())

    async def _checkpoint(self) -> None:
        self.snapshot.checkpoint = await last_checkpoint(self._app.store)

    async def _workers(self) -> None:
        alive = Where("state", "=", "alive")
        self.snapshot.workers = tuple(
            await self._app.store.select(WorkerRow, alive, limit=MOST_WORKERS)
        )


def queues_of(
    rows: list[tuple[str, str, str, int, int | None]], now_ms: int
) -> tuple[QueueFigures, ...]:
    """Return how queues stand, by name, from each waiting review's queue, automation, state, opening and due time."""
    held: dict[tuple[str, str], list[int]] = {}
    for queue, automation, state, opened_ms, due_ms in rows:
        sums = held.setdefault((queue, automation), [0, 0, 0, opened_ms])
        sums[0] += 1
        sums[1] += state == ReviewState.CLAIMED
        sums[2] += due_ms is not None and due_ms < now_ms
        sums[3] = min(sums[3], opened_ms)
    return tuple(QueueFigures(*name, *sums) for name, sums in sorted(held.items()))
