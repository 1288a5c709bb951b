"""A ruling that may still be taken back counts for nobody: no outcome, and the guard does not see it."""

from __future__ import annotations

from typing import Any

from opsrail import Queue
from opsrail.clock import ManualClock
from opsrail.review.clockwork import Clockwork
from opsrail.review.desk import Desk
from opsrail.review.labels import Sampled
from opsrail.store.memory import MemoryStore
from opsrail.values.outcomes import OutcomeRow
from opsrail.watch.sources import Sources
from tests.unit.review.conftest import Time

HELD = Queue("desk", undo="1h")
LABELS = Sampled({"fraud": {"approve": 0.0, "decline": 1.0}}).text()


async def test_a_held_ruling_counts_once_it_went_out_and_not_before(
    desk: Desk, opened: Any, clockwork: Clockwork, time: Time, store: MemoryStore
) -> None:
    await opened(HELD, labels=LABELS)
    now_ms = ManualClock(time.read).now_ms
    before_ms = now_ms()
    time.seconds = 1
    await desk.rule("case-0", "approve", by="ann", reason="a mistake")
    time.seconds = 60
    early, seen_ms = await Sources(store).rulings(before_ms, now_ms())
    told = await store.select(OutcomeRow)
    await desk.undo("case-0", by="ann")
    await desk.rule("case-0", "decline", by="ann")
    time.seconds = 2 * 3600
    await clockwork.turn()
    # the cursor stands behind the moment of the ruling; it is seen all the same, since it went out later
    late, _ = await Sources(store).rulings(seen_ms, now_ms())
    (outcome,) = await store.select(OutcomeRow)

    assert (early, told) == ([], [])
    assert [row.ruling for row in late] == ["decline"]
    assert (outcome.name, outcome.value, outcome.source) == ("fraud", 1.0, "review")


async def test_a_ruling_that_was_taken_back_never_counts(
    desk: Desk, opened: Any, clockwork: Clockwork, time: Time, store: MemoryStore
) -> None:
    await opened(HELD, labels=LABELS)
    await desk.rule("case-0", "approve", by="ann", reason="a mistake")
    await desk.undo("case-0", by="ann")
    time.seconds = 2 * 3600
    await clockwork.turn()
    rulings, _ = await Sources(store).rulings(0, ManualClock(time.read).now_ms())

    assert (rulings, await store.select(OutcomeRow)) == ([], [])
