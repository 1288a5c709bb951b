"""Rows that notices speak of, and a notifier that remembers what it was given."""

from __future__ import annotations

import json
from typing import Any

from opsrail.ports import Store
from opsrail.values.changes import ChangeRow, ChangeState
from opsrail.values.notices import Notice
from opsrail.values.reviews import NoticeRow, ReviewEventRow
from opsrail.values.rollouts import AlarmRow

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Remembering:
    """Takes every notice, or fails as it is told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[Notice, str]] = []
        self.failures: list[Exception | None] = []

    async def send(self, notice: Notice, address: str) -> None:
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        self.sent.append((notice, address))

    async def close(self) -> None:
        """Nothing is held."""


def alarm(number: int = 1, **columns: Any) -> AlarmRow:
    row = AlarmRow(
        f"alarm-{number}", "fraud-risk", "guarantee-broken", "fraud/2", "Text.", "{}", 0, None, None
    )
    return row._replace(**columns)


def change(number: int = 1, state: str = ChangeState.PLANNED) -> ChangeRow:
    ends = dict.fromkeys(("applied_by", "applied_at_ms", "ended_by", "ended_at_ms", "why"))
    return ChangeRow(
        id=f"change-{number}", point="fraud-risk", kind="promote", state=state, tier="high", plan="{}", author="ann",
        reason="better", base_revision=0, version=0, created_at_ms=0, **ends,
    )  # fmt: skip


def event(review_id: str, kind: str, queue: str) -> ReviewEventRow:
    return ReviewEventRow(review_id, 1, kind, None, json.dumps({"queue": queue, "reason": "x"}), 0)


async def notices(store: Store) -> list[NoticeRow]:
    return await store.select(NoticeRow, limit=10_000)
