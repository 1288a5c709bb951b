"""F20: many equal requests at once that find nothing in the cache."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

from opsrail.registry.rollout import Stage
from tests.support.decisions import Claim, Road, fraud_point, linear, request

COUNT = 1_000
"""Source: FAULTS F20."""


async def test_a_thousand_equal_misses_are_one_call_also_while_the_model_works(road: Road) -> None:
    version = await road.live()
    await road.registry.warm()
    gate = road.runtime.hanging[version.digest] = threading.Event()
    point = fraud_point(cache_ttl_s=60)
    loop, reached = asyncio.get_running_loop(), asyncio.Event()
    road.runtime.before = lambda rows: void(loop.call_soon_threadsafe(reached.set))

    first = asyncio.create_task(road.decider.decide(request(point)))
    await reached.wait()
    rest = [asyncio.create_task(road.decider.decide(request(point))) for _ in range(COUNT - 1)]
    await asyncio.sleep(0)
    gate.set()
    decisions = await asyncio.gather(first, *rest)

    assert road.runtime.batches == [1]
    assert Counter(each.cache for each in decisions) == {"miss": 1, "shared": COUNT - 1}
    assert len({each.score for each in decisions}) == 1
    assert len({each.id for each in decisions}) == COUNT
    assert road.decider.stats().cache.shared == COUNT - 1


def void(_: object) -> None:
    """Drop a result."""


async def test_a_thousand_equal_misses_of_a_failing_model_are_one_call_and_no_error_is_kept(
    road: Road,
) -> None:
    road.runtime.failing.add((await road.live()).digest)
    point = fraud_point(cache_ttl_s=60)

    failed = await asyncio.gather(*(road.decider.decide(request(point)) for _ in range(COUNT)))
    calls = len(road.runtime.batches)
    road.runtime.failing.clear()
    healed = await road.decider.decide(request(point))

    assert (calls, {each.degraded_why for each in failed}) == (1, {"model-unavailable"})
    assert (healed.degraded, healed.cache) == (False, "miss")
    assert road.decider.stats().cache.entries == 1


async def test_a_thousand_equal_misses_of_a_remote_model_share_its_retries_too() -> None:
    road = Road()
    road.runtime.is_remote = True
    await road.store.open()
    road.runtime.failing.add((await road.live()).digest)
    point = fraud_point(cache_ttl_s=60)

    await asyncio.gather(*(road.decider.decide(request(point)) for _ in range(COUNT)))

    assert len(road.runtime.batches) == 3  # one ask, retried twice
    road.decider.close()
    await road.store.close()


async def test_the_key_holds_version_tenant_and_features(road: Road) -> None:
    point = fraud_point(cache_ttl_s=60)
    await road.live(linear(bias=-2.0))

    async def asked(claim: Claim, **options: object) -> str:
        return (await road.decider.decide(request(point, claim, **options))).cache

    states = [await asked(Claim()) for _ in range(2)]
    states += [await asked(Claim(), tenant="another") for _ in range(2)]
    states.append(await asked(Claim(age=41)))
    await road.promoted(await road.registered(linear(bias=-1.0)), Stage.LIVE)
    states.append(await asked(Claim()))

    assert states == ["miss", "hit", "miss", "hit", "miss", "miss"]


async def test_who_shares_a_score_pays_nothing(road: Road) -> None:
    await road.live(cost_usd=0.5)
    point = fraud_point(cache_ttl_s=60)

    decisions = await asyncio.gather(*(road.decider.decide(request(point)) for _ in range(10)))

    assert sum(each.cost_usd for each in decisions) == 0.5
