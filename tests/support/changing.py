"""A decision road whose changes go through people: a point with a live version, and who plans and approves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from opsrail.decide.held import declared_of
from opsrail.decide.point import DecisionPoint
from opsrail.registry.change_reading import ChangeView
from opsrail.registry.changes import Changes
from opsrail.values.changes import ChangeRow, SettingsChangeRow, SettingsRow
from opsrail.values.decisions import Decision
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.registry import RolloutChangeRow, RolloutRow
from opsrail.values.rollouts import GuaranteeRow, RolloutRunRow
from opsrail.values.rows import equals
from tests.support.decisions import Claim, Road, fraud_point, request

STEPS = [{"share": 0.1, "hold_s": 60}, {"share": 0.5, "hold_s": 60}]
NARROW = [{"verdict": "approve", "below": 0.1}, {"verdict": "review", "below": 1.01}]
LIVE_ROWS = (
    SettingsRow,
    RolloutRow,
    RolloutRunRow,
    GuaranteeRow,
    SettingsChangeRow,
    RolloutChangeRow,
)
"""Everything that may alter what a point does, with its history."""


class Changing(Road):
    """A road with its changes."""

    def __init__(self, point: DecisionPoint[Claim] | None = None, **card: Any) -> None:
        super().__init__()
        self._card = card
        self.point = point or fraud_point()
        declared = declared_of({self.point.name: self.point})
        self.changes = Changes(self.store, self.registry, self.clock, declared)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Changing]:
        """Yield it open, with a live version."""
        await self.store.open()
        await self.live(**self._card)
        yield self
        self.decider.close()
        await self.registry.close()
        await self.store.close()

    async def planned(self, kind: str, content: dict[str, Any], by: str = "ann") -> ChangeView:
        """Return a change of the point that was planned."""
        return await self.changes.plan(self.point.name, kind, content, by=by, reason="it is better")

    async def approved(self, kind: str, content: dict[str, Any]) -> ChangeView:
        """Return a change that has its approvals."""
        view = await self.planned(kind, content)
        for by in ("bob", "cleo"):
            if view.missing:
                view = await self.changes.approve(view.row.id, by=by, reason="agreed")
        return view

    async def applied(self, kind: str, content: dict[str, Any]) -> ChangeRow:
        """Return a change that holds."""
        view = await self.approved(kind, content)
        return (await self.changes.apply(view.row.id, by="ann")).row

    async def asked(self, claim: Claim | None = None, **options: Any) -> Decision:
        """Return the point's decision on a claim."""
        return await self.decider.decide(request(self.point, claim, **options))

    async def live_rows(self) -> dict[str, set[tuple[Any, ...]]]:
        """Return all that may alter what a point does, for comparison."""
        return {
            table.__name__: set(await self.store.select(table, limit=10_000)) for table in LIVE_ROWS
        }

    async def entries(self, change_id: str) -> list[str]:
        """Return what the ledger says of a change, in order."""
        rows = await self.store.select(
            LedgerEntryRow, *equals(subject_id=change_id), order=("writer", "seq")
        )
        return [row.kind for row in rows]
