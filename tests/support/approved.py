"""An installation with a point, three model versions and changes that wait to be applied; several processes use it."""

from __future__ import annotations

from typing import Any

from opsrail.clock import SystemClock
from opsrail.ports import Store
from opsrail.registry.change_reading import ChangeView
from opsrail.registry.changes import Changes
from opsrail.registry.registry import Registry
from opsrail.registry.rollout import Stage
from opsrail.testing.models import FunctionRuntime

POINT = "fraud-risk"
NAMES = ("one", "two", "three")


class Installation:
    """What a test knows of it.

    Args:
        store: Open.
    """

    def __init__(self, store: Store) -> None:
        clock = SystemClock()
        runtime = FunctionRuntime(dict.fromkeys(NAMES, lambda row: 0.5))
        self.store = store
        self.registry = Registry(store, {"function": runtime}, clock)
        self.changes = Changes(store, self.registry, clock, {})

    async def begin(self) -> None:
        """Register the versions and make the first one live."""
        for name in NAMES:
            version = await self.registry.register(
                "fraud",
                name.encode(),
                runtime="function",
                training_digest="sha256:" + "0" * 64,
                by="a-test",
            )
            if version.number == 1:
                await self.registry.promote(POINT, version, Stage.LIVE, by="ann", reason="first")

    async def planned(self, kind: str, content: dict[str, Any]) -> ChangeView:
        """Return a change by ann."""
        return await self.changes.plan(POINT, kind, content, by="ann", reason="it is better")

    async def approved(self, kind: str, content: dict[str, Any]) -> str:
        """Return the id of a change that has its approvals."""
        view = await self.planned(kind, content)
        for by in ("bob", "cleo"):
            await self.changes.approve(view.row.id, by=by)
        return view.row.id
