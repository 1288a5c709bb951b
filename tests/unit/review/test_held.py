"""A ruling that may still be taken back counts for nobody: no outcome, no guard, no figure of quality, no training set."""

from __future__ import annotations

from typing import Any

import pytest

from opsrail import Queue
from opsrail.clock import ManualClock
from opsrail.errors import AlreadyRuled
from opsrail.lab.rulings import quality, quality_of_newest
from opsrail.review.clockwork import Clockwork
from opsrail.review.desk import Desk
from opsrail.review.exporting import Wanted, exported
from opsrail.review.labels import Sampled
from opsrail.store.memory import MemoryStore
from opsrail.values.ledger import LedgerEntryRow
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


async def test_figures_of_quality_and_the_export_have_a_ruling_once_it_went_out(
    desk: Desk, opened: Any, clockwork: Clockwork, time: Time, store: MemoryStore
) -> None:
    clock = ManualClock(time.read)

    async def counted() -> list[int]:
        until_ms = clock.now_ms() + 1
        whole = await quality(store, since_ms=0, until_ms=until_ms)
        newest, _ = await quality_of_newest(store, since_ms=0, until_ms=until_ms)
        pages = exported(store, clock, Wanted(0, until_ms))
        lines = [line async for page in pages for line in page]
        return [whole.rulings, newest.rulings, len(lines)]

    await opened(HELD)
    await opened(Queue("desk"), "case-1")
    await desk.rule("case-0", "approve", by="ann", reason="a mistake")
    await desk.rule("case-1", "decline", by="ann")
    held = await counted()
    time.seconds = 2 * 3600
    await clockwork.turn()

    assert held == [1, 1, 1]
    assert await counted() == [2, 2, 2]


async def test_who_only_said_theirs_changes_no_ruling_that_another_gave(
    desk: Desk, opened: Any
) -> None:
    await opened(Queue("desk", blind=True, undo="1h"))
    await desk.say("case-0", "approve", by="ann")
    await desk.release("case-0", "ann")
    await desk.rule("case-0", "decline", by="bob")
    with pytest.raises(AlreadyRuled, match="was ruled by bob"):
        await desk.reconsider("case-0", "approve", by="ann", reason="so")
    held = await desk.get("case-0")

    assert (held.ruling, held.ruled_by) == ("decline", "bob")


async def test_who_was_outvoted_cannot_open_a_held_ruling_again(desk: Desk, opened: Any) -> None:
    await opened(Queue("desk", eyes=2, undo="1h"))
    await desk.rule("case-0", "decline", by="ann")
    await desk.rule("case-0", "approve", by="bob", reason="so")
    await desk.rule("case-0", "approve", by="cy", reason="so")
    with pytest.raises(AlreadyRuled, match="was ruled by cy"):
        await desk.reconsider("case-0", "decline", by="ann")
    changed = await desk.reconsider("case-0", "decline", by="bob")

    assert (changed.ruling, changed.ruled_by) == ("decline", "bob")


async def test_a_ruling_that_was_changed_stands_in_the_ledger_as_that(
    desk: Desk, opened: Any, store: MemoryStore
) -> None:
    await opened(HELD)
    await desk.rule("case-0", "approve", by="ann", reason="a mistake")
    await desk.reconsider("case-0", "decline", by="ann")
    kinds = [entry.kind for entry in await store.select(LedgerEntryRow, order=("seq",))]

    assert kinds[-2:] == ["review.ruled", "review.reconsidered"]
