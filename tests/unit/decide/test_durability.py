"""How a decision becomes durable: what the answer says is what was done, and nothing is lost in silence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from opsrail.decide.decider import Decider
from opsrail.decide.recorder import AGAIN_S
from opsrail.errors import InvalidInput, Overloaded, StoreUnavailable
from opsrail.values.decisions import DecisionRow, Durability
from opsrail.values.rows import Insert, Write
from tests.support.decisions import Claim, Road, fraud_point, request


class Watched:
    """The road's commits: held back, failed or let through, and counted."""

    def __init__(self, road: Road) -> None:
        self.sizes: list[int] = []
        self.failures = 0
        self.open = asyncio.Event()
        self.open.set()
        self._commit = road.store.commit
        road.store.commit = self.commit  # type: ignore[method-assign]

    async def commit(self, writes: Sequence[Write]) -> None:
        rows = [w for w in writes if isinstance(w, Insert) and isinstance(w.row, DecisionRow)]
        self.sizes.append(len(rows))
        await self.open.wait()
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")
        await self._commit(writes)


@pytest.fixture
async def live(road: Road) -> Road:
    """A road whose point has a live model."""
    await road.live()
    return road


async def asked(decider: Decider, durability: Durability, age: int = 40) -> str:
    point = fraud_point(durability=durability, impact="low")
    return (await decider.decide(request(point, Claim(age=age)))).durability


async def test_decisions_of_one_moment_are_one_commit_and_each_is_durable(live: Road) -> None:
    watched = Watched(live)
    async with asyncio.TaskGroup() as tasks:
        for age in range(20, 40):
            tasks.create_task(asked(live.decider, "grouped", age))

    assert sum(watched.sizes) == 20
    assert len(watched.sizes) <= 3
    assert (await live.store.count(DecisionRow))[()] == 20


async def test_a_synced_decision_is_a_commit_of_its_own(live: Road) -> None:
    watched = Watched(live)
    told = await asyncio.gather(*(asked(live.decider, "synced", age) for age in (20, 30, 40)))

    assert told == ["synced"] * 3
    assert watched.sizes == [1, 1, 1]


async def test_an_async_answer_does_not_wait_and_its_record_comes_although_the_database_was_away(
    live: Road,
) -> None:
    watched = Watched(live)
    watched.open.clear()
    watched.failures = 1

    assert await asked(live.decider, "async") == "async"
    assert (await live.store.count(DecisionRow)).get((), 0) == 0

    watched.open.set()
    async with asyncio.timeout(20 * AGAIN_S):
        while not (await live.store.count(DecisionRow)).get((), 0):  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)
    assert (await live.store.count(DecisionRow))[()] == 1
    assert watched.sizes == [1, 1]


async def test_draining_waits_for_what_was_answered_ahead_of_the_disk(live: Road) -> None:
    Watched(live)
    await asked(live.decider, "async")
    await live.decider.drain()

    assert (await live.store.count(DecisionRow))[()] == 1


async def test_a_key_makes_an_async_decision_wait(live: Road) -> None:
    point = fraud_point(durability="async", impact="low")
    decision = await live.decider.decide(request(point, idempotency_key="k"))

    assert decision.durability == "grouped"
    assert (await live.store.count(DecisionRow))[()] == 1


def test_async_is_refused_where_a_wrong_verdict_costs_much() -> None:
    with pytest.raises(InvalidInput, match="async"):
        fraud_point(durability="async", impact="high")


async def test_one_refused_decision_of_a_group_does_not_take_the_others_with_it(
    live: Road,
) -> None:
    point = fraud_point()
    facts = [Claim(age=age) for age in (20, 30, 40)]
    cases = ["a", "b\0", "c"]
    results = await asyncio.gather(
        *(
            live.decider.decide(request(point, one, case_id=case_id))
            for one, case_id in zip(facts, cases, strict=True)
        ),
        return_exceptions=True,
    )

    kinds = [type(result).__name__ for result in results]
    assert kinds == ["Decision", "InvalidInput", "Decision"]
    assert (await live.store.count(DecisionRow))[()] == 2


async def test_a_database_that_is_behind_turns_requests_away_before_a_model_is_asked() -> None:
    road = Road(most_pending=2)
    await road.store.open()
    await road.live()
    watched = Watched(road)
    watched.open.clear()
    waiting = [asyncio.create_task(asked(road.decider, "grouped", age)) for age in (20, 30)]
    async with asyncio.timeout(20):
        while road.decider._recorder.pending < 2:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.01)
    batches = len(road.runtime.batches)

    with pytest.raises(Overloaded, match="wait to be recorded") as refused:
        await asked(road.decider, "grouped", 40)

    assert refused.value.after_s
    assert len(road.runtime.batches) == batches
    watched.open.set()
    assert await asyncio.gather(*waiting) == ["grouped", "grouped"]
    assert await asked(road.decider, "grouped", 40) == "grouped"
    road.decider.close()
    await road.store.close()


async def test_a_failed_group_tells_each_of_its_callers(live: Road) -> None:
    watched = Watched(live)
    watched.failures = 1
    results = await asyncio.gather(
        *(asked(live.decider, "grouped", age) for age in (20, 30)), return_exceptions=True
    )

    assert [type(result) for result in results] == [StoreUnavailable] * 2
    assert results[0] is not results[1]


async def test_a_record_that_can_never_be_written_is_logged_and_counted(
    live: Road, caplog: pytest.LogCaptureFixture
) -> None:
    point = fraud_point(durability="async", impact="low")
    with caplog.at_level(logging.ERROR):
        decision = await live.decider.decide(request(point, case_id="b\0"))
        await live.decider.drain()
        await asyncio.sleep(0)

    assert decision.id in caplog.text
    assert live.decider.stats().unwritten == 1


async def test_what_the_database_does_not_take_before_the_end_is_named(
    live: Road, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(live)
    watched.failures = 9
    with caplog.at_level(logging.ERROR):
        await asked(live.decider, "async")
        await live.decider.drain()

    assert live.decider.stats().unwritten == 1
    assert live.decider.stats().pending == 0
    assert "cannot be recorded" in caplog.text
