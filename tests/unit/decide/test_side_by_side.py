"""Requests under way together go stage by stage; one that is alone waits for nobody."""

from __future__ import annotations

import asyncio

from opsrail import Band, DecisionPoint, Policy, Rule
from opsrail.decide.side_by_side import WIDEST
from tests.support.decisions import Claim, Road, fraud_point, request


async def test_requests_that_come_together_take_each_stage_side_by_side(road: Road) -> None:
    await road.live()
    stages: list[str] = []

    def entity(facts: Claim) -> str:
        stages.append("route")
        return "one"

    def rule(facts: Claim) -> bool:
        stages.append("verdict")
        return False

    policy = Policy(
        bands=[Band("approve", below=1.01)], rules=[Rule("never", rule, "approve", "Never.")]
    )
    point = fraud_point(policy=policy, entity=entity, cache_ttl_s=60)
    await together(road, point, 3)  # fills the cache, so that no model is waited for
    stages.clear()

    await together(road, point, 3)

    assert stages == ["route"] * 3 + ["verdict"] * 3


async def test_only_who_was_recorded_with_others_waits_for_them(road: Road) -> None:
    await road.live()
    point = fraud_point()

    await together(road, point, 1)
    alone = list(road.decider.catch_up().__await__())
    await together(road, point, 2)
    with_another = list(road.decider.catch_up().__await__())
    await together(road, point, 1)
    out_of_step = list(road.decider.catch_up().__await__())
    await together(road, point, 1)

    assert (alone, with_another, out_of_step) == ([], [None], [None])
    assert list(road.decider.catch_up().__await__()) == []


async def test_of_more_than_end_soon_enough_together_each_goes_to_its_end(road: Road) -> None:
    await road.live()
    point = fraud_point(cache_ttl_s=60)
    await together(road, point, WIDEST)
    widest = list(road.decider.catch_up().__await__())
    await together(road, point, WIDEST + 1)

    assert widest == [None]
    assert list(road.decider.catch_up().__await__()) == []


async def together(road: Road, point: DecisionPoint[Claim], count: int) -> None:
    await asyncio.gather(*(road.decider.decide(request(point)) for _ in range(count)))
