"""Which queues there are: a name that nobody declared and no review bears is refused, with those that there are."""

from __future__ import annotations

from typing import Any

import pytest

from opsrail import Escalation, Queue
from opsrail.clock import ManualClock
from opsrail.errors import Contradictory, InvalidInput
from opsrail.review.desk import Desk
from opsrail.store.memory import MemoryStore
from tests.unit.review.conftest import Time


@pytest.fixture
def plain(store: MemoryStore, time: Time) -> Desk:
    """Return a desk of a process that loaded no file."""
    return Desk(store, ManualClock(time.read))


async def test_a_review_is_passed_to_no_queue_that_there_is_not(plain: Desk, opened: Any) -> None:
    await opened(Queue("desk", escalate=[Escalation("2h", "seniors")]))
    await opened(Queue("night-desk"), "case-1")
    with pytest.raises(Contradictory, match="night-dsk") as refused:
        await plain.pass_on("case-0", by="ann", queue="night-dsk")
    with pytest.raises(InvalidInput) as worse:
        await plain.pass_on("case-0", by="ann", queue="night-dsk", person="", reason="x" * 4001)
    by_a_review = await plain.pass_on("case-0", by="ann", queue="night-desk")
    by_its_chain = await plain.pass_on("case-0", by="ann", queue="seniors")

    (fault,) = refused.value.faults
    assert (fault.place, fault.message) == (
        "queue",
        "no queue 'night-dsk'; there are: desk, night-desk, seniors",
    )
    assert [one.place for one in worse.value.faults] == ["reason", "person", "queue"]
    assert (by_a_review.queue, by_its_chain.queue) == ("night-desk", "seniors")


async def test_a_queue_is_known_that_only_has_what_is_ruled(plain: Desk, opened: Any) -> None:
    await opened(Queue("desk"))
    await opened(Queue("old-desk"), "case-1")
    await plain.rule("case-1", "decline", by="ann")

    assert (await plain.pass_on("case-0", by="ann", queue="old-desk")).queue == "old-desk"


async def test_what_a_served_file_declares_is_known_to_processes_without_the_file(
    plain: Desk, opened: Any, store: MemoryStore, time: Time
) -> None:
    await opened(Queue("desk"))
    declared = {"desk": Queue("desk", escalate=[Escalation("1h", "chiefs")])}
    serving = Desk(store, ManualClock(time.read), declared)
    with pytest.raises(Contradictory):
        await plain.refuse_unless_known("chiefs")
    await serving.refuse_unless_known("chiefs", None)
    await serving.keep_queues()
    await serving.keep_queues()
    await plain.refuse_unless_known("chiefs", "desk")
    with pytest.raises(Contradictory) as refused:
        await plain.refuse_unless_known("a", "chiefs", "b")

    assert [fault.message for fault in refused.value.faults] == [
        "no queue 'a'; there are: chiefs, desk",
        "no queue 'b'; there are: chiefs, desk",
    ]
