"""A desk on rows in memory, with a clock that a test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic_core import to_json

from opsrail import Queue
from opsrail.clock import ManualClock
from opsrail.ledger.chain import WriterChain
from opsrail.review.assignment import due_ms
from opsrail.review.clockwork import Clockwork
from opsrail.review.desk import Desk
from opsrail.review.opening import Asked
from opsrail.store.memory import MemoryStore
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.values.rows import Insert


class Time:
    """Seconds that a test moves."""

    seconds = 0.0

    def read(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def store(time: Time) -> AsyncIterator[MemoryStore]:
    clock = ManualClock(time.read)
    store = MemoryStore(WriterChain(clock), clock=clock)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def desk(store: MemoryStore, time: Time) -> Desk:
    return Desk(store, ManualClock(time.read), {"seniors": Queue("seniors")})


@pytest.fixture
def clockwork(store: MemoryStore, desk: Desk, time: Time) -> Clockwork:
    return Clockwork(store, ManualClock(time.read), desk, poll_s=60)


def review(queue: Queue, now_ms: int, review_id: str = "case-0", **columns: Any) -> ReviewRow:
    """Return an open review of a queue."""
    decision = {"id": "d-1", "score": 0.93, "verdict": "decline", "reasons": [{"text": "?"}]}
    given: dict[str, Any] = {
        "id": review_id,
        "case_id": review_id.partition("-")[0],
        "automation": "claims",
        "decision_id": "d-1",
        "subject": to_json({"input": {"amount": 9}, "decision": decision, "show": None}).decode(),
        "verdict": "decline",
        "state": ReviewState.OPEN,
        "salt": "00" * 32,
        "version": 0,
        "opened_at_ms": now_ms,
        **Asked(queue, values=columns.pop("values", None)).columns(now_ms),
    }
    empty = dict.fromkeys(ReviewRow._fields) | ReviewRow._field_defaults
    row = ReviewRow(**{**empty, **given, **columns})
    return row._replace(urgent_at_ms=due_ms(row))


@pytest.fixture
def opened(store: MemoryStore, time: Time) -> Callable[..., Any]:
    async def opened(queue: Queue, review_id: str = "case-0", **columns: Any) -> ReviewRow:
        row = review(queue, ManualClock(time.read).now_ms(), review_id, **columns)
        await store.commit([Insert(row)])
        return row

    return opened
