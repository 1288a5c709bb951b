"""Outcomes: what is accepted, what stands beside each, what holds, and that a key writes once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from math import inf, nan
from typing import Any

import pytest
from pydantic_core import from_json

from opsrail.decide.outcomes import CLOCKS_APART_MS, Outcomes, Told, record_of, standing
from opsrail.errors import InvalidInput, KeyReused, NotFound
from opsrail.ledger.book import entries_about
from opsrail.ledger.chain import WriterChain
from opsrail.store.memory import MemoryStore
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.rows import Insert
from tests.support import history
from tests.support.decisions import StillClock

ID = "01K8ZC2V7N3T9D4M6Q0RWXYABC"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def store(clock: StillClock) -> AsyncIterator[MemoryStore]:
    store = MemoryStore(WriterChain(clock), clock=clock)
    await store.open()
    row = history.row(history.decision(1, id=ID, at_ms=1_000))
    await store.commit([Insert(row)])
    yield store
    await store.close()


@pytest.fixture
def outcomes(store: MemoryStore, clock: StillClock) -> Outcomes:
    return Outcomes(store, clock)


async def test_an_outcome_is_read_back_as_it_was_told(
    outcomes: Outcomes, clock: StillClock
) -> None:
    row = await outcomes.record(
        ID, "fraud", True, source="audit", by="desk", ratio=0.05, known_at_ms=5_000
    )

    assert await outcomes.of(ID) == [row]
    assert row == OutcomeRow(row.id, ID, "fraud", 1.0, "audit", 0.05, "desk", 5_000, clock.now_ms())
    assert record_of(row)["known_at"] == "1970-01-01T00:00:05.000Z"


async def test_the_ledger_tells_of_an_outcome_under_its_decision(
    outcomes: Outcomes, store: MemoryStore
) -> None:
    row = await outcomes.record(ID, "fraud", 0, source="late", by="bank")

    (entry,) = await entries_about(store, ID)
    body = from_json(entry.body)
    assert (entry.kind, body["outcome"], body["value"]) == ("outcome.recorded", row.id, 0)
    assert (body["source"], body["by"], body["ratio"]) == ("late", "bank", 1)


async def test_a_correction_is_a_later_row_and_the_later_row_holds(outcomes: Outcomes) -> None:
    first = await outcomes.record(ID, "fraud", 1, source="review", by="ann")
    hours = await outcomes.record(ID, "resolution-hours", 3.5, source="late", by="desk")
    second = await outcomes.record(ID, "fraud", 0, source="review", by="ben")

    rows = await outcomes.of(ID)
    assert rows == [first, hours, second]
    assert standing(rows) == {"fraud": second, "resolution-hours": hours}
    assert standing(rows[::-1]) == standing(rows)


async def test_what_was_written_last_is_listed_first(outcomes: Outcomes) -> None:
    first = await outcomes.record(ID, "fraud", 1, source="review", by="ann")
    second = await outcomes.record(ID, "paid", 1, source="late", by="ben")

    assert await outcomes.newest() == [second, first]
    assert await outcomes.newest(source="review") == [first]
    assert await outcomes.newest(name="paid", decision_id=ID) == [second]
    assert await outcomes.newest(decision_id="other") == []
    assert await outcomes.newest(limit=1) == [second]


async def test_all_faults_are_told_at_once_and_nothing_is_written(
    outcomes: Outcomes, store: MemoryStore
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await outcomes.record(
            ID, "Fraud!", nan, source="rumour", by=" ", ratio=0.0, known_at_ms=999
        )

    places = [fault.place for fault in refused.value.faults]
    assert places == ["name", "value", "source", "ratio", "by", "known_at_ms"]
    assert await outcomes.of(ID) == []
    assert await entries_about(store, ID) == []


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"value": inf}, "value"),
        ({"value": "1"}, "value"),
        ({"ratio": 1.01}, "ratio"),
        ({"ratio": nan}, "ratio"),
        ({"ratio": -0.1}, "ratio"),
        ({"by": "a\nb"}, "by"),
        ({"by": "x" * 201}, "by"),
        ({"name": "x" * 64}, "name"),
        ({"name": "fraud\n"}, "name"),
        ({"known_at_ms": 10**18}, "known_at_ms"),
    ],
)
async def test_one_fault_refuses_the_outcome(
    outcomes: Outcomes, wrong: dict[str, Any], place: str
) -> None:
    good: dict[str, Any] = {"name": "fraud", "value": 1, "source": "late", "by": "ann"}
    with pytest.raises(InvalidInput) as refused:
        await outcomes.record(ID, **(good | wrong))

    assert [fault.place for fault in refused.value.faults] == [place]


async def test_a_moment_a_little_ahead_is_a_clock_that_differs(
    outcomes: Outcomes, clock: StillClock
) -> None:
    ahead_ms = clock.now_ms() + CLOCKS_APART_MS
    row = await outcomes.record(ID, "fraud", 1, source="late", by="ann", known_at_ms=ahead_ms)

    assert row.known_at_ms == ahead_ms
    with pytest.raises(InvalidInput, match="has not come yet"):
        await outcomes.record(ID, "fraud", 1, source="late", by="a", known_at_ms=ahead_ms + 1)


async def test_of_a_decision_that_nobody_made_nothing_is_written(outcomes: Outcomes) -> None:
    with pytest.raises(NotFound, match="no decision 'nothing'"):
        await outcomes.record("nothing", "fraud", 1, source="late", by="ann")

    assert await outcomes.newest() == []


async def test_the_same_key_writes_once_also_when_asked_at_the_same_time(
    outcomes: Outcomes, clock: StillClock
) -> None:
    async def told(scope: str = "ann", value: int = 1) -> tuple[OutcomeRow, bool]:
        clock.at_s += 1
        return await outcomes.record_once(Told(ID, "fraud", value, "late", "bank"), scope, "k-1")

    rows = await asyncio.gather(told(), told(), told())
    other, is_new = await told(scope="ben")

    assert len({row.id for row, _ in rows}) == 1
    assert sorted(is_new for _, is_new in rows) == [False, False, True]
    assert is_new
    assert await outcomes.of(ID) == [rows[0][0], other]
    with pytest.raises(KeyReused, match="came with another outcome"):
        await told(value=0)
