"""What holds for decision points instead of their code, as last read from the store, along with the rollouts."""

from __future__ import annotations

import asyncio
import logging

from opsrail.errors import InvalidInput
from opsrail.ports import Store
from opsrail.values.changes import SettingsRow
from opsrail.values.settings import PointSettings, settings_of

log = logging.getLogger("opsrail.registry")
MOST_POINTS = 100_000


class HeldSettings:
    """Settings by decision point. One a process, within its registry."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed: asyncio.Event | None = None
        self._settings: dict[str, PointSettings] = {}

    @property
    def is_changed(self) -> bool:
        """Whether settings were changed since they were read; lost notices are made up for by the registry's poll."""
        return self._changed is None or self._changed.is_set()

    def of(self, point: str) -> PointSettings | None:
        """Return what holds for a point; None: all is as its code says."""
        return self._settings.get(point)

    def deadline_ms(self, point: str, declared_ms: int) -> int:
        """Return the time that a point gives for an answer, where its code declares this one."""
        settings = self._settings.get(point)
        return (settings.deadline_ms if settings is not None else None) or declared_ms

    async def read(self) -> None:
        """Read all settings. What cannot be read leaves standing what was read of it before.

        Raises:
            StoreUnavailable: nothing was read.
        """
        changed = self._changed or self._store.changed(SettingsRow)
        changed.clear()
        settings = {}
        for row in await self._store.select(SettingsRow, limit=MOST_POINTS):
            known = self._settings.get(row.point)
            if known is None or known.revision != row.revision:
                try:
                    known = settings_of(row.content, row.revision)
                except InvalidInput as wrong:
                    log.error("settings of %s, revision %s: %s", row.point, row.revision, wrong)
            if known is not None:
                settings[row.point] = known
        self._settings = settings
        self._changed = changed
