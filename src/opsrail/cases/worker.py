"""One boot of one process, as the others see it: a row with a heartbeat on the database's clock.

Theory: `alive` ends once and for ever. Whoever finds a worker silent for `dead_s` marks it dead (one of them
    succeeds), and gives its cases and actions back. Every commit of a worker requires its own row to be alive, so a
    frozen process that thaws writes nothing; and a worker that could not beat for most of `dead_s` stops acting on
    its own, by its monotonic clock, before the others may declare it dead. A worker that missed beats itself judges
    nobody for another `dead_s`: after an outage of the database all are silent, and the first to come back would
    bury the living.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from opsrail.clock import Clock
from opsrail.errors import Fenced, StaleWrite
from opsrail.ports import Store
from opsrail.values.cases import CaseRow, CaseState, OutboxRow, OutboxState, WorkerRow
from opsrail.values.rows import Insert, Require, Update, Where

BEATS = 5
DEAD_S = 5.0
"""Source: FAULTS F3: beat 1 s, dead 5 s gives a first resumed step within 10 s. ADR 0005."""
SELF_FENCE_RATIO = 0.7
MISSED_BEATS = 2
"""Beats without an answer that make a worker doubt its own sight. Ours: one may be late for any reason."""
RECOVER_BATCH = 500


class Worker:
    """This process's claim to be alive.

    Attributes:
        id: Fresh each boot, and after being declared dead.
        beat_s: Time between heartbeats.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        dead_s: float = DEAD_S,
        agree: Callable[[int], None] = lambda now_ms: None,
    ) -> None:
        """Args: agree: Told the database's time, epoch ms, with each sign of life."""
        self._store = store
        self._agree = agree
        self._clock = clock
        self._dead_s = dead_s
        self._beaten_s = clock.monotonic_s()
        self._judges_from_s = float("-inf")
        self.id = ""
        self._fence = _alive("")
        self.beat_s = dead_s / BEATS

    def fence(self, owner: str | None = None) -> Require:
        """Return the condition every commit of this worker carries.

        Args:
            owner: Who claimed the case that is written of: work of an earlier id of this process stays with that id.
        """
        return self._fence if owner in (None, self.id) else _alive(owner or "")

    @property
    def may_act(self) -> bool:
        """Whether the last heartbeat is young enough that nobody can have declared this worker dead."""
        return self._clock.monotonic_s() - self._beaten_s < self._dead_s * SELF_FENCE_RATIO

    async def register(self) -> None:
        """Come alive under a fresh id."""
        begun_s = self._clock.monotonic_s()
        now_ms = await self._store.now_ms()
        self._agree(now_ms)
        worker_id = self._clock.new_id()
        row = WorkerRow(worker_id, socket.gethostname(), os.getpid(), "alive", now_ms, now_ms)
        await self._store.commit([Insert(row)])
        self.id = worker_id
        self._fence = _alive(worker_id)
        self._beaten_s = begun_s

    async def beat(self) -> None:
        """Show a sign of life.

        Raises:
            Fenced: another declared this worker dead. Drop all work in hand and register anew.
        """
        begun_s = self._clock.monotonic_s()
        now_ms = await self._store.now_ms()
        self._agree(now_ms)
        try:
            await self._store.commit(
                [Update(WorkerRow, (self.id,), {"heartbeat_at_ms": now_ms}, {"state": "alive"})]
            )
        except StaleWrite as dead:
            raise Fenced(
                f"worker {self.id} was declared dead; it starts anew under a fresh id"
            ) from dead
        now_s = self._clock.monotonic_s()
        if now_s - self._beaten_s > MISSED_BEATS * self.beat_s:
            self._judges_from_s = now_s + self._dead_s
        self._beaten_s = begun_s

    async def leave(self) -> None:
        """Say goodbye: give everything in hand back at once, blaming no case."""
        await self._give_back(self.id, losses=0)
        await self._store.commit([Update(WorkerRow, (self.id,), {"state": "left"})])

    async def bury(self, *, alone: bool = False) -> int:
        """Mark silent workers dead and give back what they held; return the number of cases given back.

        Args:
            alone: No other process can be alive on this store (it is locked by this one): silence need not be waited
                for.
        """
        others = [Where("state", "=", "alive"), Where("id", "!=", self.id)]
        judges = alone or self._clock.monotonic_s() >= self._judges_from_s
        if not alone:  # else even a heartbeat in the future, by a clock that was wrong then, is one of the dead
            silent_ms = await self._store.now_ms() - int(self._dead_s * 1000)
            others.append(Where("heartbeat_at_ms", "<=", silent_ms))
        if judges and await self._store.select(WorkerRow, *others, limit=1):
            await self._store.take(WorkerRow, *others, set={"state": "dead"}, limit=RECOVER_BATCH)
        owners = await self._store.count(
            CaseRow,
            Where("state", "=", CaseState.RUNNING),
            Where("owner", "null", False),
            by=("owner",),
        )
        senders = await self._store.count(
            OutboxRow,
            Where("state", "=", OutboxState.DUE),
            Where("owner", "null", False),
            by=("owner",),
        )
        # Read last: a worker that came alive and claimed between two reads must not be taken for a dead one.
        living = await self._store.select(WorkerRow, Where("state", "=", "alive"))
        alive = {row.id for row in living}
        given_back = 0
        for (owner,) in {*owners, *senders}:
            if owner is not None and owner not in alive:
                given_back += await self._give_back(owner, losses=1)
        return given_back

    async def _give_back(self, owner: str, *, losses: int) -> int:
        now_ms = self._clock.now_ms()
        held = (Where("owner", "=", owner), Where("state", "=", CaseState.RUNNING))
        freed = {
            "state": CaseState.READY,
            "owner": None,
            "due_at_ms": now_ms,
            "updated_at_ms": now_ms,
        }
        count = 0
        while rows := await self._store.take(
            CaseRow, *held, set=freed, add={"losses": losses}, limit=RECOVER_BATCH
        ):
            count += len(rows)
        sending = (Where("owner", "=", owner), Where("state", "=", OutboxState.DUE))
        while await self._store.take(OutboxRow, *sending, set={"owner": None}, limit=RECOVER_BATCH):
            pass
        return count


def _alive(worker_id: str) -> Require:
    return Require(WorkerRow, (worker_id,), {"state": "alive"}, "fenced")
