"""How queues let people rule: blind first, four eyes, undo, forms, several at once."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import from_json

from opsrail import Escalation, Queue
from opsrail.cases.ending import withdrawn
from opsrail.errors import AlreadyRuled, Denied, InvalidInput
from opsrail.review.clockwork import Clockwork
from opsrail.review.desk import Desk
from opsrail.review.labels import Sampled
from opsrail.review.showing import event_record, record_of
from opsrail.store.memory import MemoryStore
from opsrail.values.cases import InboxRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.reviews import ReviewRow, ReviewState, RulingRow
from opsrail.values.rows import Where
from tests.unit.review.conftest import Time

PLAIN = Queue("desk")
UNDO = Queue("desk", undo="10s")
BLIND = Queue("desk", blind=True, undo="10s", verdicts=("approve", "decline"))
FOUR = Queue("desk", eyes=2, escalate=[Escalation("2h", "seniors")])


class Correction(BaseModel):
    amount_usd: Decimal


async def shown(desk: Desk, row: ReviewRow, viewer: str | None) -> dict[str, Any]:
    row = await desk.get(row.id)
    seen = await desk.sees([row], viewer)
    return record_of(row, sees=row.id in seen, now_ms=row.opened_at_ms, viewer=viewer)


async def test_a_held_ruling_may_be_taken_back_and_else_goes_to_its_case_once(
    desk: Desk, opened: Any, store: MemoryStore, clockwork: Clockwork, time: Time
) -> None:
    await opened(UNDO, labels=Sampled({"fraud": {"approve": 0}}).text())
    await desk.rule("case-0", "decline", by="ann")
    back = await desk.undo("case-0", by="ann")
    await desk.rule("case-0", "approve", by="ann", reason="it is fine")
    time.seconds = 9.999
    await clockwork.turn()
    early = await store.select(InboxRow) + await store.select(OutcomeRow)
    time.seconds = 10
    for _ in range(2):
        await clockwork.turn()
    (arrived,) = await store.select(InboxRow)
    done = await desk.get("case-0")

    assert (back.state, back.assignee, back.ruling) == (ReviewState.CLAIMED, "ann", None)
    assert early == []
    assert from_json(arrived.payload)["verdict"] == "approve"
    assert (done.wake_at_ms, done.delivered_at_ms) == (None, (done.ruled_at_ms or 0) + 10_000)
    assert len(await store.select(OutcomeRow)) == 1
    with pytest.raises(AlreadyRuled, match="was ruled 'approve' by ann"):
        await desk.undo("case-0", by="ann")
    events = await desk.history("case-0")
    assert [event.kind for event in events] == ["ruled", "undone", "ruled", "delivered"]
    kinds = [entry.kind for entry in await store.select(LedgerEntryRow, order=("seq",))]
    assert [kind for kind in kinds if kind.startswith("review.")] == [
        *("review.ruled", "review.undone", "review.ruled", "review.delivered")
    ]


async def test_only_who_ruled_takes_it_back_and_meanwhile_nobody_rules(
    desk: Desk, opened: Any
) -> None:
    await opened(UNDO)
    await desk.rule("case-0", "decline", by="ann")
    with pytest.raises(Denied):
        await desk.undo("case-0", by="bob")
    for wish in (desk.rule("case-0", "approve", by="bob"), desk.claim("case-0", "ann")):
        with pytest.raises(AlreadyRuled, match="may take that back"):
            await wish


async def test_a_case_that_is_cancelled_takes_its_held_ruling_along(
    desk: Desk, opened: Any, store: MemoryStore, clockwork: Clockwork, time: Time
) -> None:
    await opened(UNDO)
    held = await desk.rule("case-0", "decline", by="ann")
    await store.commit(withdrawn(held, 1))
    time.seconds = 60
    await clockwork.turn()

    assert await store.select(InboxRow) == []
    assert (await desk.get("case-0")).state == ReviewState.WITHDRAWN


async def test_in_a_blind_queue_nobody_sees_the_score_before_they_said_theirs(
    desk: Desk, opened: Any, store: MemoryStore
) -> None:
    row = await opened(BLIND)
    await desk.claim(row.id, "ann")
    before = await shown(desk, row, "ann")
    await desk.say(row.id, "approve", by="ann")
    after, other = await shown(desk, row, "ann"), await shown(desk, row, "bob")
    with pytest.raises(AlreadyRuled, match="said what they think"):
        await desk.say(row.id, "decline", by="ann")
    await desk.rule(row.id, "decline", by="ann")
    (said,) = await store.select(RulingRow)

    for hidden in (before, other, await shown(desk, row, None), await shown(desk, row, "bob")):
        assert hidden["verdict"] is hidden["subject"]["decision"]["score"] is None
        assert hidden["subject"]["decision"]["reasons"] == []
        assert hidden["ruling"] is None
        assert hidden["subject"]["input"] == {"amount": 9}
    assert after["subject"]["decision"]["score"] == 0.93
    assert (said.first, said.verdict, said.is_reconsidered) == ("approve", "decline", True)


async def test_a_ruling_without_a_word_before_is_that_word_too_even_when_it_needs_a_reason(
    desk: Desk, opened: Any, store: MemoryStore
) -> None:
    row = await opened(BLIND)
    with pytest.raises(InvalidInput, match="policy said 'decline'"):  # it learns that only now
        await desk.rule(row.id, "approve", by="ann")
    (first,) = await store.select(RulingRow)
    await desk.rule(row.id, "decline", by="ann")
    (said,) = await store.select(RulingRow)

    assert (first.first, first.verdict) == ("approve", "")
    assert (said.first, said.verdict, said.is_reconsidered) == ("approve", "decline", True)


async def test_a_ruling_may_be_reconsidered_until_it_goes_out(
    desk: Desk, opened: Any, store: MemoryStore, clockwork: Clockwork, time: Time
) -> None:
    row = await opened(BLIND)
    with pytest.raises(AlreadyRuled, match="said nothing"):
        await desk.reconsider(row.id, "decline", by="ann")
    await desk.say(row.id, "decline", by="ann")
    await desk.rule(row.id, "decline", by="ann")
    time.seconds = 5
    await desk.reconsider(row.id, "approve", by="ann", reason="the papers are right")
    time.seconds = 12
    await clockwork.turn()
    assert await store.select(InboxRow) == []  # it began anew
    time.seconds = 15
    await clockwork.turn()
    (arrived,) = await store.select(InboxRow)
    (said,) = await store.select(RulingRow)

    assert from_json(arrived.payload)["verdict"] == "approve"
    assert (said.first, said.verdict, said.is_reconsidered) == ("decline", "approve", True)
    with pytest.raises(AlreadyRuled):
        await desk.reconsider(row.id, "decline", by="ann")


async def test_who_takes_a_blind_ruling_back_keeps_the_first_word(
    desk: Desk, opened: Any, store: MemoryStore
) -> None:
    row = await opened(BLIND)
    await desk.rule(row.id, "decline", by="ann")
    await desk.undo(row.id, by="ann")
    (said,) = await store.select(RulingRow)
    again = await desk.rule(row.id, "approve", by="ann", reason="after all")

    assert (said.first, said.verdict) == ("decline", "")
    assert again.ruling == "approve"


async def test_two_different_people_must_say_the_same(
    desk: Desk, opened: Any, store: MemoryStore
) -> None:
    row = await opened(FOUR)
    once = await desk.rule(row.id, "decline", by="ann")
    with pytest.raises(Denied, match="has ruled"):
        await desk.rule(row.id, "decline", by="ann")
    with pytest.raises(Denied, match="has ruled"):
        await desk.claim(row.id, "ann")
    assert await desk.next("ann") is None
    before = [event_record(event)["content"] for event in await desk.history(row.id, viewer="bob")]
    none_yet = await store.select(InboxRow)
    got = await desk.next("bob")
    twice = await desk.rule(row.id, "decline", by="bob")

    assert (once.state, once.ruling, none_yet) == (ReviewState.OPEN, None, [])
    assert before == [{}]  # what ann said is not bob's to know
    assert got is not None
    assert (twice.state, twice.ruling) == (ReviewState.RULED, "decline")
    assert len(await store.select(InboxRow)) == 1


async def test_people_who_disagree_send_the_review_up_where_a_third_decides(
    desk: Desk, opened: Any, store: MemoryStore
) -> None:
    row = await opened(FOUR)
    await desk.rule(row.id, "decline", by="ann")
    split = await desk.rule(row.id, "approve", by="bob", reason="it is fine")
    settled = await desk.rule(row.id, "approve", by="cy", reason="bob is right")
    (arrived,) = await store.select(InboxRow)

    assert (split.state, split.queue, split.level) == (ReviewState.OPEN, "seniors", 1)
    assert (settled.ruling, settled.ruled_by) == ("approve", "cy")
    assert from_json(arrived.payload)["is_override"] is True
    assert len(await store.select(RulingRow)) == 3


async def test_the_first_of_two_may_change_their_mind_while_nobody_looks(
    desk: Desk, opened: Any
) -> None:
    row = await opened(FOUR)
    await desk.rule(row.id, "decline", by="ann")
    await desk.reconsider(row.id, "approve", by="ann", reason="I misread it")
    back = await desk.undo(row.id, by="ann")
    await desk.rule(row.id, "decline", by="ann")
    await desk.claim(row.id, "bob")
    with pytest.raises(AlreadyRuled):
        await desk.undo(row.id, by="ann")
    with pytest.raises(AlreadyRuled, match="held by bob"):
        await desk.reconsider(row.id, "approve", by="ann", reason="no")

    assert back.assignee == "ann"


async def test_a_form_is_checked_at_every_field_and_its_values_reach_the_case(
    desk: Desk, opened: Any, store: MemoryStore
) -> None:
    queue = Queue("desk", form=Correction, verdicts=("approve", "decline"))
    row = await opened(queue, values={"amount_usd": 10}, verdict="approve")
    with pytest.raises(InvalidInput) as refused:
        await desk.rule(row.id, "burn", by="ann", fields={"amount_usd": [], "x": 1})
    await desk.rule(row.id, "approve", by="ann", fields={"amount_usd": 12.5})
    (arrived,) = await store.select(InboxRow)

    assert [fault.place for fault in refused.value.faults] == [
        *("verdict", "reason", "fields.amount_usd", "fields.x")
    ]
    assert from_json(arrived.payload)["fields"] == {"amount_usd": 12.5}
    assert (await desk.get(row.id)).fields == '{"amount_usd":12.5}'


async def test_fields_left_out_are_those_that_stood_there(
    desk: Desk, opened: Any, store: MemoryStore
) -> None:
    await opened(Queue("desk", form=Correction), values={"amount_usd": 10})
    await desk.rule("case-0", "decline", by="ann")
    (arrived,) = await store.select(InboxRow)

    assert from_json(arrived.payload)["fields"] == {"amount_usd": 10}


async def test_who_handed_the_case_in_neither_holds_nor_rules_nor_gets_it_nor_says_who_does(
    desk: Desk, opened: Any
) -> None:
    await opened(Queue("desk", escalate=[Escalation("2h", "seniors")]), requester="ann")
    for wish in (
        desk.claim("case-0", "ann"),
        desk.rule("case-0", "decline", by="ann"),
        desk.pass_on("case-0", by="bob", person="ann"),
        desk.pass_on("case-0", by="ann", person="bob"),
        desk.pass_on("case-0", by="ann", queue="seniors"),
        desk.escalate("case-0", by="ann"),
        desk.release("case-0", by="ann"),
    ):
        with pytest.raises(Denied, match="handed in"):
            await wish

    assert await desk.next("ann") is None
    assert (await desk.next("bob")) is not None


async def test_alike_reviews_are_ruled_at_once_and_those_that_fail_are_named(
    desk: Desk, opened: Any, store: MemoryStore
) -> None:
    for number in range(3):
        await opened(PLAIN, f"c{number}-0", requester="ann" if number == 1 else None)
    batch = await desk.rule_alike(["c0-0", "c1-0", "c2-0"], "decline", by="ann")
    entries = await store.select(LedgerEntryRow, Where("kind", "=", "review.ruled"))

    assert [row.id for row in batch.ruled] == ["c0-0", "c2-0"]
    assert list(batch.failed) == ["c1-0"]
    assert isinstance(batch.failed["c1-0"], Denied)
    assert {entry.subject_id for entry in entries} == {"c0-0", "c2-0"}


async def test_reviews_that_are_not_alike_are_refused_with_every_fault(
    desk: Desk, opened: Any, store: MemoryStore
) -> None:
    await opened(PLAIN, "a-0")
    await opened(Queue("other"), "b-0")
    await opened(Queue("desk", form=Correction), "c-0")
    await opened(BLIND, "d-0")
    with pytest.raises(InvalidInput) as refused:
        await desk.rule_alike(["a-0", "b-0", "c-0", "d-0", "e-0", "a-0"], "decline", by="ann")
    places = [fault.place for fault in refused.value.faults]

    assert places == ["ids", "ids.1", "ids.2", "ids.3", "ids.4"]
    assert await store.select(RulingRow) == []


async def test_what_a_review_is_for_and_what_it_tells_never_leaves(desk: Desk, opened: Any) -> None:
    row = await opened(
        PLAIN, purpose="control", truth="TRUTH", labels=Sampled({"LABEL": {"x": 1}}, 0.5).text()
    )
    record = str(await shown(desk, row, "ann"))

    assert not [word for word in ("TRUTH", "LABEL", "control", row.salt) if word in record]


class Split(BaseModel):
    paid_usd: float = 0
    kept_usd: float = 0


async def test_four_eyes_agree_in_whatever_order_fields_were_filled_in(
    desk: Desk, opened: Any
) -> None:
    await opened(Queue("desk", eyes=2, form=Split), verdict="review")
    await desk.rule("case-0", "approve", by="ann", fields={"paid_usd": 1, "kept_usd": 2})
    ruled = await desk.rule("case-0", "approve", by="bob", fields={"kept_usd": 2.0, "paid_usd": 1})

    assert ruled.state == ReviewState.RULED
