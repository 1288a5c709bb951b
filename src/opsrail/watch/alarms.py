"""Alarms: what a person should look at. They ring until somebody closes them, or until what rang is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opsrail.clock import Clock
from opsrail.errors import Conflict, Fault, InvalidInput, NotFound, StaleWrite
from opsrail.ledger.entries import entry
from opsrail.ports import Store
from opsrail.values.canonical import canonical
from opsrail.values.rollouts import AlarmRow
from opsrail.values.rows import Update, Value, Where, among, equals


def alarm_of(
    clock: Clock, point: str, kind: str, subject: str, text: str, content: Mapping[str, Any]
) -> AlarmRow:
    """Return an alarm that rings from now on."""
    written = canonical(dict(content)).decode()
    return AlarmRow(clock.new_id(), point, kind, subject, text, written, clock.now_ms(), None, None)


class Alarms:
    """Alarms, over a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def listed(
        self,
        *,
        point: str | None = None,
        is_ringing: bool | None = None,
        limit: int = 100,
        scopes: frozenset[str] | None = None,
    ) -> list[AlarmRow]:
        """Return alarms, newest first.

        Args:
            scopes: Only of these points; None: of all.
            is_ringing: Only those that ring, or only those that were closed; None: all.
        """
        where = list(among("point", scopes))
        where += [] if point is None else list(equals(point=point))
        if is_ringing is not None:
            where.append(Where("ended_at_ms", "null", is_ringing))
        return await self._store.select(AlarmRow, *where, descending=True, limit=limit)

    async def get(self, alarm_id: str) -> AlarmRow:
        """Return an alarm. Raises NotFound."""
        row = await self._store.get(AlarmRow, alarm_id)
        if row is None:
            raise NotFound(f"there is no alarm {alarm_id}; see `opsrail alarms list`")
        return row

    async def close(self, alarm_id: str, *, by: str, reason: str) -> AlarmRow:
        """End an alarm that somebody has seen to.

        Raises:
            NotFound: there is none of that id. Terminal.
            InvalidInput: name or reason is missing. Terminal.
            Conflict: it was closed before.
        """
        found = [
            Fault(name, "is empty")
            for name, given in (("by", by), ("reason", reason))
            if not given.strip()
        ]
        if found:
            raise InvalidInput(f"alarm {alarm_id} was not closed", found)
        row = await self.get(alarm_id)
        if row.ended_at_ms is not None:
            raise Conflict(f"alarm {alarm_id} was closed by {row.ended_by}")
        now_ms = self._clock.now_ms()
        changed: dict[str, Value] = {"ended_at_ms": now_ms, "ended_by": by}
        noted = entry(
            "alarm.closed",
            alarm_id,
            now_ms,
            {"by": by, "reason": reason, "kind_of_alarm": row.kind},
        )
        try:
            await self._store.commit(
                [Update(AlarmRow, (alarm_id,), changed, {"ended_at_ms": None}), noted]
            )
        except StaleWrite as lost:
            raise Conflict(f"alarm {alarm_id} was closed by somebody else a moment ago") from lost
        return row._replace(ended_at_ms=now_ms, ended_by=by)
