"""Where reviews go: to who is asked, to other desks, up their chain, and to their default."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic_core import from_json

from opsrail import Escalation, Expiry, Queue
from opsrail.errors import AlreadyRuled, Conflict, Denied, InvalidInput
from opsrail.review.clockwork import Clockwork
from opsrail.review.desk import Desk
from opsrail.review.labels import Sampled
from opsrail.review.moving import PASSED_LEASE_MS
from opsrail.store.memory import MemoryStore
from opsrail.values.access import GrantRow, UserRow
from opsrail.values.cases import InboxRow
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.reviews import ReviewState
from opsrail.values.rows import Append, Insert, Update, Write
from tests.unit.review.conftest import Time

PLAIN = Queue("desk")
CHAIN = Queue(
    "desk",
    escalate=[Escalation("2h", "seniors"), Escalation("4h", "heads")],
    expire=Expiry("1d", "decline"),
    verdicts=("approve", "decline"),
)


def user(name: str, skills: str) -> UserRow:
    empty = dict.fromkeys(UserRow._fields)
    given: dict[str, Any] = {
        "name": name,
        "shown": name,
        "state": "active",
        "skills": skills,
        "zone": "UTC",
    }
    numbers = {"failures": 0, "created_by": "x", "created_at_ms": 0, "version": 0}
    return UserRow(**{**empty, **given, **numbers})


async def test_who_is_asked_answers_and_the_review_is_the_askers_again(
    desk: Desk, opened: Any
) -> None:
    await opened(PLAIN, requester="user:req")
    await desk.claim("case-0", "ann")
    asked = await desk.ask("case-0", "Where is page 2?", by="ann")
    with pytest.raises(AlreadyRuled, match="waits for an answer of user:req"):
        await desk.rule("case-0", "decline", by="ann")
    with pytest.raises(Denied):
        await desk.answer("case-0", "there", by="ann")
    back = await desk.answer("case-0", "there", by="user:req")
    with pytest.raises(AlreadyRuled, match="waits for no answer: it is claimed"):
        await desk.answer("case-0", "there", by="user:req")
    events = [(event.kind, from_json(event.content)) for event in await desk.history("case-0")]

    assert (asked.state, asked.assignee) == (ReviewState.ASKED, "user:req")
    assert (back.state, back.assignee) == (ReviewState.CLAIMED, "ann")
    assert events[1:] == [
        ("asked", {"question": "Where is page 2?", "to": "user:req", "queue": "desk"}),
        ("answered", {"answer": "there"}),
    ]
    assert (await desk.rule("case-0", "decline", by="ann")).ruling == "decline"


async def test_a_question_needs_words_and_somebody_to_answer(desk: Desk, opened: Any) -> None:
    await opened(PLAIN)
    with pytest.raises(InvalidInput) as refused:
        await desk.ask("case-0", " ", by="ann", to="")
    with pytest.raises(Conflict, match="say whom to ask"):
        await desk.ask("case-0", "why?", by="ann")
    with pytest.raises(Denied, match="another must answer"):
        await desk.ask("case-0", "why?", by="ann", to="ann")

    assert [fault.place for fault in refused.value.faults] == ["question", "to"]


async def test_a_review_is_passed_to_a_queue_or_to_a_person_who_has_it_for_a_day(
    desk: Desk, opened: Any, time: Time
) -> None:
    await opened(PLAIN)
    with pytest.raises(InvalidInput):
        await desk.pass_on("case-0", by="ann")
    moved = await desk.pass_on("case-0", by="ann", queue="seniors")
    given = await desk.pass_on("case-0", by="ann", person="bob", reason="you know this one")
    assert await desk.next("cy") is None
    mine = await desk.next("bob")
    assert mine is not None
    assert mine.claimed_at_ms is not None  # from now on he is at it
    await desk.pass_on("case-0", by="bob", person="dee")
    time.seconds = PASSED_LEASE_MS / 1000
    late = await desk.next("cy")

    assert (moved.queue, moved.state) == ("seniors", ReviewState.OPEN)
    assert (given.assignee, given.claimed_at_ms) == ("bob", None)
    assert late is not None


async def test_a_skill_that_is_asked_for_is_had_by_who_gets_it(
    desk: Desk, opened: Any, store: MemoryStore
) -> None:
    await store.commit([Insert(user("ann", "german")), Insert(user("bob", "french"))])
    await opened(Queue("desk", skills=("german",)))
    with pytest.raises(Denied, match="asks for german, which user:bob lacks"):
        await desk.claim("case-0", "user:bob")
    assert await desk.next("user:bob") is None
    assert await desk.next("nobody-known") is None
    got = await desk.next("user:ann")

    assert got is not None
    assert await desk.next("nobody-known", skills=("german",)) is None  # she holds it


async def test_skills_that_somebody_claims_and_lacks_get_no_work_and_make_none(
    desk: Desk, opened: Any, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.commit([Insert(user("bob", "english"))])
    for number in range(30):
        await opened(Queue("desk", skills=("german",)), f"case-{number}")
    await opened(Queue("desk", skills=("english",)), "other-0", priority=9)
    asked = []
    select = store.select

    async def counted(*what: Any, **how: Any) -> Any:
        asked.append(what)
        return await select(*what, **how)

    monkeypatch.setattr(store, "select", counted)
    got = await desk.next("user:bob", skills=("german", "english"))

    assert got is not None
    assert got.id == "other-0"
    assert len(asked) <= 20


async def test_a_review_climbs_its_chain_and_expires_into_its_default(
    desk: Desk, opened: Any, store: MemoryStore, clockwork: Clockwork, time: Time
) -> None:
    await opened(CHAIN, labels=Sampled({"fraud": {"decline": 1}}).text())
    seen = []
    for hours in (1.9, 2, 4, 23.9, 24):
        time.seconds = hours * 3600
        await clockwork.turn()
        row = await desk.get("case-0")
        seen.append((row.queue, row.level, str(row.state)))
    (arrived,) = await store.select(InboxRow)

    assert seen == [
        ("desk", 0, "open"),
        ("seniors", 1, "open"),
        ("heads", 2, "open"),
        ("heads", 2, "open"),
        ("heads", 2, "ruled"),
    ]
    payload = from_json(arrived.payload)
    assert (payload["verdict"], payload["ruled_by"]) == ("decline", "expiry")
    assert await store.select(OutcomeRow) == []  # nobody looked, so nothing was learned
    kinds = [event.kind for event in await desk.history("case-0")]
    assert kinds == ["escalated", "escalated", "expired"]


async def test_whoever_is_at_it_may_finish_before_it_escalates(
    desk: Desk, opened: Any, clockwork: Clockwork, time: Time
) -> None:
    await opened(CHAIN)
    time.seconds = 2 * 3600 - 60
    await desk.claim("case-0", "ann")
    time.seconds = 2 * 3600
    await clockwork.turn()
    held = await desk.get("case-0")
    time.seconds += 15 * 60
    await clockwork.turn()
    moved = await desk.get("case-0")

    assert (held.assignee, held.queue) == ("ann", "desk")
    assert (moved.assignee, moved.queue) == (None, "seniors")


async def test_a_chain_has_an_end(desk: Desk, opened: Any) -> None:
    await opened(CHAIN)
    up = [await desk.escalate("case-0", by="ann", reason="too large") for _ in range(2)]
    with pytest.raises(Conflict, match="escalates no further"):
        await desk.escalate("case-0", by="ann")

    assert [row.queue for row in up] == ["seniors", "heads"]


async def test_a_sign_of_life_renews_a_lease_and_gets_in_nobodys_way(
    desk: Desk, opened: Any, time: Time
) -> None:
    await opened(Queue("desk", lease="1m"))
    held = await desk.claim("case-0", "ann")
    time.seconds = 59
    beat = await desk.heartbeat("case-0", "ann")
    with pytest.raises(AlreadyRuled):
        await desk.heartbeat("case-0", "bob")
    time.seconds = 59 + 60
    with pytest.raises(AlreadyRuled, match="not held by ann"):
        await desk.heartbeat("case-0", "ann")

    assert beat.version == held.version
    assert (beat.lease_until_ms or 0) - (held.lease_until_ms or 0) == 59_000


async def test_queues_tell_what_waits_what_is_late_and_how_old_it_is(
    desk: Desk, opened: Any, time: Time
) -> None:
    due = Queue("desk", due="1h")
    first = await opened(due, "a-0")
    time.seconds = 3600
    await opened(due, "b-0")
    await opened(Queue("other"), "c-0")
    await desk.claim("b-0", "ann")
    counted = {one.queue: one for one in await desk.queues()}

    assert counted["desk"] == ("desk", 2, 1, 1, first.opened_at_ms)
    assert counted["other"].waiting == 1
    assert await desk.queues(automations=["none"]) == []


async def test_pages_of_reviews_adjoin(desk: Desk, opened: Any) -> None:
    for number in range(7):
        await opened(PLAIN, f"c{number}-0", priority=(5, 1, 5, 0, 9, 5, 1)[number])
    waits: list[str] = []
    while page := await desk.page(after=waits[-1] if waits else None, limit=2):
        waits += [row.id for row in page]
    for number in range(3):
        await desk.rule(f"c{number}-0", "decline", by="ann")
    ruled = await desk.page(state="ruled", mine="ann", limit=2)
    rest = await desk.page(state="ruled", after=ruled[-1].id, limit=2)

    assert waits == [f"c{number}-0" for number in (3, 1, 6, 0, 2, 5, 4)]
    assert [row.id for row in ruled + rest] == ["c2-0", "c1-0", "c0-0"]
    assert await desk.page(queue="nowhere") == []


async def test_nothing_starves_behind_what_its_reviewers_may_not_have(
    desk: Desk, opened: Any, time: Time
) -> None:
    german = Queue("desk", due="1h", skills=["german"])
    for number in range(20):
        await opened(german, f"german{number:02d}-0")
    time.seconds = 1
    await opened(Queue("desk", due="1h"), "old-0", priority=9)
    time.seconds = 2 * 3600
    await opened(Queue("desk", due="1h"), "new-0", priority=0)
    got = await desk.next("ann")

    assert got is not None
    assert got.id == "old-0"


async def test_nothing_starves_behind_what_one_has_ruled_on_first(
    desk: Desk, opened: Any, time: Time
) -> None:
    for number in range(17):
        await opened(Queue("desk", eyes=2), f"first{number:02d}-0")
        await desk.rule(f"first{number:02d}-0", "decline", by="ann")
    time.seconds = 1
    await opened(Queue("desk"), "old-0", priority=9)
    time.seconds = 25 * 3600
    await opened(Queue("desk"), "new-0", priority=0)
    got = await desk.next("ann")

    assert got is not None
    assert got.id == "old-0"


async def test_of_many_whose_reviewers_vanished_the_overdue_one_is_next(
    desk: Desk, opened: Any, time: Time
) -> None:
    await opened(Queue("desk", due="1s"), "old-0", priority=9)
    await desk.claim("old-0", "bob")
    for number in range(17):
        await opened(Queue("desk", due="4h"), f"other{number:02d}-0", priority=0)
        await desk.claim(f"other{number:02d}-0", "bob")
    time.seconds = 3600
    got = await desk.next("ann")

    assert got is not None
    assert got.id == "old-0"


async def test_a_lease_that_is_renewed_at_the_last_moment_is_not_taken_over(
    desk: Desk, opened: Any, store: MemoryStore, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened(PLAIN)
    await desk.claim("case-0", "ann", lease_ms=1000)
    commit, renewing = store.commit, asyncio.Event()

    async def commits(writes: Sequence[Write]) -> None:
        if any(
            isinstance(one, Append) for one in writes
        ):  # bob's claim; a sign of life has no ledger entry
            renewing.set()
            await alive
        else:
            await renewing.wait()
        await commit(writes)

    monkeypatch.setattr(store, "commit", commits)
    time.seconds = 0.999
    alive = asyncio.create_task(desk.heartbeat("case-0", "ann"))
    await asyncio.sleep(0)
    time.seconds = 1
    with pytest.raises(AlreadyRuled, match="a moment ago"):
        await desk.claim("case-0", "bob")
    row = await desk.get("case-0")

    assert (row.assignee, row.lease_until_ms) == ("ann", (await alive).lease_until_ms)


async def test_who_claims_more_skills_than_they_have_is_not_offered_one_after_the_other(
    desk: Desk, opened: Any, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.commit([Insert(user("ann", "motor"))])
    for number in range(30):
        await opened(Queue("desk", skills=["german"]), f"german{number:02d}-0")
    await opened(Queue("desk", skills=["motor"]), "motor-0")
    commit = store.commit
    tries: list[object] = []

    async def commits(writes: Sequence[Write]) -> None:
        tries.extend(one.key for one in writes if isinstance(one, Update))
        await commit(writes)

    monkeypatch.setattr(store, "commit", commits)
    got = await desk.next("user:ann", skills=["german", "motor"])

    assert got is not None
    assert tries == [("motor-0",)]


async def test_one_person_is_one_by_whatever_door_they_come(
    desk: Desk, store: MemoryStore, opened: Any
) -> None:
    await store.commit([Insert(user("ann", "")), Insert(user("bob", ""))])
    await opened(Queue("desk", eyes=2))
    await desk.rule("case-0", "decline", by="user:ann")
    for spelling in ("ann", " Ann", "user:ann"):
        with pytest.raises(Denied, match="user:ann has ruled"):
            await desk.rule("case-0", "decline", by=spelling)
    await desk.rule("case-0", "decline", by="bob")

    assert [ruling.by for ruling in await desk.rulings("case-0")] == ["user:ann", "user:bob"]


async def test_what_is_passed_to_a_name_is_the_users_who_bears_it(
    desk: Desk, store: MemoryStore, opened: Any
) -> None:
    await store.commit(
        [Insert(user("ann", "")), Insert(GrantRow("user:ann", "claims", "reviewer", "x", 0))]
    )
    await opened(PLAIN)
    with pytest.raises(InvalidInput, match="there is no user 'anne'"):
        await desk.pass_on("case-0", by="bob", person="anne")
    await desk.pass_on("case-0", by="bob", person="ann")

    assert [row.id for row in await desk.page(mine="user:ann")] == ["case-0"]
    assert (await desk.rule("case-0", "decline", by="user:ann")).ruled_by == "user:ann"


async def test_a_sign_of_life_shortens_nothing_that_a_person_was_given(
    desk: Desk, opened: Any
) -> None:
    row = await opened(PLAIN)
    await desk.pass_on("case-0", by="bob", person="ann")
    kept = await desk.heartbeat("case-0", "ann")

    assert kept.lease_until_ms == row.opened_at_ms + PASSED_LEASE_MS
