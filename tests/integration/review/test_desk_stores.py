"""The desk on the databases that serve: races have one winner, moments come once, lists read the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from opsrail import Escalation, Expiry, Queue
from opsrail.clock import SystemClock
from opsrail.errors import AlreadyRuled, Contradictory, Denied
from opsrail.ledger.chain import WriterChain
from opsrail.ports import Store
from opsrail.review.clockwork import Clockwork
from opsrail.review.desk import Desk
from opsrail.store.postgres import PostgresStore
from opsrail.store.sqlite import SqliteStore
from opsrail.values.cases import InboxRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.reviews import ReviewEventRow, ReviewRow, RulingRow
from opsrail.values.rows import Insert, Where
from tests.unit.review.conftest import review

CLOCK = SystemClock()
RACES = 200


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    chain = WriterChain(CLOCK)
    made: Store
    if request.param == "sqlite":
        made = SqliteStore(tmp_path / "a.db", chain=chain, clock=CLOCK)
    else:
        made = PostgresStore(request.getfixturevalue("database_url"), chain=chain, clock=CLOCK)
    await made.open()
    yield made
    await made.close()


async def put(store: Store, queue: Queue, count: int, opened_at_ms: int | None = None) -> list[str]:
    at_ms = CLOCK.now_ms() if opened_at_ms is None else opened_at_ms
    rows = [review(queue, at_ms, f"c{number:04d}-0") for number in range(count)]
    await store.commit([Insert(row) for row in rows])
    return [row.id for row in rows]


async def test_two_people_never_get_the_same_review(store: Store) -> None:
    ids = await put(store, Queue("desk"), RACES // 2)
    desks = [Desk(store, CLOCK) for _ in range(4)]
    people = [f"person-{number}" for number in range(10)]
    got: list[str] = []

    async def work(number: int, name: str) -> None:
        desk = desks[number % len(desks)]
        for _ in range(RACES // len(people)):
            row = await desk.next(name)
            if row is not None:
                got.append(row.id)
                await desk.rule(row.id, "decline", by=name)

    await asyncio.gather(*(work(number, name) for number, name in enumerate(people)))

    assert sorted(got) == ids
    assert len(await store.select(InboxRow)) == len(ids)
    entries = await store.select(LedgerEntryRow, Where("kind", "=", "review.ruled"))
    assert len(entries) == len(ids)


async def test_moments_come_once_however_many_processes_look(store: Store) -> None:
    queue = Queue(
        "desk", undo="1s", escalate=[Escalation("1h", "up")], expire=Expiry("2h", "decline")
    )
    long_ago = CLOCK.now_ms() - 3 * 3_600_000
    await put(store, queue, 20, long_ago)  # all have expired meanwhile
    clockworks = [Clockwork(store, CLOCK, Desk(store, CLOCK), poll_s=1) for _ in range(3)]
    await asyncio.gather(*(one.turn() for one in clockworks))
    rows = await store.select(ReviewRow)

    assert {(row.ruled_by, row.ruling, row.wake_at_ms) for row in rows} == {
        ("expiry", "decline", None)
    }
    assert len(await store.select(InboxRow)) == len(rows)
    assert len(await store.select(ReviewEventRow)) == len(rows)


async def test_a_ruling_is_taken_back_or_delivered_and_never_both(store: Store) -> None:
    ids = await put(store, Queue("desk", undo="10ms"), 20)
    desk = Desk(store, CLOCK)
    for review_id in ids:
        await desk.rule(review_id, "decline", by="ann")
    await asyncio.sleep(0.02)
    clockwork = Clockwork(store, CLOCK, desk, poll_s=1)
    undone = [desk.undo(review_id, by="ann") for review_id in ids]
    _, *ended = await asyncio.gather(clockwork.turn(), *undone, return_exceptions=True)
    await clockwork.turn()
    taken_back = {row.id for row in ended if isinstance(row, ReviewRow)}
    arrived = {row.topic.partition(":")[2] for row in await store.select(InboxRow)}

    assert taken_back | arrived == set(ids)
    assert not taken_back & arrived


async def test_of_three_people_two_rule_whoever_is_quick(store: Store) -> None:
    ids = await put(store, Queue("desk", eyes=2), 10)
    desk = Desk(store, CLOCK)

    async def rule(review_id: str, by: str) -> None:
        for _ in range(3):
            try:
                await desk.rule(review_id, "decline", by=by)
            except Denied:
                return
            except AlreadyRuled:
                continue

    await asyncio.gather(*(rule(one, by) for one in ids for by in ("ann", "bob", "cy")))

    assert {row.state for row in await store.select(ReviewRow)} == {"ruled"}
    assert len(await store.select(RulingRow)) == 2 * len(ids)
    assert len(await store.select(InboxRow)) == len(ids)


async def test_another_process_knows_what_is_declared_here_and_what_has_reviews(
    new_store: Callable[[], Store],
) -> None:
    here, there = new_store(), new_store()
    await here.open()
    await there.open()
    await put(here, Queue("desk"), 1, CLOCK.now_ms())
    await Desk(here, CLOCK, {"quiet": Queue("quiet")}).keep_queues()
    await Desk(there, CLOCK).refuse_unless_known("desk", "quiet")
    with pytest.raises(Contradictory) as refused:
        await Desk(there, CLOCK).refuse_unless_known("quite")
    await here.close()
    await there.close()

    assert refused.value.faults[0].message == "no queue 'quite'; there are: desk, quiet"


async def test_lists_and_counts_read_the_same_everywhere(store: Store) -> None:
    ids = await put(store, Queue("desk", due="1ms", blind=True), 5, CLOCK.now_ms() - 1000)
    desk = Desk(store, CLOCK)
    await desk.say(ids[4], "approve", by="ann")
    first = await desk.page(queue="desk", limit=3)
    rest = await desk.page(queue="desk", after=first[-1].id, limit=3)
    (counted,) = await desk.queues()

    assert [row.id for row in first + rest] == ids
    assert (counted.waiting, counted.claimed, counted.overdue) == (5, 1, 5)
    assert await desk.sees(first + rest, "ann") == {ids[4]}
    assert [row.id for row in await desk.page(mine="ann")] == [ids[4]]
    assert [event.kind for event in await desk.history(ids[4])] == ["said"]
