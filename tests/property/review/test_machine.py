"""Whatever people do to a review in whatever order, its promises hold: one delivery, other eyes, nothing after the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsrail import Escalation, Expiry, Queue
from opsrail.cases.ending import withdrawn
from opsrail.clock import MANUAL_START_MS, ManualClock
from opsrail.errors import Conflict, Denied, InvalidInput
from opsrail.ledger.chain import WriterChain
from opsrail.review.clockwork import Clockwork
from opsrail.review.desk import Desk
from opsrail.review.machine import MOVES, REFUSALS, Event, Standing, follows, standing_of
from opsrail.store.memory import MemoryStore
from opsrail.values.cases import InboxRow
from opsrail.values.reviews import ReviewEventRow, ReviewRow, ReviewState, RulingRow
from opsrail.values.rows import Insert
from tests.unit.review.conftest import Time, review

NAMES = ("ann", "bob", "cy", "req")
QUEUES = [
    Queue(
        "desk",
        blind=blind,
        eyes=eyes,
        undo=undo,
        verdicts=("approve", "decline"),
        escalate=[Escalation("2h", "seniors")],
        expire=Expiry("6h", "decline"),
    )
    for blind, eyes, undo in product((False, True), (1, 2), ("0s", "10s"))
]
Deed = Callable[[Desk, str, str], Any]
DEEDS: dict[str, Deed] = {
    "claim": lambda desk, by, said: desk.claim("case-0", by),
    "release": lambda desk, by, said: desk.release("case-0", by),
    "say": lambda desk, by, said: desk.say("case-0", said, by=by),
    "rule": lambda desk, by, said: desk.rule("case-0", said, by=by, reason="so"),
    "reconsider": lambda desk, by, said: desk.reconsider("case-0", said, by=by, reason="so"),
    "undo": lambda desk, by, said: desk.undo("case-0", by=by),
    "ask": lambda desk, by, said: desk.ask("case-0", "why?", by=by),
    "answer": lambda desk, by, said: desk.answer("case-0", "so", by=by),
    "pass": lambda desk, by, said: desk.pass_on("case-0", by=by, queue="other"),
    "give": lambda desk, by, said: desk.pass_on("case-0", by=by, person="cy"),
    "escalate": lambda desk, by, said: desk.escalate("case-0", by=by),
    "next": lambda desk, by, said: desk.next(by),
}
STEPS = st.tuples(
    st.sampled_from([*DEEDS, *("rule",) * 4, "wait", "wait", "withdraw"]),
    st.sampled_from(NAMES),
    st.sampled_from(["approve", "decline"]),
    st.sampled_from([1, 11, 1000, 7300]),
)


def test_every_pair_of_standing_and_event_has_an_answer() -> None:
    for standing, event in product(Standing, Event):
        assert follows(standing, event) or REFUSALS[standing]
    assert {standing for standing, _ in MOVES} == set(Standing) - {
        Standing.RULED,
        Standing.WITHDRAWN,
    }
    assert {event for _, event in MOVES} == set(Event)
    reached = {to for many in MOVES.values() for to in many}
    assert reached == set(Standing)


@pytest.mark.parametrize("standing", [Standing.OPEN, Standing.CLAIMED, Standing.ASKED])
def test_nothing_waits_without_an_end(standing: Standing) -> None:
    assert follows(standing, Event.EXPIRE)
    assert follows(standing, Event.WITHDRAW)


@given(st.sampled_from(QUEUES), st.lists(STEPS, max_size=14))
@settings(max_examples=120, deadline=None)
def test_promises_hold_whatever_people_do(queue: Queue, steps: list[Any]) -> None:
    asyncio.run(play(queue, steps))


async def play(queue: Queue, steps: list[tuple[str, str, str, int]]) -> None:
    time = Time()
    clock = ManualClock(time.read)
    store = MemoryStore(WriterChain(clock), clock=clock)
    await store.open()
    desk = Desk(store, clock, {"other": Queue("other")})
    clockwork = Clockwork(store, clock, desk, poll_s=60)
    await store.commit([Insert(review(queue, MANUAL_START_MS, requester="req"))])
    for deed, by, said, seconds in steps:
        before = await desk.get("case-0")
        was = standing_of(before, clock.now_ms())
        if deed == "wait":
            time.seconds += seconds
            await clockwork.turn()
        elif deed == "withdraw":
            if follows(was, Event.WITHDRAW):
                await store.commit(withdrawn(before, clock.now_ms()))
        else:
            with suppress(Conflict, Denied, InvalidInput):
                await DEEDS[deed](desk, by, said)
        after = await desk.get("case-0")
        if was in (Standing.RULED, Standing.WITHDRAWN):
            assert after == before
        assert after.version >= before.version
    await check(store, desk, queue)
    await store.close()


async def check(store: MemoryStore, desk: Desk, queue: Queue) -> None:
    row = await desk.get("case-0")
    arrived = await store.select(InboxRow)
    said = [one for one in await store.select(RulingRow) if one.verdict]
    events = await store.select(ReviewEventRow, order=("seq",))
    assert len(arrived) == (row.delivered_at_ms is not None) <= 1
    assert "req" not in {one.by for one in said}
    assert [event.seq for event in events] == list(range(1, row.version + 1))
    if row.state == ReviewState.RULED and row.ruled_by != "expiry":
        alike = [one for one in said if one.verdict == row.ruling]
        assert len({one.by for one in alike}) >= queue.eyes
        assert row.ruled_by in {one.by for one in alike}
    if row.delivered_at_ms is not None and row.ruled_by != "expiry":
        held_ms = 10_000 if queue.undo == "10s" else 0
        assert row.delivered_at_ms - (row.ruled_at_ms or 0) >= held_ms
    if queue.blind:
        assert all(one.first for one in said)
    assert isinstance(row, ReviewRow)
