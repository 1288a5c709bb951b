"""Who answers when the routed version cannot, and what the decision says of it."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsrail.clock import SystemClock
from opsrail.decide.asking import AskLimits
from opsrail.decide.breaker import Limits
from opsrail.decide.chain import STAND_INS, StandIn, links_of
from opsrail.decide.decider import Decider
from opsrail.decide.explain import explain
from opsrail.errors import ArtifactRefused, InvalidInput, ModelUnavailable
from opsrail.registry.rollout import Stage
from opsrail.registry.route import Route
from opsrail.values.decisions import Decision
from opsrail.values.models import ModelVersion
from tests.support.decisions import Claim, Road, fraud_point, linear, make_history, request

OLD, NEW, NEXT = linear(bias=-3.0), linear(bias=-2.0), linear(bias=-1.0)


async def decided(road: Road, **options: object) -> Decision:
    return await road.decider.decide(request(fraud_point(**options)))


def steps(decision: Decision) -> list[tuple[str, str | None, str]]:
    return [tuple(step) for step in decision.fallback]  # type: ignore[misc]


async def test_when_the_routed_version_answers_nobody_stands_in(road: Road) -> None:
    await road.live()

    decision = await decided(road)

    assert (decision.degraded, decision.fallback) == (False, ())


async def test_the_live_version_stands_in_for_a_canary(road: Road) -> None:
    live = await road.live(OLD)
    canary = await road.registered(NEW)
    await road.promoted(canary, Stage.CANARY)
    road.runtime.failing.add(canary.digest)

    decision = await decided(road)

    assert decision.model is not None
    assert (decision.model.digest, decision.model.stage) == (live.digest, "live")
    assert decision.score is not None
    assert (decision.degraded, decision.degraded_why) == (True, "model-unavailable")
    assert steps(decision) == [("live", "fraud/1", "model-unavailable")]
    assert explain(decision)[2] == (
        "Because no model could be asked or it failed, live version fraud/1 was asked."
    )


async def test_a_version_at_standby_stands_in_for_live_and_for_canary(road: Road) -> None:
    standby, live, canary = [await road.registered(each) for each in (OLD, NEW, NEXT)]
    await road.promoted(standby, Stage.STANDBY)
    await road.promoted(live, Stage.LIVE)
    road.runtime.failing |= {live.digest, canary.digest}
    for_live = await decided(road)
    await road.promoted(canary, Stage.CANARY)
    for_canary = await decided(road)

    why = "model-unavailable"
    assert steps(for_live) == [("standby", "fraud/1", why)]
    assert steps(for_canary) == [("live", "fraud/2", why), ("standby", "fraud/1", why)]
    assert [each.model and each.model.stage for each in (for_live, for_canary)] == ["standby"] * 2


async def test_an_open_breaker_sends_requests_to_the_stand_in_at_once(road: Road) -> None:
    standby, live = [await road.registered(each) for each in (OLD, NEW)]
    await road.promoted(standby, Stage.STANDBY)
    await road.promoted(live, Stage.LIVE)
    road.runtime.failing.add(live.digest)

    for age in range(12):
        last = await road.decider.decide(request(fraud_point(), Claim(age=age)))

    assert steps(last) == [("standby", "fraud/1", "breaker-open")]
    assert sum(road.runtime.batches) == 10 + 12  # the failing one until its breaker opened


async def test_a_retired_version_stands_in_only_where_the_point_says_so(road: Road) -> None:
    await road.live(OLD)
    road.runtime.failing.add((await road.live(NEW)).digest)

    without = await decided(road)
    allowed = await decided(road, stand_ins=["retired"])

    assert (without.score, steps(without)) == (None, [("policy", None, "model-unavailable")])
    assert allowed.model is not None
    assert (allowed.model.number, allowed.model.stage) == (1, "retired")


async def test_another_pool_of_the_version_stands_in_for_it(road: Road) -> None:
    live = await road.live(pools=["local", "spare"])
    road.runtime.failing.add(live.digest)

    decision = await decided(road)

    assert steps(decision) == [("pool", "fraud/1 in spare", "model-unavailable")]
    assert decision.model is not None
    assert (decision.model.digest, decision.score is None) == (live.digest, False)
    assert road.spare.batches == [1]


async def test_a_pool_whose_breaker_is_open_is_passed_over(road: Road) -> None:
    """That is placement, no stand-in: the version that should answer does."""
    live = await road.live(pools=["local", "spare"])
    road.runtime.failing.add(live.digest)
    for age in range(12):
        last = await road.decider.decide(request(fraud_point(), Claim(age=age)))

    assert (last.degraded, steps(last)) == (False, [])
    assert last.model is not None
    assert last.model.pool == "spare"
    assert [each.breaker for each in road.decider.stats().models] == ["open", "closed"]


async def test_after_the_models_come_the_fallback_and_the_policy(road: Road) -> None:
    standby, live = [await road.registered(each) for each in (OLD, NEW)]
    await road.promoted(standby, Stage.STANDBY)
    await road.promoted(live, Stage.LIVE)
    road.runtime.failing |= {standby.digest, live.digest}

    def fail(facts: Claim) -> str:
        raise ZeroDivisionError

    ruled = await decided(road, fallback=lambda facts: "approve")
    failed = await decided(road, fallback=fail)

    why = "model-unavailable"
    asked = ("standby", "fraud/1", why)
    assert steps(ruled) == [asked, ("fallback", None, why)]
    assert steps(failed) == [asked, ("fallback", None, why), ("policy", None, "fallback-failed")]
    assert [each.verdict for each in (ruled, failed)] == ["approve", "review"]
    assert ruled.model is not None
    assert (ruled.model.number, ruled.model.stage) == (2, "live")  # the one that was asked first


async def test_a_version_that_was_taken_away_is_not_stood_in_for(road: Road) -> None:
    standby, live = [await road.registered(each) for each in (OLD, NEW)]
    await road.promoted(standby, Stage.STANDBY)
    await road.promoted(live, Stage.LIVE)
    await road.promoted(live, Stage.RETIRED)

    decision = await decided(road, stand_ins=["standby", "retired"])

    assert (decision.model, road.runtime.batches) == (None, [])
    assert steps(decision) == [("policy", None, "model-unavailable")]


async def test_another_version_is_not_asked_about_a_row_that_one_refused(road: Road) -> None:
    standby, live = [await road.registered(each) for each in (OLD, NEW)]
    await road.promoted(standby, Stage.STANDBY)
    await road.promoted(live, Stage.LIVE)

    def refuse(rows: object) -> None:
        raise InvalidInput("no column fits")

    road.runtime.before = refuse
    decision = await decided(road)

    assert steps(decision) == [("policy", None, "invalid-input")]
    assert road.runtime.batches == [1]


async def test_features_that_fail_go_to_the_fallback() -> None:
    road = Road(make_history(entity=lambda request: request.no_such_field))
    await road.store.open()
    standby, live = [await road.registered(each) for each in (OLD, NEW)]
    await road.promoted(standby, Stage.STANDBY)
    await road.promoted(live, Stage.LIVE)

    decision = await decided(road, features=["make-history@1"], fallback=lambda facts: "approve")

    assert steps(decision) == [("fallback", None, "author-error")]
    assert road.runtime.batches == []


async def test_a_stand_in_may_answer_from_the_cache_and_its_scores_are_kept(road: Road) -> None:
    await road.live(OLD)
    canary = await road.registered(NEW)
    await road.promoted(canary, Stage.CANARY)
    road.runtime.failing.add(canary.digest)

    states = [(await decided(road, cache_ttl_s=60)).cache for _ in range(3)]
    await road.promoted(canary, Stage.RETIRED)
    states.append((await decided(road, cache_ttl_s=60)).cache)

    assert states == ["miss", "hit", "hit", "hit"]


async def test_a_stand_in_still_has_time_when_the_routed_version_hangs() -> None:
    road = Road()
    await road.store.open()
    limits = AskLimits(breaker=Limits(least_count=2))
    road.decider = Decider(road.store, road.registry, road.features, SystemClock(), limits=limits)
    standby, live = [await road.registered(each) for each in (OLD, NEW)]
    await road.promoted(standby, Stage.STANDBY)
    await road.promoted(live, Stage.LIVE)
    await road.registry.warm()
    gate = road.runtime.hanging[live.digest] = threading.Event()
    point = fraud_point(deadline_ms=2_000)

    decisions = [await road.decider.decide(request(point, Claim(age=age))) for age in range(4)]

    assert [steps(each) for each in decisions[:2]] == [
        [("standby", "fraud/1", "deadline-passed")]
    ] * 2
    assert [steps(each) for each in decisions[2:]] == [[("standby", "fraud/1", "breaker-open")]] * 2
    assert not gate.is_set()
    gate.set()
    road.decider.close()


def test_a_point_names_stand_ins_that_there_are_each_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        fraud_point(stand_ins=["live", "canary", "live"])

    assert [fault.place for fault in caught.value.faults] == ["stand_ins"] * 2


async def test_pools_that_are_no_list_of_names_are_refused(road: Road) -> None:
    with pytest.raises(InvalidInput, match=r"card\.pools"):
        await road.registered(OLD, pools="spare")
    with pytest.raises(InvalidInput, match=r"card\.pools"):
        await road.registered(OLD, pools=["spare", 3])
    with pytest.raises(InvalidInput, match=r"card\.pools"):
        await road.registered(OLD, pools=["spare", "spare"])
    with pytest.raises(InvalidInput, match=r"card\.isolation"):
        await road.registered(OLD, isolation="thread")


async def test_a_pool_that_cannot_load_the_model_is_noticed_when_it_is_registered(
    road: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(artifact: bytes, expected_digest: str) -> None:
        raise ArtifactRefused("not for this runtime")

    monkeypatch.setattr(road.spare, "load", refuse)
    with pytest.raises(ModelUnavailable, match="no pool 'gone'"):
        await road.registered(OLD, pools=["gone"])
    with pytest.raises(ArtifactRefused):
        await road.registered(OLD, pools=["spare"])

    assert await road.registry.versions() == []


def version(number: int, *pools: str) -> ModelVersion:
    return ModelVersion("m", number, f"sha256:{number}", "a", "t", {}, {"pools": list(pools)}, 0)


@given(
    st.lists(st.sampled_from(STAND_INS), unique=True),
    st.dictionaries(st.sampled_from(Stage), st.integers(1, 3)),
    st.lists(st.sampled_from(["b", "c"]), unique=True),
    st.sampled_from([Stage.LIVE, Stage.CANARY]),
)
def test_links_begin_with_the_routed_version_and_go_on_as_the_point_says(
    kinds: list[StandIn], stands: dict[Stage, int], pools: list[str], stage: Stage
) -> None:
    route = Route(version(1, *pools), stage, 1)
    standing = {
        str(where): Route(version(number, *pools), where, 1) for where, number in stands.items()
    }
    standing[str(stage)] = route

    links = links_of(kinds, route, standing)

    assert (links[0].what, links[0].version) == (stage, route.version)
    assert len({link.place for link in links}) == len(links)
    assert all(link.what in kinds for link in links[1:])
    order = [kinds.index(link.what) for link in links[1:]]  # type: ignore[arg-type]
    assert all(one <= two for one, two in pairwise(order))
    assert links[0].pool == [*pools, "local"][0]
    assert [link.pool for link in links if link.what == "pool"] == (
        pools[1:] if "pool" in kinds else []
    )
