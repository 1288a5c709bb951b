"""A road with a champion and a candidate on it, a rollout, and a guard whose turns a test takes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from opsrail.ports import Store
from opsrail.registry.registry import Registry
from opsrail.registry.rollout import Stage
from opsrail.values.guards import GuardSpec, StepPlan
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.models import ModelVersion
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.registry import RolloutRow
from opsrail.values.rollouts import AlarmRow, RolloutRunRow
from opsrail.values.rows import Insert, equals
from opsrail.watch.guard import Guard
from opsrail.watch.rollout_run import Run
from opsrail.watch.rollouts import Rollouts
from opsrail.watch.tracks import Reading
from tests.support.decided import POINT, decision
from tests.support.decisions import Road, fraud_point, linear, request

STEPS = (StepPlan(0.2, 60.0), StepPlan(0.5, 60.0))
QUIET = GuardSpec(least_count=30, watch_s=600.0, latency=None)
"""A guard for short tests: a real one waits for more."""


class Scene:
    """Everything of one rollout."""

    def __init__(self, store: Store | None = None) -> None:
        self.road = Road()
        self.store: Store = self.road.store
        self.clock, self.registry = self.road.clock, self.road.registry
        if store is not None:  # as rows alone: nobody is asked
            self.store = store
            self.road.registry = self.registry = Registry(
                store, {"linear": self.road.runtime}, self.clock
            )
        self.rollouts = Rollouts(self.store, self.registry, self.clock)
        self.guard = self.another("one")
        self.point = fraud_point(stand_ins=())
        self.rng = random.Random(1)
        self.asked = 0
        self.champion: ModelVersion
        self.candidate: ModelVersion

    def another(self, name: str) -> Guard:
        return Guard(self.store, self.registry, self.clock, lambda: name)

    async def begin(
        self, spec: GuardSpec = QUIET, steps: Sequence[StepPlan] = STEPS
    ) -> RolloutRunRow:
        await self.store.open()
        self.champion = await self.road.live(linear(bias=-2.0))
        self.candidate = await self.road.registered(linear(bias=-1.9))
        return await self.rollouts.begin(
            POINT, self.candidate, steps, spec, by="ann", reason="it is newer"
        )

    async def ask(self, count: int) -> None:
        """Ask so many times, each request of an entity of its own."""
        for _ in range(count):
            self.asked += 1
            self.clock.at_s += 0.1
            await self.road.decider.decide(request(self.point, correlation_id=f"{self.asked:032x}"))

    async def turn(self, after_s: float = 1.0) -> None:
        self.clock.at_s += after_s
        await self.guard.turn()

    async def decided(self, number: int, count: int, **given: Any) -> list[str]:
        """Write decisions of the version of that number as if it had made them; return their ids."""
        rows = []
        for _ in range(count):
            self.asked += 1
            self.clock.at_s += 0.001
            rows.append(decision(self.clock.now_ms(), self.asked, model=("fraud", number), **given))
        await self.store.commit([Insert(row) for row in rows])
        return [row.id for row in rows]

    async def told(
        self, decision_id: str, value: float, name: str = "fraud", ratio: float = 1.0
    ) -> None:
        """Write down what turned out of a decision."""
        now_ms = self.clock.now_ms()
        row = OutcomeRow(
            self.clock.new_id(), decision_id, name, value, "late", ratio, "ann", now_ms, now_ms
        )
        await self.store.commit([Insert(row)])

    async def run(self) -> RolloutRunRow:
        (row,) = await self.store.select(RolloutRunRow)
        return row

    async def tested(self) -> dict[str, Reading]:
        """Return where each test stands, by signal."""
        return {reading.signal: reading for reading in Run(await self.run()).evidence.readings()}

    async def standing(self) -> dict[str, tuple[int, float]]:
        rows = await self.store.select(RolloutRow, *equals(point=POINT))
        return {str(row.stage): (row.model_number, row.share) for row in rows}

    async def kinds(self) -> list[str]:
        """Return what the ledger says of rollouts, in order."""
        rows = await self.store.select(LedgerEntryRow, order=("writer", "seq"))
        return [
            row.kind
            for row in rows
            if row.kind.startswith("rollout.") and row.kind != "rollout.changed"
        ]

    async def alarms(self) -> list[AlarmRow]:
        return await self.store.select(AlarmRow)

    async def promoted(self, version: ModelVersion, stage: Stage, share: float = 0.0) -> None:
        await self.registry.promote(
            POINT, version, stage, by="bob", reason="I know better", share=share
        )
