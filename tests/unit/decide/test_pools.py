"""A decision in one of several pools: where it is made, what it costs, and who goes without when money is spent."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from opsrail.decide.asking import AskLimits
from opsrail.decide.chain import StandIn
from opsrail.errors import InvalidInput, ModelUnavailable
from opsrail.registry.pools import PoolRuntimes
from opsrail.values.decisions import Criticality, Decision
from opsrail.values.pools import Pool
from tests.support.decisions import Claim, LinearRuntime, Road, fraud_point, linear, request

CHEAP_S, FAST_S = 0.4, 0.1
"""Seconds that a call takes there."""


class Pooled(Road):
    """A road whose versions may run in a cheap pool and in a fast one, each of which takes its time by the still clock."""

    def __init__(
        self,
        fast: Pool | None = None,
        cheap: Pool | None = None,
        limits: AskLimits | None = None,
    ) -> None:
        self.cheap, self.fast = LinearRuntime(), LinearRuntime()
        given = (
            PoolRuntimes(cheap or Pool("cheap"), {"linear": self.cheap}),
            PoolRuntimes(fast or Pool("fast", "gpu", cost_usd_per_s=0.5), {"linear": self.fast}),
        )
        super().__init__(pools=lambda road: given, limits=limits)
        self.cheap.before = lambda rows: self.take(CHEAP_S)
        self.fast.before = lambda rows: self.take(FAST_S)
        self.is_held = threading.Event()
        self._number = 0

    def take(self, seconds: float) -> None:
        self.clock.at_s += seconds

    def hold(self, gate: threading.Event) -> None:
        self.is_held.set()
        gate.wait(10)

    async def asked(
        self, criticality: Criticality = "normal", wanted: Criticality | None = None, **options: Any
    ) -> Decision:
        self._number += 1
        point = fraud_point(criticality=criticality, **options)
        asked = request(point, Claim(age=self._number), criticality=wanted)
        return await self.decider.decide(asked)

    async def warmed(self, **card: Any) -> None:
        """Have a version live, loaded in its pools, each of which has answered."""
        await self.store.open()
        version = await self.live(linear(amount=0.001), pools=["cheap", "fast"], **card)
        for pool in ("cheap", "fast"):
            await self.registry.model(version, 1.0, pool)
        for criticality in ("high", "high", "normal", "normal"):
            await self.asked(criticality)
        self.cheap.batches.clear()
        self.fast.batches.clear()


def pool_of(decision: Decision) -> str | None:
    return None if decision.model is None else decision.model.pool


async def test_high_requests_are_answered_where_it_is_fast_and_others_where_it_is_cheap() -> None:
    road = Pooled()
    await road.warmed()

    decisions = {each: await road.asked(each) for each in ("high", "normal", "low")}

    assert {each: pool_of(decision) for each, decision in decisions.items()} == {
        "high": "fast",
        "normal": "cheap",
        "low": "cheap",
    }
    assert not any(decision.degraded for decision in decisions.values())
    assert decisions["high"].record()["model"]["pool"] == "fast"
    assert Decision.from_record(decisions["high"].record()) == decisions["high"]


async def test_a_caller_may_ask_for_less_than_the_point_declares_never_for_more() -> None:
    road = Pooled()
    await road.warmed()

    assert pool_of(await road.asked("high", "low")) == "cheap"
    assert pool_of(await road.asked("low", "high")) == "cheap"
    with pytest.raises(InvalidInput, match="budget_usd_per_hour"):
        fraud_point(budget_usd_per_hour=-1)


async def test_a_request_spills_where_it_is_predicted_to_be_answered_in_time() -> None:
    road = Pooled()
    await road.warmed()

    assert pool_of(await road.asked("low", deadline_ms=300)) == "fast"
    assert road.cheap.batches == []


async def test_while_probes_are_out_other_requests_go_to_another_pool_from_the_start() -> None:
    road, gate = Pooled(), threading.Event()
    await road.warmed()

    def fail(rows: object) -> None:
        raise ModelUnavailable("the machine is gone")

    road.cheap.before = fail
    for _ in range(20):
        await road.asked("low")
    road.take(6.0)
    road.cheap.before = lambda rows: road.hold(gate)
    probes = [asyncio.create_task(road.asked("low")) for _ in range(3)]
    await asyncio.to_thread(road.is_held.wait, 10)

    other = await road.asked("low")
    gate.set()

    assert (pool_of(other), other.degraded) == ("fast", False)
    assert [pool_of(probe) for probe in await asyncio.gather(*probes)] == ["cheap"] * 3


async def test_a_pool_is_full_for_a_class_that_gets_no_place_in_it() -> None:
    road, gate = Pooled(limits=AskLimits(rows_in_flight=5)), threading.Event()
    await road.warmed()
    road.cheap.before = lambda rows: road.hold(gate)
    waiting = [asyncio.create_task(road.asked("normal")) for _ in range(4)]
    await asyncio.to_thread(road.is_held.wait, 10)

    low = await road.asked("low")
    gate.set()
    await asyncio.gather(*waiting)

    assert (pool_of(low), low.degraded) == ("fast", False)


async def test_a_decision_costs_its_time_in_the_pool_and_what_the_card_says_of_a_call() -> None:
    road = Pooled()
    await road.warmed(cost_usd=0.01)

    high, low = await road.asked("high"), await road.asked("low")

    assert high.cost_usd == pytest.approx(FAST_S * 0.5 + 0.01)
    assert low.cost_usd == pytest.approx(0.01)
    pools = {each.pool: each for each in road.decider.stats().pools}
    assert pools["fast"].cost_usd == pytest.approx(FAST_S * 0.5 * 2)  # one before, to warm it
    assert (pools["fast"].hardware, pools["fast"].models) == ("gpu", 1)
    assert pools["cheap"].cost_usd == 0.0


async def test_when_a_points_budget_is_spent_low_requests_get_the_cheapest_pool_alone() -> None:
    road = Pooled(cheap=Pool("cheap", cost_usd_per_s=0.01))
    await road.warmed()
    budget: dict[str, Any] = {
        "budget_usd_per_hour": 0.04,
        "deadline_ms": 300,
    }  # the cheap pool takes too long

    before = await road.asked("low", **budget)
    after = {each: await road.asked(each, **budget) for each in ("low", "normal", "high")}

    assert pool_of(before) == "fast"
    assert {each: pool_of(decision) for each, decision in after.items()} == {
        "low": "cheap",
        "normal": "fast",
        "high": "fast",
    }


async def test_when_the_budget_of_every_pool_is_spent_low_requests_fall_back() -> None:
    road = Pooled(
        cheap=Pool("cheap", cost_usd_per_s=0.1, budget_usd_per_hour=0.001),
        fast=Pool("fast", "gpu", cost_usd_per_s=0.5, budget_usd_per_day=0.001),
    )
    await road.warmed()

    low = await road.asked("low", fallback=lambda facts: "approve")
    normal = await road.asked("normal")

    assert (low.degraded, low.degraded_why, low.score) == (True, "budget-spent", None)
    assert [tuple(step) for step in low.fallback] == [("fallback", None, "budget-spent")]
    assert low.verdict == "approve"
    assert normal.degraded is False


async def test_a_version_is_asked_where_it_is_warm_and_loaded_where_it_is_not() -> None:
    road = Pooled()
    await road.store.open()
    version = await road.live(linear(amount=0.001), pools=["cheap", "fast"])
    await road.registry.model(version, 1.0, "fast")

    first = await road.asked("low")
    await road.registry.model(version, 1.0, "cheap")  # begun by the request before
    second = await road.asked("low")

    assert (pool_of(first), pool_of(second)) == ("fast", "cheap")


async def test_a_version_in_one_pool_alone_is_asked_there() -> None:
    road = Pooled()
    await road.store.open()
    await road.live(linear(amount=0.001), pools=["fast"])

    assert pool_of(await road.asked("low")) == "fast"
    assert pool_of(await road.asked("low")) == "fast"


async def test_a_version_in_one_pool_alone_keeps_to_its_budget() -> None:
    road = Pooled(fast=Pool("fast", "gpu", cost_usd_per_s=0.5, budget_usd_per_hour=0.001))
    await road.store.open()
    await road.live(linear(amount=0.001), pools=["fast"])

    first = await road.asked("low")
    low, normal = await road.asked("low"), await road.asked("normal")

    assert pool_of(first) == "fast"
    assert (low.degraded, low.degraded_why, low.score) == (True, "budget-spent", None)
    assert (pool_of(normal), normal.degraded) == ("fast", False)


@pytest.mark.parametrize("stand_ins", [(), ("retired",)])
async def test_this_process_too_keeps_to_a_budget_that_its_settings_give(
    stand_ins: tuple[StandIn, ...],
) -> None:
    road = Pooled(cheap=Pool("local", cost_usd_per_s=0.5, budget_usd_per_hour=0.001))
    await road.store.open()
    await road.live(linear(amount=0.001))
    if stand_ins:
        await road.live(linear(amount=0.002))

    await road.asked("high", stand_ins=stand_ins)
    low = await road.asked("low", stand_ins=stand_ins)
    normal = await road.asked("normal", stand_ins=stand_ins)

    assert (low.degraded, low.degraded_why) == (True, "budget-spent")
    assert (pool_of(normal), normal.degraded) == ("local", False)


async def test_a_record_from_before_there_were_pools_is_read() -> None:
    road = Pooled()
    await road.warmed()
    record = (await road.asked("high")).record()
    del record["model"]["pool"]

    assert pool_of(Decision.from_record(record)) is None
