"""An idempotency key stands for one decision of one caller, for a stated time, whoever else asks or cleans up meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from opsrail import faults
from opsrail.decide.decider import Decider
from opsrail.decide.recorder import Recorder, Ticket
from opsrail.govern.retention import BATCH, FLOOR_DAYS, Retention
from opsrail.values.cases import KeyRow
from opsrail.values.decisions import Decision, DecisionRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.rows import Delete, Insert, equals
from tests.support.decisions import Claim, Road, fraud_point, request

TTL_S = 3_600
SCOPE = "decision:fraud-risk:tester"


@pytest.fixture
async def short() -> AsyncIterator[Road]:
    """A road on which keys stand for an hour."""
    road = Road(idempotency_ttl_s=TTL_S)
    await road.store.open()
    await road.live()
    yield road
    road.decider.close()
    await road.store.close()


async def asked(decider: Decider, key: str | None = "k1", **how: Any) -> Decision:
    return await decider.decide(request(fraud_point(), idempotency_key=key, **how))


async def test_a_repeated_answer_is_known_as_one_and_has_the_bytes_of_the_record(
    short: Road,
) -> None:
    first, again = await asked(short.decider), await asked(short.decider)
    row = await short.store.get(DecisionRow, first.id)

    assert row is not None
    assert (first.is_repeat, again.is_repeat) == (False, True)
    assert again.written() == first.written() == row.record.encode()


async def test_two_callers_with_the_same_key_never_meet(short: Road) -> None:
    one = await asked(short.decider, actor="http:one")
    other = await short.decider.decide(
        request(fraud_point(), Claim(age=41), idempotency_key="k1", actor="http:other")
    )

    assert one.id != other.id
    assert not other.is_repeat


async def test_an_expired_key_is_new_and_may_come_with_another_body(short: Road) -> None:
    first = await asked(short.decider)
    short.clock.at_s += TTL_S - 0.001
    in_time = await asked(short.decider)
    short.clock.at_s += 0.001
    later = await short.decider.decide(request(fraud_point(), Claim(age=41), idempotency_key="k1"))
    again = await short.decider.decide(request(fraud_point(), Claim(age=41), idempotency_key="k1"))
    key = await short.store.get(KeyRow, SCOPE, "k1")

    assert (in_time.id, again.id) == (first.id, later.id)
    assert later.id != first.id
    assert key is not None
    assert key.subject_id == later.id


async def test_of_several_processes_that_find_a_key_expired_one_decides(short: Road) -> None:
    await asked(short.decider)
    short.clock.at_s += TTL_S
    others = [
        Decider(short.store, short.registry, short.features, short.clock, idempotency_ttl_s=TTL_S)
        for _ in range(4)
    ]
    answers = await asyncio.gather(*(asked(other) for other in others))
    for other in others:
        other.close()

    assert len({answer.id for answer in answers}) == 1
    assert sum(not answer.is_repeat for answer in answers) == 1
    assert await short.store.count(DecisionRow) == {(): 2}


async def test_a_key_that_is_cleaned_up_while_its_request_is_decided_does_no_harm(
    short: Road,
) -> None:
    first = await asked(short.decider)
    short.clock.at_s += TTL_S
    recorder = Recorder(short.store, short.clock, TTL_S)
    ticket = Ticket(SCOPE, "k1", "another body")
    async with recorder.once(ticket) as earlier:
        await short.store.commit([Delete(KeyRow, {"scope": SCOPE})])
        made = await recorder.record(replace(first, id="0" * 26), ticket, None)
    key = await short.store.get(KeyRow, SCOPE, "k1")

    assert earlier is None
    assert key is not None
    assert (made.id, key.subject_id) == ("0" * 26, "0" * 26)


async def test_cleaning_up_takes_expired_keys_of_decisions_and_nothing_else(short: Road) -> None:
    for number in range(BATCH + 5):
        await asked(short.decider, f"k{number:04}")
    of_a_case = KeyRow("case:claims:http:local", "k", "d", "subject", 0)
    await short.store.commit([Insert(of_a_case)])
    short.clock.at_s += TTL_S
    await asked(short.decider, "k0003")  # is new work by now
    await asked(short.decider, "young")
    keeper = Retention(short.store, short.clock, TTL_S)
    pruned = await keeper.prune(FLOOR_DAYS, by="ann")
    left = await short.store.select(KeyRow)
    entries = await short.store.select(LedgerEntryRow, *equals(kind="keys.expired"))
    again = await asked(short.decider, "k0007")

    assert pruned.keys == BATCH + 4
    assert {row.key for row in left} == {"k", "k0003", "young"}
    assert len(entries) == 2
    assert not again.is_repeat


async def test_cleaning_up_that_was_killed_is_completed_by_the_next(short: Road) -> None:
    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    for number in range(BATCH + 5):
        await asked(short.decider, f"k{number:04}")
    short.clock.at_s += TTL_S
    keeper = Retention(short.store, short.clock, TTL_S)
    with faults.armed("retention.expired", kill), pytest.raises(Killed):
        await keeper.prune(FLOOR_DAYS, by="ann")
    pruned = await keeper.prune(FLOOR_DAYS, by="ann")

    assert pruned.keys == 5
    assert await short.store.count(KeyRow) == {(): 0}
    assert await short.store.count(DecisionRow) == {(): BATCH + 5}
