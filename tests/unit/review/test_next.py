"""The next review: how little is read to find it, and that who asks at the same time gets what would have been next."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from opsrail import Queue
from opsrail.clock import ManualClock
from opsrail.errors import StoreUnavailable
from opsrail.ledger.chain import WriterChain
from opsrail.review.assignment import rank
from opsrail.review.desk import Desk
from opsrail.store.memory import MemoryStore
from opsrail.values.access import ApiKeyRow
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.values.rows import Insert, Write
from tests.unit.review.conftest import Time, review

WAITING = 1_500
QUEUE = Queue("desk", due="4h")
LATER_S = 3_600


class CountedStore(MemoryStore):
    """Rows in memory, with how often and how much was read and written."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(WriterChain(clock), clock=clock)
        self.counts: Counter[str] = Counter()

    async def get(self, *args: Any) -> Any:
        self.counts["reads"] += 1
        return await super().get(*args)

    async def select(self, *args: Any, **how: Any) -> Any:
        await asyncio.sleep(0)  # as in a database, another's turn comes in between
        rows = await super().select(*args, **how)
        self.counts.update(reads=1, rows=len(rows))
        return rows

    async def commit(self, writes: Sequence[Write]) -> None:
        self.counts["commits"] += 1
        await asyncio.sleep(0)
        await super().commit(writes)


@pytest.fixture
async def store(time: Time) -> CountedStore:
    store = CountedStore(ManualClock(time.read))
    await store.open()
    return store


async def fill(store: CountedStore, *, others: int = 0, count: int = WAITING) -> list[ReviewRow]:
    """Put reviews, one a second; the first ones ask for a skill."""
    begin_ms = ManualClock(lambda: 0.0).now_ms()
    rows = [
        review(
            QUEUE,
            begin_ms + 1_000 * number,
            f"c{number:04d}-0",
            priority=3 + number % 3 if number >= others else 0,
            skills="german" if number < others else "",
        )
        for number in range(count)
    ]
    await store.commit([Insert(row) for row in rows])
    store.counts.clear()
    return rows


async def test_of_many_the_next_is_found_with_two_short_lists(
    store: CountedStore, desk: Desk, time: Time
) -> None:
    rows = await fill(store)
    time.seconds = LATER_S
    now_ms = ManualClock(time.read).now_ms()
    got = await desk.next("ann", ["desk", "seniors"])

    assert got is not None
    assert got.id == min(rows, key=lambda row: rank(row, now_ms)).id
    assert (
        store.counts["reads"] <= 5
    )  # who asks, what they hold, by due time, by priority, left by others
    assert store.counts["rows"] <= 32
    assert store.counts["commits"] == 1


async def test_where_much_is_overdue_one_list_is_enough(
    store: CountedStore, desk: Desk, time: Time
) -> None:
    await fill(store)
    time.seconds = 5 * LATER_S
    got = await desk.next("ann")

    assert got is not None
    assert got.id == "c0000-0"
    assert store.counts["reads"] <= 4
    assert store.counts["rows"] <= 16


@pytest.mark.parametrize("hours", [1, 5])
async def test_behind_a_hundred_that_are_not_for_who_asks_the_next_is_found_with_little_more(
    store: CountedStore, desk: Desk, time: Time, hours: int
) -> None:
    rows = await fill(store, others=100)
    time.seconds = hours * LATER_S
    now_ms = ManualClock(time.read).now_ms()
    got = await desk.next("ann")

    assert got is not None
    assert got.id == min(rows[100:], key=lambda row: rank(row, now_ms)).id
    assert store.counts["reads"] <= 7
    assert store.counts["rows"] <= 2 * (16 + 128)
    assert store.counts["commits"] == 1


@pytest.mark.parametrize("others", [WAITING, WAITING - 1, WAITING - 500])
async def test_who_lacks_what_nearly_all_ask_for_does_not_make_all_be_read(
    store: CountedStore, desk: Desk, time: Time, others: int
) -> None:
    rows = await fill(store, others=others)
    time.seconds = 5 * LATER_S
    got = await desk.next("ann", skills=["french"])

    assert ([] if got is None else [got.id]) == [row.id for row in rows[others : others + 1]]
    assert store.counts["rows"] <= 16 + 128 + 16


@pytest.mark.parametrize("hours", [1, 5])
async def test_who_asks_at_the_same_time_gets_the_most_urgent_ones_and_nobody_loses_a_race(
    store: CountedStore, desk: Desk, time: Time, hours: int
) -> None:
    rows = await fill(store, count=200)
    time.seconds = hours * LATER_S
    now_ms = ManualClock(time.read).now_ms()
    got = await asyncio.gather(*(desk.next(f"person-{number}") for number in range(20)))
    rows.sort(key=lambda row: rank(row, now_ms))

    assert {row.id for row in got if row is not None} == {row.id for row in rows[:20]}
    assert store.counts["commits"] == 20


async def test_who_asks_twice_at_once_holds_one_review(store: CountedStore, desk: Desk) -> None:
    await fill(store, count=40)
    got = await asyncio.gather(*(desk.next("ann") for _ in range(3)))

    assert [row.id for row in got if row is not None] == ["c0000-0"] * 3
    assert len(await desk.page(state=ReviewState.CLAIMED)) == 1


async def test_a_review_that_could_not_be_given_is_the_next_ones(
    store: CountedStore, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, count=40)

    async def fails(writes: Sequence[Write]) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(store, "commit", fails)
        with pytest.raises(StoreUnavailable):
            await desk.next("ann")
    got = await desk.next("bob")

    assert got is not None
    assert got.id == "c0000-0"


async def test_a_review_comes_back_to_all_when_it_was_released_or_left(
    store: CountedStore, desk: Desk, time: Time
) -> None:
    await fill(store, count=40)
    for seconds, name in ((0, "ann"), (16 * 60, "bob"), (32 * 60, "cy")):  # leases lapse
        time.seconds = seconds
        got = await desk.next(name)
        assert got is not None
        assert got.id == "c0000-0"
    await desk.release("c0000-0", "cy")
    got = await desk.next("ann")

    assert got is not None
    assert got.id == "c0000-0"


async def test_a_key_is_offered_nothing_that_the_person_behind_it_may_not_have(
    store: CountedStore, desk: Desk
) -> None:
    await store.commit([Insert(ApiKeyRow("K", "0" * 64, "desk", "user:ann", 0, None, None, None))])
    for number in range(30):
        await store.commit(
            [Insert(review(QUEUE, number, f"hers{number:02d}-0", requester="user:ann"))]
        )
    for number in range(30, 60):
        eyes = Queue("desk", eyes=2)
        await store.commit([Insert(review(eyes, number, f"seen{number:02d}-0"))])
        await desk.rule(f"seen{number:02d}-0", "decline", by="user:ann")
    await store.commit([Insert(review(QUEUE, 60, "free-0"))])
    store.counts.clear()
    got = await desk.next("key:K")

    assert got is not None
    assert got.id == "free-0"
    assert store.counts["commits"] == 1
    assert await desk.next("key:L") is not None
