"""The desk: who holds a review, who may rule on it, and what a ruling leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic_core import from_json

from opsrail.cases.ending import withdrawn
from opsrail.errors import AlreadyRuled, InvalidInput, NotFound
from opsrail.review.assignment import due_ms
from opsrail.review.desk import LEASE_MS, REASON_CHARACTERS, Desk
from opsrail.review.labels import Sampled
from opsrail.store.memory import MemoryStore
from opsrail.values.cases import InboxRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.values.rows import Insert, Where
from tests.unit.review.conftest import Time


@pytest.fixture
def put(store: MemoryStore) -> Callable[..., Any]:
    async def put(review_id: str = "case-0", **columns: Any) -> ReviewRow:
        given: dict[str, Any] = {
            "id": review_id,
            "case_id": review_id.partition("-")[0],
            "automation": "claims",
            "queue": "claims-desk",
            "decision_id": "d-1",
            "subject": "{}",
            "verdict": "review",
            "state": ReviewState.OPEN,
            "priority": 5,
            "salt": "00" * 32,
            "version": 0,
            "opened_at_ms": 0,
        }
        empty = dict.fromkeys(ReviewRow._fields) | ReviewRow._field_defaults
        row = ReviewRow(**{**empty, **given, **columns})
        row = row._replace(urgent_at_ms=due_ms(row))
        await store.commit([Insert(row)])
        return row

    return put


async def test_who_claims_a_review_holds_it_and_may_claim_again(desk: Desk, put: Any) -> None:
    await put()
    held = await desk.claim("case-0", "ann")
    with pytest.raises(AlreadyRuled, match="held by ann"):
        await desk.claim("case-0", "bob")
    with pytest.raises(AlreadyRuled, match="held by ann"):
        await desk.rule("case-0", "approve", by="bob")
    renewed = await desk.claim("case-0", "ann", lease_ms=2 * LEASE_MS)

    assert (held.state, held.assignee) == (ReviewState.CLAIMED, "ann")
    assert renewed.lease_until_ms == (held.lease_until_ms or 0) + LEASE_MS


async def test_a_reviewer_who_vanishes_blocks_nobody(desk: Desk, put: Any, time: Time) -> None:
    await put()
    await desk.claim("case-0", "ann")
    time.seconds = LEASE_MS / 1000 - 0.001
    with pytest.raises(AlreadyRuled):
        await desk.claim("case-0", "bob")
    time.seconds = LEASE_MS / 1000
    taken = await desk.claim("case-0", "bob")
    with pytest.raises(AlreadyRuled, match="held by bob"):
        await desk.rule("case-0", "approve", by="ann")

    assert taken.assignee == "bob"


async def test_a_review_is_released_by_its_holder_alone(desk: Desk, put: Any) -> None:
    await put()
    await desk.claim("case-0", "ann")
    with pytest.raises(AlreadyRuled, match="not held by bob"):
        await desk.release("case-0", "bob")
    free = await desk.release("case-0", "ann")
    with pytest.raises(AlreadyRuled, match="not held by ann"):
        await desk.release("case-0", "ann")

    assert (free.state, free.assignee, free.lease_until_ms) == (ReviewState.OPEN, None, None)
    assert (await desk.claim("case-0", "bob")).assignee == "bob"


@pytest.mark.parametrize("deed", ["claim", "rule"])
async def test_of_two_people_at_once_one_wins(
    desk: Desk, put: Any, store: MemoryStore, deed: str
) -> None:
    await put()

    async def act(by: str) -> ReviewRow:
        if deed == "claim":
            return await desk.claim("case-0", by)
        return await desk.rule("case-0", "approve", by=by)

    results = await asyncio.gather(act("ann"), act("bob"), return_exceptions=True)
    lost = [result for result in results if isinstance(result, AlreadyRuled)]

    assert len(lost) == 1
    assert (await desk.get("case-0")).assignee in ("ann", "bob")
    assert len(await store.select(InboxRow)) == (deed == "rule")


async def test_a_ruling_wakes_its_case_and_stands_in_the_ledger_without_its_reason(
    desk: Desk, put: Any, store: MemoryStore
) -> None:
    await put(verdict="approve")
    ruled = await desk.rule("case-0", "decline", by="ann", reason="the receipt is forged")
    (arrived,) = await store.select(InboxRow)
    (noted,) = await store.select(LedgerEntryRow)
    ruling = from_json(arrived.payload)

    assert (ruled.state, ruled.ruling, ruled.ruled_by) == (ReviewState.RULED, "decline", "ann")
    assert (arrived.case_id, arrived.topic) == ("case", "review:case-0")
    assert (ruling["verdict"], ruling["is_override"]) == ("decline", True)
    assert (noted.kind, noted.subject_id) == ("review.ruled", "case-0")
    assert "forged" not in noted.body
    with pytest.raises(AlreadyRuled, match="ruled 'decline' by ann"):
        await desk.rule("case-0", "approve", by="bob", reason="no")


@pytest.mark.parametrize(
    ("policy", "verdict", "reason", "places"),
    [
        ("approve", "decline", "", ["reason"]),
        ("approve", "decline", "  ", ["reason"]),
        ("review", "", "", ["verdict"]),
        ("review", "review", "", ["verdict"]),
        ("review", "v" * 65, "", ["verdict"]),
        ("review", "approve", "r" * (REASON_CHARACTERS + 1), ["reason"]),
        ("approve", "", "", ["verdict", "reason"]),
    ],
)
async def test_an_unsound_ruling_is_refused_with_every_fault(
    desk: Desk,
    put: Any,
    store: MemoryStore,
    policy: str,
    verdict: str,
    reason: str,
    places: list[str],
) -> None:
    await put(verdict=policy)
    with pytest.raises(InvalidInput) as refused:
        await desk.rule("case-0", verdict, by="ann", reason=reason)

    assert [fault.place for fault in refused.value.faults] == places
    assert (await desk.get("case-0")).state == ReviewState.OPEN
    assert await store.select(InboxRow) == []


@pytest.mark.parametrize(
    ("policy", "verdict"), [("approve", "approve"), ("review", "decline"), (None, "decline")]
)
async def test_a_ruling_that_overrides_nothing_needs_no_reason(
    desk: Desk, put: Any, store: MemoryStore, policy: str | None, verdict: str
) -> None:
    await put(verdict=policy)
    await desk.rule("case-0", verdict, by="ann")
    (arrived,) = await store.select(InboxRow)

    assert from_json(arrived.payload)["is_override"] is False


async def test_what_was_withdrawn_can_neither_be_claimed_nor_ruled(
    desk: Desk, put: Any, store: MemoryStore
) -> None:
    row = await put()
    await store.commit(withdrawn(row, 1))
    for wish in (desk.claim("case-0", "ann"), desk.rule("case-0", "approve", by="ann")):
        with pytest.raises(AlreadyRuled, match="its case case ended without it"):
            await wish

    assert await desk.waiting() == []


async def test_a_ruling_loses_against_a_withdrawal_that_came_first(
    desk: Desk, put: Any, store: MemoryStore
) -> None:
    row = await put()
    results = await asyncio.gather(
        store.commit(withdrawn(row, 1)),
        desk.rule("case-0", "approve", by="ann"),
        return_exceptions=True,
    )

    assert isinstance(results[1], AlreadyRuled)
    assert await store.select(InboxRow) == []


async def test_a_queue_is_worked_off_by_urgency_then_age(desk: Desk, put: Any) -> None:
    await put("a-0", opened_at_ms=2)
    await put("b-0", opened_at_ms=1)
    await put("c-0", opened_at_ms=3, priority=1)
    await put("d-0", queue="other")
    await desk.rule((await put("e-0")).id, "approve", by="ann")

    assert [row.id for row in await desk.waiting("claims-desk")] == ["c-0", "b-0", "a-0"]
    assert [row.id for row in await desk.waiting("claims-desk", limit=1)] == ["c-0"]
    assert len(await desk.waiting()) == 4


async def test_a_review_that_is_not_there_is_not_found(desk: Desk) -> None:
    for wish in (
        desk.get("x"),
        desk.claim("x", "ann"),
        desk.release("x", "ann"),
        desk.rule("x", "approve", by="ann"),
    ):
        with pytest.raises(NotFound):
            await wish


async def test_a_reason_is_found_again_by_its_commitment(
    desk: Desk, put: Any, store: MemoryStore
) -> None:
    await put("a-0", salt="11" * 32)
    await put("b-0", salt="22" * 32)
    for review_id in ("a-0", "b-0"):
        await desk.rule(review_id, "approve", by="ann", reason="fine")
    bodies = [
        from_json(row.body)
        for row in await store.select(LedgerEntryRow, Where("kind", "=", "review.ruled"))
    ]

    assert (
        len(
            {
                body["fields"]["commitment"] if "fields" in body else body["commitment"]
                for body in bodies
            }
        )
        == 2
    )


async def test_a_ruling_and_what_it_tells_are_one_commit_with_a_ledger_entry(
    desk: Desk, put: Any, store: MemoryStore
) -> None:
    await put(labels=Sampled({"fraud": {"decline": 1, "approve": 0}}, 0.05).text())
    rulings = await asyncio.gather(
        desk.rule("case-0", "decline", by="ann", reason="forged"),
        desk.rule("case-0", "approve", by="bob"),
        return_exceptions=True,
    )

    (row,) = await store.select(OutcomeRow)
    (noted,) = await store.select(LedgerEntryRow, Where("kind", "=", "outcome.recorded"))
    ruled = await desk.get("case-0")
    assert sum(isinstance(one, AlreadyRuled) for one in rulings) == 1
    assert (row.decision_id, row.by, row.source, row.ratio) == (
        "d-1",
        ruled.ruled_by,
        "audit",
        0.05,
    )
    assert row.value == (1.0 if ruled.ruling == "decline" else 0.0)
    body = from_json(noted.body)
    assert (body["outcome"], body["subject_id"], body["value"]) == (row.id, "d-1", row.value)
    assert row.known_at_ms == ruled.ruled_at_ms


async def test_half_a_character_is_refused_as_any_other_fault(desk: Desk, put: Any) -> None:
    """A command line that is no UTF-8 gives such texts."""
    await put()
    half = b"\xff".decode(errors="surrogateescape")
    with pytest.raises(InvalidInput, match="not valid UTF-8"):
        await desk.rule("case-0", "approve", by="ann", reason=half)
    with pytest.raises(InvalidInput, match="not valid UTF-8"):
        await desk.ask("case-0", half, by="ann", to="bob")
    row = await desk.get("case-0")

    assert (row.state, row.version) == (ReviewState.OPEN, 0)
