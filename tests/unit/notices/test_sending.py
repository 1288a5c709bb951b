"""Which notices follow from a commit, for whom, when they are sent, and what becomes of those that cannot be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from opsrail.clock import MANUAL_START_MS, ManualClock
from opsrail.errors import InvalidInput, NotFound, StaleWrite, Unavailable
from opsrail.ledger.chain import WriterChain
from opsrail.notices.sending import AT_ONCE, Notices, Sender
from opsrail.notices.subscriptions import Channel, notice_of, notices_of
from opsrail.review.desk import Desk
from opsrail.review.queue import Queue
from opsrail.review.terms import Expires, Step, Terms
from opsrail.store.memory import MemoryStore
from opsrail.values.access import GrantRow, UserRow
from opsrail.values.changes import ChangeRow, ChangeState
from opsrail.values.notices import KINDS
from opsrail.values.reviews import NoticeRow, ReviewEventRow, ReviewRow, ReviewState
from opsrail.values.rollouts import AlarmRow
from opsrail.values.rows import Insert, Require, Update, Write
from tests.support.notified import Remembering, alarm, change, event, notices
from tests.support.sampled import QUEUE, asked
from tests.unit.review.conftest import Time

START_MS = MANUAL_START_MS
HOUR_MS = 3_600_000


class Post:
    """A store that tells, a clock that is moved, a notifier that remembers."""

    def __init__(self, *channels: Channel) -> None:
        self.time = Time()
        self.clock = ManualClock(self.time.read)
        self.channels = channels or (Channel("ops"),)
        chain = WriterChain(self.clock)
        self.store = MemoryStore(chain, follow=self.notices, clock=self.clock)
        self.notifier = Remembering()

    def notices(self, writes: Sequence[Write]) -> list[Write]:
        return notices_of(writes, self.channels, self.clock.now_ms(), self.clock.new_id)

    def sender(self, **how: Any) -> Sender:
        by_name = {channel.name: channel for channel in self.channels}
        notifiers = dict.fromkeys(by_name, self.notifier)
        return Sender(self.store, self.clock, by_name, notifiers, **how)

    async def after(self, seconds: float, **how: Any) -> list[str]:
        """Let time pass, take a turn, and return the kinds that were sent so far."""
        self.time.seconds += seconds
        await self.sender(**how).turn()
        return [notice.kind for notice, _ in self.notifier.sent]


@pytest.fixture
async def opened() -> AsyncIterator[Any]:
    posts: list[Post] = []

    async def open_one(*channels: Channel) -> Post:
        posts.append(Post(*channels))
        await posts[-1].store.open()
        return posts[-1]

    yield open_one
    for post in posts:
        await post.store.close()


def review(number: int = 1, **columns: Any) -> ReviewRow:
    return asked(START_MS, number, due_at_ms=START_MS + HOUR_MS, **columns)


async def test_a_commit_tells_in_itself_or_not_at_all(opened: Any) -> None:
    post = await opened()
    gone = Require(ReviewRow, ("nothing",), {"version": 0})
    with pytest.raises(StaleWrite):
        await post.store.commit([Insert(review()), gone])
    assert await notices(post.store) == []
    await post.store.commit([Insert(review()), Insert(alarm()), Insert(change())])

    assert sorted(row.kind for row in await notices(post.store)) == [
        "alarm.raised", "change.awaits", "review.due", "review.opened",
    ]  # fmt: skip


async def test_a_channel_is_told_of_its_queues_and_kinds_alone_and_each_address_gets_its_own(
    opened: Any,
) -> None:
    post = await opened(
        Channel("desk", queues=(QUEUE,), kinds=("review.opened", "review.escalated")),
        Channel("other", queues=("other",)),
        Channel("mail", to=("a@example.org", "user:bo"), kinds=("alarm.raised",)),
    )
    await post.store.commit(
        [
            Insert(review()),
            Insert(alarm()),
            Insert(event("r-3", "claimed", "other")),
        ]
    )
    await post.store.commit([Update(ReviewRow, (review().id,), {"queue": "other"})])
    told = sorted((row.channel, row.kind, row.address) for row in await notices(post.store))

    assert told == [
        ("desk", "review.opened", ""),
        ("mail", "alarm.raised", "a@example.org"),
        ("mail", "alarm.raised", "user:bo"),
        ("other", "alarm.raised", ""),
        ("other", "review.escalated", ""),
    ]


async def test_no_notice_holds_what_a_case_is_about(opened: Any) -> None:
    post = await opened()
    secret = {"input": {"name": "Erika Mustermann"}, "decision": None, "show": "IBAN"}
    await post.store.commit([Insert(review(subject=json.dumps(secret), requester="user:req"))])
    rows = await notices(post.store)
    told = "".join(row.content for row in rows) + str([notice_of(row) for row in rows])

    assert not {"Erika", "IBAN", "user:req"} & set(told.replace('"', " ").split())
    assert "Erika" not in told


async def test_a_due_review_is_told_before_its_time_and_not_when_it_was_ruled(opened: Any) -> None:
    post = await opened(Channel("ops", kinds=("review.due",), soon_ms=600_000))
    await post.store.commit([Insert(review(1)), Insert(review(2))])
    assert await post.after(3_000 - 1) == []
    ruled = review(2).id
    await post.store.commit([Update(ReviewRow, (ruled,), {"state": ReviewState.RULED})])

    assert await post.after(1) == ["review.due"]
    assert post.notifier.sent[0][0].subject_id == review(1).id
    assert [row.state for row in await notices(post.store)] == ["sent"]


async def test_a_due_time_that_moved_is_told_later(opened: Any) -> None:
    post = await opened(Channel("ops", kinds=("review.due",), soon_ms=600_000))
    await post.store.commit([Insert(review())])
    later = {"due_at_ms": START_MS + 2 * HOUR_MS}
    await post.store.commit([Update(ReviewRow, (review().id,), later)])

    assert await post.after(3_600) == []
    assert await post.after(3_000) == ["review.due"]


async def test_a_review_that_was_passed_away_and_back_is_told_as_due_once(opened: Any) -> None:
    addresses = ("user:bo", "user:cy")
    users = [
        UserRow(
            name, name, f"{name}@example.org", None, "active", "", "UTC", "", 0, None, "t", 0, 1
        )
        for name in ("bo", "cy")
    ]
    post = await opened(
        Channel("desk", to=addresses, queues=(QUEUE,), kinds=("review.due",), soon_ms=600_000),
        Channel("all", kinds=("review.due",), soon_ms=600_000),
    )
    await post.store.commit([Insert(review()), *map(Insert, users)])
    desk = Desk(post.store, post.clock, {name: Queue(name) for name in (QUEUE, "night")})
    for queue in ("night", QUEUE):
        await desk.pass_on(review().id, by="ann", queue=queue)

    assert await post.after(3_000 - 1) == []
    assert await post.after(1) == ["review.due"] * 3
    await desk.pass_on(review().id, by="ann", queue="night")
    await desk.pass_on(review().id, by="ann", queue=QUEUE)
    assert await post.after(60) == ["review.due"] * 3
    later: dict[str, Any] = {"due_at_ms": START_MS + 2 * HOUR_MS, "queue": "night"}
    await post.store.commit([Update(ReviewRow, (review().id,), later)])
    assert await post.after(0) == ["review.due"] * 3
    assert await post.after(3_600) == ["review.due"] * 4
    assert sorted(address for _, address in post.notifier.sent) == [
        "",
        "",
        "bo@example.org",
        "cy@example.org",
    ]


@pytest.mark.parametrize("what", ["review", "alarm", "change"])
async def test_what_is_over_is_not_told(opened: Any, what: str) -> None:
    post = await opened()
    row: Any = {"review": review(), "alarm": alarm(), "change": change()}[what]
    await post.store.commit([Insert(row)])
    over: Any = {
        "review": (ReviewRow, {"state": ReviewState.WITHDRAWN}),
        "alarm": (AlarmRow, {"ended_at_ms": 1}),
        "change": (ChangeRow, {"state": ChangeState.APPROVED}),
    }[what]
    await post.store.commit([Update(over[0], (row.id,), over[1])])

    assert await post.after(HOUR_MS / 1000) == []
    assert await notices(post.store) == []


async def test_a_notice_leads_to_a_page_that_needs_sign_in(opened: Any) -> None:
    post = await opened(Channel("ops", kinds=("review.opened", "alarm.raised", "change.awaits")))
    await post.store.commit([Insert(review()), Insert(alarm()), Insert(change())])
    await post.after(1, public_url="https://ops.example.com/")

    assert sorted(notice.link for notice, _ in post.notifier.sent) == [
        "https://ops.example.com/console/alarms",
        "https://ops.example.com/console/changes/change-1",
        f"https://ops.example.com/console/reviews/{review().id}",
    ]


async def test_quiet_hours_hold_back_all_but_what_is_urgent(opened: Any) -> None:
    post = await opened(
        Channel("ops", kinds=("change.awaits", "alarm.raised"), quiet="08:00-12:00 UTC")
    )
    await post.store.commit([Insert(alarm()), Insert(change())])

    assert await post.after(1) == ["alarm.raised"]
    assert await post.after(3 * 3_600 - 2) == ["alarm.raised"]
    assert await post.after(1) == ["alarm.raised", "change.awaits"]
    assert {row.attempts for row in await notices(post.store)} == {1}


async def test_a_persons_own_quiet_hours_and_address_hold(opened: Any) -> None:
    post = await opened(Channel("mail", to=("user:bo", "user:gone"), kinds=("change.awaits",)))
    empty: dict[str, Any] = dict.fromkeys(UserRow._fields)
    given = {
        "name": "bo",
        "shown": "Bo",
        "address": "bo@example.org",
        "state": "active",
        "skills": "",
        "version": 0,
    }
    more = {
        "zone": "Europe/Berlin",
        "quiet": "18:00-12:00",
        "failures": 0,
        "created_by": "x",
        "created_at_ms": 0,
    }
    await post.store.commit([Insert(UserRow(**{**empty, **given, **more}))])
    await post.store.commit([Insert(change())])
    await post.after(1)  # 10:00 in Berlin
    states = {row.address: row.state for row in await notices(post.store)}
    await post.after(2 * 3_600)

    assert states == {"user:bo": "due", "user:gone": "dead"}
    assert [address for _, address in post.notifier.sent] == ["bo@example.org"]


async def test_what_fails_is_tried_again_with_longer_pauses_until_it_is_dead(opened: Any) -> None:
    post = await opened(Channel("ops", kinds=("alarm.raised",)))
    await post.store.commit([Insert(alarm())])
    waits = []
    for _ in range(4):
        post.notifier.failures = [Unavailable("it is down")]
        await post.after(0, attempts=4)
        (row,) = await notices(post.store)
        waits.append((row.due_at_ms - post.clock.now_ms()) / 1000)
        post.time.seconds += waits[-1]
    assert [low <= wait <= 1.5 * low for low, wait in zip((4, 8, 16), waits, strict=False)] == [
        True
    ] * 3
    assert (row.state, row.attempts, row.last_error) == ("dead", 4, "unavailable: it is down")
    assert await post.after(100_000) == []

    with pytest.raises(NotFound):
        await Notices(post.store, post.clock).retry(["nothing"])
    await Notices(post.store, post.clock).retry()
    assert await post.after(1) == ["alarm.raised"]
    assert [row.state for row in await Notices(post.store, post.clock).listed(state="sent")] == [
        "sent"
    ]


async def test_what_will_never_be_taken_is_dead_at_once_and_holds_nobody_up(opened: Any) -> None:
    post = await opened(Channel("ops", kinds=("alarm.raised",)))
    await post.store.commit([Insert(alarm(n)) for n in range(AT_ONCE + 3)])
    post.notifier.failures = [InvalidInput("gone"), RuntimeError("a bug")]
    await post.after(1)
    await post.after(1)
    states = [row.state for row in await notices(post.store)]

    assert (states.count("dead"), states.count("due"), states.count("sent")) == (1, 1, AT_ONCE + 1)


async def test_what_was_sent_long_ago_is_forgotten_and_what_is_dead_is_not(opened: Any) -> None:
    post = await opened(Channel("ops", kinds=("alarm.raised",)))
    await post.store.commit([Insert(alarm(1)), Insert(alarm(2))])
    post.notifier.failures = [InvalidInput("gone")]
    await post.after(1)
    sender = post.sender()
    post.time.seconds += 29 * 86_400
    await sender.turn()
    kept = len(await notices(post.store))
    post.time.seconds += 2 * 86_400
    await sender.turn()

    assert kept == 2
    assert [row.state for row in await notices(post.store)] == ["dead"]


async def test_an_id_stays_the_same_however_often_a_notice_is_sent(opened: Any) -> None:
    post = await opened(Channel("ops", kinds=("alarm.raised",)))
    await post.store.commit([Insert(alarm())])
    await post.after(1)
    (row,) = await notices(post.store)
    await post.store.commit([Update(NoticeRow, (row.id,), {"state": "due", "due_at_ms": 0})])
    await post.after(1)

    assert [notice.id for notice, _ in post.notifier.sent] == [row.id] * 2


async def test_what_a_desk_does_by_itself_is_told_of_the_queue_that_has_to_know(
    opened: Any,
) -> None:
    post = await opened(
        Channel("chief", queues=("chief",)),
        Channel("desk", queues=(QUEUE,), kinds=("review.expired", "review.escalated")),
    )
    terms = Terms(
        escalate=(Step(START_MS + 1_000, "chief"),), expire=Expires(START_MS + 2_000, "decline")
    )
    row = review(terms=terms.text(), wake_at_ms=START_MS + 1_000, case_id=None)
    desk = Desk(post.store, post.clock)
    await post.store.commit(
        [Insert(row), Insert(ReviewEventRow(row.id, 0, "opened", None, "{}", 0))]
    )
    post.time.seconds = 1.0
    escalated = await desk.wake(row)
    post.time.seconds = 2.0
    await desk.wake(escalated)
    told = sorted((one.channel, one.kind) for one in await notices(post.store))

    assert told == [("chief", f"review.{kind}") for kind in ("due", "escalated", "expired")]
    assert await post.after(0) == ["review.expired"]  # that it was escalated is over by now


async def test_a_queue_is_told_of_a_review_that_two_people_disagree_on_or_that_is_passed_to_it(
    opened: Any,
) -> None:
    post = await opened(
        *(
            Channel(name, queues=(name,))
            for name in {name: Queue(name) for name in ("chief", "night")}
        ),
        Channel("all"),
    )
    terms = Terms(escalate=(Step(START_MS + HOUR_MS, "chief"),))
    await post.store.commit([Insert(review(terms=terms.text(), eyes=2, case_id=None))])
    desk, (row,) = (
        Desk(post.store, post.clock, {name: Queue(name) for name in ("chief", "night")}),
        await post.store.select(ReviewRow),
    )
    await desk.rule(row.id, "decline", by="ann", reason="so")
    await desk.rule(row.id, "approve", by="bo", reason="so")
    first = [(one.channel, one.kind) for one in await notices(post.store) if one.channel != "all"]
    await desk.pass_on(row.id, by="ann", queue="night")
    await desk.pass_on(row.id, by="ann", queue="night")
    every = sorted(
        (one.channel, one.kind) for one in await notices(post.store) if one.channel != "all"
    )

    assert first == [("chief", "review.escalated"), ("chief", "review.due")]
    assert every == [
        *(("chief", "review.due"), ("chief", "review.escalated")),
        *(("night", "review.due"), ("night", "review.passed")),
    ]
    assert await post.after(0) == ["review.passed"] * 2  # the chief has it no more
    assert await post.after(3600 - 900) == ["review.passed"] * 2 + ["review.due"] * 2
    assert {notice.place for notice, _ in post.notifier.sent} == {"night"}


def people(*names: str) -> list[Write]:
    """Return the writes that make reviewers with an address."""
    empty: dict[str, Any] = dict.fromkeys(UserRow._fields)
    more = {"state": "active", "skills": "german", "zone": "UTC", "failures": 0, "version": 0}
    more |= {"created_by": "x", "created_at_ms": 0}
    writes: list[Write] = []
    for name in names:
        given = {**empty, **more, "name": name, "shown": name, "address": f"{name}@example.org"}
        writes.append(Insert(UserRow(**given)))
        writes.append(Insert(GrantRow(f"user:{name}", "*", "reviewer", "x", 0)))
    return writes


def to_people(**columns: Any) -> Channel:
    return Channel("people", to=("user:ann", "user:bo", "desk@example.org"), **columns)


async def test_who_is_asked_or_has_a_review_passed_to_them_is_told_and_no_other_user(
    opened: Any,
) -> None:
    chat = Channel("chat", kinds=("review.opened", "review.asked", "review.passed"))
    post = await opened(to_people(kinds=("review.asked", "review.passed")), chat)
    await post.store.commit([*people("ann", "bo", "cy"), Insert(review())])
    desk, row = Desk(post.store, post.clock), review()
    await post.after(0)
    await desk.ask(row.id, "Whose hand is it?", by="ann", to="bo")
    asked_of = await post.after(0)
    sent = [(notice.kind, address) for notice, address in post.notifier.sent]
    await desk.answer(row.id, "Mine.", by="bo")
    await desk.pass_on(row.id, by="ann", person="cy")
    await post.after(0)
    later = [(notice.kind, address) for notice, address in post.notifier.sent[len(sent) :]]

    assert asked_of[0] == "review.opened"
    assert sorted(sent[1:]) == [
        ("review.asked", ""),
        ("review.asked", "bo@example.org"),
        ("review.asked", "desk@example.org"),
    ]
    assert sorted(later) == [("review.passed", ""), ("review.passed", "desk@example.org")]
    assert {notice.place for notice, _ in post.notifier.sent} == {QUEUE}
    assert "hand" not in str(post.notifier.sent) + str(await notices(post.store))


async def test_a_question_that_was_answered_and_a_review_that_went_on_are_not_told_any_more(
    opened: Any,
) -> None:
    post = await opened(to_people(kinds=("review.asked", "review.passed"), quiet="00:00-12:00 UTC"))
    await post.store.commit([*people("ann", "bo"), Insert(review())])
    desk, row = Desk(post.store, post.clock), review()
    await desk.ask(row.id, "Why?", by="ann", to="bo")
    await desk.answer(row.id, "So.", by="bo")
    await desk.pass_on(row.id, by="ann", person="bo")
    await desk.release(row.id, by="bo")
    kept = sorted((one.kind, one.address) for one in await notices(post.store))

    assert kept == [
        (kind, address)
        for kind in ("review.asked", "review.passed")
        for address in ("desk@example.org", "user:bo")
    ]
    assert await post.after(86_400) == []


async def test_a_channel_that_takes_nothing_is_a_fault_until_it_takes_something(
    opened: Any,
) -> None:
    post = await opened(Channel("mail", to=("ops@example.org",), kinds=("alarm.raised",)))
    sender = post.sender()
    await post.store.commit([Insert(alarm(1)), Insert(alarm(2))])
    post.notifier.failures = [
        Unavailable("mail.example.org gave no answer"),
        InvalidInput("no address"),
    ]
    await sender.turn()
    met = sender.stats()
    await post.store.commit([Insert(alarm(3))])
    await sender.turn()

    assert (met.failed, dict(met.faults)) == (
        2,
        {"mail": "unavailable: mail.example.org gave no answer"},
    )
    assert (sender.stats().sent, dict(sender.stats().faults)) == (1, {})


async def test_a_database_that_is_away_is_told_as_what_keeps_notices(opened: Any) -> None:
    post = await opened()
    sender = post.sender(poll_s=0.01)
    await post.store.close()
    running = asyncio.create_task(sender.run())
    for _ in range(20):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert set(sender.stats().faults) == {"store"}


def test_every_kind_has_words() -> None:
    from opsrail.values.notices import WORDS

    assert set(WORDS) == set(KINDS)
