"""Rows that the store's suite writes."""

from __future__ import annotations

from typing import Any, get_type_hints

from opsrail.errors import StaleWrite
from opsrail.ports import Store
from opsrail.values.cases import InboxRow, OutboxRow, WorkerRow
from opsrail.values.rows import Require, Write

ALIVE = Require(WorkerRow, ("w1",), {"state": "alive"}, "fenced")
WORKER = WorkerRow("w1", "host", 1, "alive", 0, 0)


def inbox(number: int, *, case_id: str = "c", topic: str = "t", payload: str = "{}") -> InboxRow:
    """Return a small row."""
    return InboxRow(f"i{number:04d}", case_id, topic, payload, number)


def outbox(number: int, *, owner: str | None = None, due_at_ms: int = 0) -> OutboxRow:
    """Return a row with columns that may be NULL."""
    return OutboxRow(
        f"o{number:04d}", "c", "a", "pay", "{}", "due", owner, 0, due_at_ms, None, None, 0, None
    )


def sample(row_type: type[tuple[Any, ...]], number: int) -> tuple[Any, ...]:
    """Return a row of any type, filled by what its columns take; every second one with NULL where that may stand."""
    values: list[Any] = []
    for name, hint in get_type_hints(row_type).items():
        if number % 2 and "None" in str(hint):
            values.append(None)
        elif hint in (int, int | None):
            values.append(2**62 - number)
        elif hint in (float, float | None):
            values.append(1 / 3 + number)
        elif hint is bytes:
            values.append(bytes(range(256)) + bytes([number]))
        elif hint is bool:
            values.append(bool(number % 2))
        else:
            values.append(f'{name}-{number}: "ünïcode" \\ \n {{}} 漢字 🂡')
    return row_type(*values)


async def refused(store: Store, *writes: Write) -> bool:
    """Return whether the commit was refused as stale."""
    try:
        await store.commit(writes)
    except StaleWrite:
        return True
    return False
