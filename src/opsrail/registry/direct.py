"""What may come to answer at a point at once, on one person's word, and what others have to agree to first."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from opsrail.errors import Denied
from opsrail.ports import Store
from opsrail.registry import change
from opsrail.registry.change_reading import view_of
from opsrail.registry.wishes import Declared
from opsrail.values.changes import ChangeRow, ChangeState
from opsrail.values.decisions import IMPACTS, DecisionRow
from opsrail.values.models import ModelVersion
from opsrail.values.rows import Where, equals

WAITING = (ChangeState.PLANNED, ChangeState.APPROVED)
MOST_WAITING = 100
"""Changes of a point looked through for one that asks for the same. Ours: the newest; a point has a few that wait."""


class Direct:
    """The rule by which a version is let to answer without approvals; one for every door.

    Args:
        declared: What the code says of points, where it is at hand.
        up_to: Highest tier at which nobody else is asked: `none`, `low`, `medium` or `high`.
    """

    def __init__(
        self, store: Store, declared: Mapping[str, Declared] | None = None, up_to: str = "medium"
    ) -> None:
        self._store = store
        self._declared = declared or {}
        self._up_to = up_to

    async def check(
        self, point: str, version: ModelVersion, plan: str = "", more: str = ""
    ) -> None:
        """Check that nobody else is asked before a version comes to answer.

        Args:
            plan: Options that `opsrail changes plan` takes besides the version, to be named.
            more: What else to do, to be named.

        Raises:
            Denied: others have to agree first; it says how many, and how they are asked. Terminal.
        """
        tier = await self.tier(point, version)
        if not self.allows(tier):
            raise Denied(await self._how(point, version, tier or "high", plan) + more)

    def allows(self, tier: str | None) -> bool:
        """Return whether one person's word is enough at a tier; None: nobody has asked the point yet."""
        ranks = ("none", *IMPACTS)
        return tier is None or ranks.index(tier) <= ranks.index(self._up_to)

    async def tier(self, point: str, version: ModelVersion | None) -> str | None:
        """Return how much it matters which version answers; None: nobody asked the point yet, its code is not at hand."""
        declared = self._declared.get(point)
        impact: str | None = None if declared is None else declared.impact
        if impact is None:
            newest = await self._store.select(
                DecisionRow, *equals(point=point), order=("id",), descending=True, limit=1
            )
            if not newest:
                return None
            impact = orjson.loads(newest[0].record)["impact"]
        told = None if version is None else version.card.get("risk_tier")
        return change.tier_of(impact, told if isinstance(told, str) else None)

    async def _how(self, point: str, version: ModelVersion, tier: str, plan: str) -> str:
        """Return who has to agree and how they are asked: of a change that waits already, else of one to plan."""
        label, count = f"{version.name}/{version.number}", change.APPROVERS[tier]
        needs = f"{point} is of tier {tier}, where changes need {count} approvals"
        waiting = await self._waiting(point, label)
        if waiting is None:
            return (
                f"{needs} and nobody was asked for {label}; plan it: `opsrail changes plan {point} --promote {label}{plan} "
                "--reason WHY`, let others agree with `opsrail changes approve ID`, then `opsrail changes apply ID`"
            )
        view = await view_of(self._store, waiting.id)
        if view.missing:
            return (
                f"{needs}; change {waiting.id} asks for {label} and lacks {view.missing}: let others agree with "
                f"`opsrail changes approve {waiting.id}`, then `opsrail changes apply {waiting.id}`"
            )
        return f"{needs}; change {waiting.id} of {label} has them: `opsrail changes apply {waiting.id}`"

    async def _waiting(self, point: str, label: str) -> ChangeRow | None:
        rows = await self._store.select(
            ChangeRow, *equals(point=point, kind="promote"), Where("state", "in", WAITING),
            order=("id",), descending=True, limit=MOST_WAITING,
        )  # fmt: skip
        return next((row for row in rows if orjson.loads(row.plan)["to"]["model"] == label), None)
