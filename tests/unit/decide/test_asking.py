"""One model asked: its bulkhead, and, when it is remote, retries and hedges."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping, Sequence

import pytest

from opsrail.clock import SystemClock
from opsrail.decide.asking import AskLimits
from opsrail.decide.breaker import Limits
from opsrail.decide.decider import Decider
from opsrail.decide.latency import LEAST_COUNT
from opsrail.decide.scheduler import Scheduler
from opsrail.errors import InvalidInput, ModelUnavailable, Overloaded
from opsrail.values.decisions import Decision, DecisionRow
from tests.support.decisions import Claim, Road, fraud_point, request

Row = Mapping[str, object]
NEVER = Limits(least_count=1_000_000)
"""A breaker that does not open: what is tested here is what stands behind it."""


@pytest.fixture
async def remote() -> AsyncIterator[Road]:
    """A road to a model on another machine, whose breaker stays closed."""
    road = Road(limits=AskLimits(breaker=NEVER))
    road.runtime.is_remote = True
    await road.store.open()
    yield road
    road.decider.close()
    await road.store.close()


async def ask(road: Road, count: int, *, first: int = 0, **options: object) -> list[Decision]:
    """Ask that many different questions, one after the other."""
    point = fraud_point(**options)
    return [
        await road.decider.decide(request(point, Claim(age=first + number)))
        for number in range(count)
    ]


async def test_a_fault_of_a_remote_model_that_passes_is_not_seen(remote: Road) -> None:
    await remote.live()
    faults = [ModelUnavailable("the connection broke"), None]

    def break_once(rows: Sequence[Row]) -> None:
        if (fault := faults.pop(0)) is not None:
            raise fault

    remote.runtime.before = break_once
    [decision] = await ask(remote, 1)

    assert (decision.degraded, remote.runtime.batches) == (False, [1, 1])


async def test_a_remote_model_that_always_fails_is_asked_a_fifth_more(remote: Road) -> None:
    await remote.live()
    remote.runtime.failing.add((await remote.registry.versions())[0].digest)

    decisions = await ask(remote, 200)

    assert all(decision.degraded_why == "model-unavailable" for decision in decisions)
    assert 200 < sum(remote.runtime.batches) <= 240
    assert remote.decider.stats().models[0].retries == sum(remote.runtime.batches) - 200


async def test_a_model_in_this_process_is_not_asked_again() -> None:
    road = Road(limits=AskLimits(breaker=NEVER))
    await road.store.open()
    road.runtime.failing.add((await road.live()).digest)

    await ask(road, 20)

    assert sum(road.runtime.batches) == 20
    road.decider.close()


async def test_a_row_that_a_remote_model_refuses_is_not_sent_again(remote: Road) -> None:
    await remote.live()

    def refuse(rows: Sequence[Row]) -> None:
        raise InvalidInput("no such column")

    remote.runtime.before = refuse
    decisions = await ask(remote, 20)

    assert sum(remote.runtime.batches) == 20
    assert {decision.degraded_why for decision in decisions} == {"invalid-input"}


async def test_a_model_of_which_too_much_is_asked_is_not_asked_again_nor_blamed(
    remote: Road,
) -> None:
    await remote.live()

    def refuse(rows: Sequence[Row]) -> None:
        raise Overloaded("too many", after_s=1)

    remote.runtime.before = refuse
    for _ in range(20):
        with pytest.raises(Overloaded):
            await ask(remote, 1)

    assert len(remote.runtime.batches) == 20
    assert await remote.store.count(DecisionRow) == {(): 0}


async def test_of_a_batch_that_a_remote_model_fails_no_row_is_sent_alone(remote: Road) -> None:
    version = await remote.live()
    await remote.registry.warm()
    remote.runtime.failing.add(version.digest)
    point = fraud_point()

    asks = (remote.decider.decide(request(point, Claim(age=age))) for age in range(40))
    await asyncio.gather(*asks)

    assert sum(remote.runtime.batches) <= 1.2 * 40


async def test_without_a_budget_nothing_is_retried() -> None:
    road = Road(limits=AskLimits(breaker=NEVER, retry_ratio=0.0))
    road.runtime.is_remote = True
    await road.store.open()
    road.runtime.failing.add((await road.live()).digest)

    await ask(road, 20)

    assert sum(road.runtime.batches) == 20
    road.decider.close()


async def test_a_retry_that_would_end_past_the_deadline_is_not_made(remote: Road) -> None:
    remote.runtime.failing.add((await remote.live()).digest)

    def take_long(rows: Sequence[Row]) -> None:
        remote.clock.at_s += 10.0

    remote.runtime.before = take_long
    await ask(remote, 5)

    assert sum(remote.runtime.batches) == 5


class Hedged:
    """A road in real time to a remote model that has answered often enough to be known."""

    def __init__(self) -> None:
        self.road = Road()
        self.road.runtime.is_remote = True
        self.gate = threading.Event()
        self.twice = asyncio.Event()
        self.ages: list[object] = []
        self._hangs = 0
        self._loop = asyncio.get_running_loop()

    async def begin(self) -> None:
        road = self.road
        await road.store.open()
        await road.live()
        road.decider = Decider(
            road.store, road.registry, road.features, SystemClock(), limits=AskLimits(NEVER)
        )
        await ask(road, LEAST_COUNT)
        road.runtime.before = self._before

    def hang(self, calls: int) -> None:
        """Let the next calls hang."""
        self._hangs = calls

    def _before(self, rows: Sequence[Row]) -> None:
        self.ages += [row["age"] for row in rows]
        if len(self.ages) > 1:
            self._loop.call_soon_threadsafe(self.twice.set)
        if self._hangs:
            self._hangs -= 1
            self.gate.wait(60)


@pytest.fixture
async def hedged() -> AsyncIterator[Hedged]:
    hedged = Hedged()
    await hedged.begin()
    yield hedged
    hedged.gate.set()
    hedged.road.decider.close()
    await hedged.road.store.close()


async def test_a_remote_answer_that_is_late_is_overtaken_by_a_second_ask(hedged: Hedged) -> None:
    hedged.hang(1)

    [decision] = await ask(hedged.road, 1, first=100)
    stats = hedged.road.decider.stats().models[0]

    assert (decision.degraded, decision.score is None) == (False, False)
    assert not hedged.gate.is_set()  # the first ask still hangs
    assert hedged.ages == [100, 100]
    assert (stats.retries, stats.in_flight) == (1, 0)


async def test_an_ask_that_lost_and_waits_in_the_queue_is_never_sent(hedged: Hedged) -> None:
    hedged.hang(1)

    await ask(hedged.road, 3, first=100)
    hedged.gate.set()
    await ask(hedged.road, 1, first=200)

    assert [hedged.ages.count(age) for age in (100, 101, 102)] == [2, 1, 1]


async def test_when_both_asks_fail_that_is_the_answer(hedged: Hedged) -> None:
    hedged.hang(1)
    [version] = await hedged.road.registry.versions()
    hedged.road.runtime.failing.add(version.digest)
    waiting = asyncio.create_task(one(hedged.road))
    await hedged.twice.wait()
    hedged.gate.set()

    decision = await waiting

    assert decision.degraded_why == "model-unavailable"


async def one(road: Road) -> Decision:
    return (await ask(road, 1, first=300))[0]


async def test_more_than_can_be_had_in_time_is_refused_and_says_nothing_about_the_model() -> None:
    """Of many at once the first are answered, the rest refused with a time to come again, and the breaker stays closed.

    Time stands but for the model's calls, of which each takes 0.2 s.
    """
    road, now = Road(max_batch=1), [0.0]
    road.decider._asker._scheduler = Scheduler(1, now_s=lambda: now[0])
    await road.store.open()
    await road.live()
    road.runtime.before = lambda rows: now.__setitem__(0, now[0] + 0.2)
    await ask(road, 5)
    point = fraud_point(deadline_ms=3_000)
    asks = [road.decider.decide(request(point, Claim(age=100 + age))) for age in range(60)]
    told = await asyncio.gather(*asks, return_exceptions=True)

    refused = [one for one in told if isinstance(one, Overloaded)]
    answered = [one for one in told if isinstance(one, Decision) and not one.degraded]
    [model] = road.decider.stats().models
    assert answered
    assert len(refused) > 30
    assert all(one.after_s is not None and one.after_s > 0 for one in refused)
    assert model.breaker == "closed"
    assert model.lane is not None
    assert model.lane.shed == (0, len(refused), 0)
    assert 150 < model.lane.batch_ms + model.lane.row_ms < 300
    road.decider.close()


@pytest.mark.parametrize(
    ("declared", "wanted", "effective"),
    [("normal", None, 1), ("normal", "low", 2), ("low", "high", 2), ("high", "normal", 1)],
)
async def test_a_caller_may_ask_for_less_than_the_point_declares_never_for_more(
    declared: str, wanted: str | None, effective: int
) -> None:
    road = Road()
    await road.store.open()
    version = await road.live()
    await ask(road, 1)
    gate = road.runtime.hanging[version.digest] = threading.Event()
    point = fraud_point(criticality=declared)
    asks = [
        asyncio.create_task(
            road.decider.decide(request(point, Claim(age=200 + age), criticality=wanted))
        )
        for age in range(2)
    ]
    for _ in range(200):
        await asyncio.sleep(0)
        lane = road.decider.stats().models[0].lane
        if lane is not None and any(lane.queued):
            break
    gate.set()
    await asyncio.gather(*asks)

    assert lane is not None
    assert [bool(count) for count in lane.queued] == [rank == effective for rank in range(3)]
    road.decider.close()


async def test_no_more_rows_wait_for_a_model_than_its_bulkhead_allows() -> None:
    road = Road(limits=AskLimits(rows_in_flight=3))
    await road.store.open()
    version = await road.live()
    await road.registry.warm()
    gate = road.runtime.hanging[version.digest] = threading.Event()
    point = fraud_point()
    asks = [
        asyncio.create_task(road.decider.decide(request(point, Claim(age=age)))) for age in range(5)
    ]
    refused = await asyncio.gather(*asks[3:])
    waiting = road.decider.stats().models[0].in_flight
    gate.set()
    answered = await asyncio.gather(*asks[:3])

    assert [decision.degraded_why for decision in refused] == ["bulkhead-full"] * 2
    assert [decision.degraded for decision in answered] == [False] * 3
    assert (waiting, road.decider.stats().models[0].in_flight) == (3, 0)
    assert road.decider.stats().models[0].refused == 2
    road.decider.close()
