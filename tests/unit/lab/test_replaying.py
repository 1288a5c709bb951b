"""Recorded decisions decided again: the same in every bit, or what differs, by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy
import pytest

from opsrail.decide.point import DecisionPoint
from opsrail.decide.policy import Band, Policy
from opsrail.errors import NotFound
from opsrail.features.features import PastFact
from opsrail.lab.replayed import Replayed, summary
from opsrail.lab.replaying import Replayer
from opsrail.registry.libraries import LIBRARIES, library_of
from opsrail.registry.rollout import Stage
from opsrail.values.decisions import Decision, DecisionRow
from opsrail.values.features import FactRow
from opsrail.values.registry import ArtifactRow, ModelVersionRow
from opsrail.values.rows import Delete, Update
from tests.support.decisions import (
    Claim,
    Road,
    fraud_point,
    fraud_policy,
    linear,
    make_history,
    request,
)

Points = Mapping[str, DecisionPoint[Any]]


def replayer(road: Road, *points: DecisionPoint[Any]) -> Replayer:
    return Replayer(
        road.store, road.registry, road.features, {point.name: point for point in points}
    )


async def opened(*views: Any, **options: Any) -> Road:
    road = Road(*views, **options)
    await road.store.open()
    return road


async def with_history() -> tuple[Road, DecisionPoint[Claim], Decision]:
    """Return a road on which one decision was made on a view's features."""
    road, point = await opened(make_history()), fraud_point(features=["make-history@1"])
    await road.live(linear(amount=0.001, make_frauds=0.5))
    facts = [PastFact("Honda", {"fraud": n % 2}, n) for n in range(6)]
    await road.features.import_facts("make-history@1", facts, source="file")
    return road, point, await road.decider.decide(request(point))


def kinds(found: Replayed) -> set[tuple[str, str]]:
    return {(one.what, one.name) for one in found.differences}


async def test_a_decision_is_the_same_in_every_bit() -> None:
    road, point, made = await with_history()
    later = PastFact("Honda", {"fraud": 1}, 99)
    await road.features.import_facts("make-history@1", [later], source="later")
    found = await replayer(road, point).replay(made.id)

    assert found.is_same
    assert (found.score, found.verdict) == (made.score, made.verdict)
    assert (found.score_from, found.features_from) == ("model", {"make-history@1": "history"})
    assert found.notes == ()
    assert "the same in every bit: score and verdict" in found.sentences()[0]


@pytest.mark.parametrize(
    ("name", "options", "facts"),
    [
        ("a rule", {}, Claim(amount=Decimal(20_000))),
        ("unknown values", {"policy": fraud_policy(on_unknown="review")}, Claim()),
        ("a failing rule", {"policy": Policy([Band("a", 1.01)], rules=[])}, Claim(age=0)),
    ],
)
async def test_every_way_to_a_verdict_replays(
    name: str, options: dict[str, Any], facts: Claim
) -> None:
    road, point = await opened(), fraud_point(**options)
    await road.live(linear(amount=0.001, nothing=1.0))
    made = await road.decider.decide(request(point, facts))

    assert (await replayer(road, point).replay(made.id)).is_same


@pytest.mark.parametrize(
    "fallback",
    [None, lambda facts: "approve", lambda facts: ("approve", "Small."), lambda facts: "nonsense"],
    ids=["none", "a verdict", "with a reason", "failing"],
)
async def test_a_decision_without_a_score_replays_from_its_fallback_state(fallback: Any) -> None:
    road, point = await opened(), fraud_point(fallback=fallback)
    silent = await road.decider.decide(request(point))
    version = await road.live()
    road.runtime.failing.add(version.digest)
    failed = await road.decider.decide(request(point))
    ruled = await road.decider.decide(request(point, Claim(amount=Decimal(20_000))))
    for made in (silent, failed, ruled):
        found = await replayer(road, point).replay(made.id)

        assert found.is_same, found.differences
        assert made.degraded
        assert (found.score, found.score_from, found.verdict) == (None, "none", made.verdict)


async def test_cached_repeated_canary_and_stand_in_decisions_replay() -> None:
    road, point = await opened(), fraud_point(cache_ttl_s=60)
    await road.live()
    made = [await road.decider.decide(request(point)) for _ in range(2)]
    made += [await road.decider.decide(request(point, idempotency_key="k")) for _ in range(2)]
    canary = await road.registered(linear(amount=0.002))
    await road.promoted(canary, Stage.CANARY)
    made.append(await road.decider.decide(request(point)))
    road.runtime.failing.add(canary.digest)
    made.append(await road.decider.decide(request(point, Claim(age=7))))
    road.runtime.failing.clear()

    assert {one.cache for one in made} == {"hit", "miss"}
    assert [one.model and one.model.stage for one in made][-2:] == ["canary", "live"]
    for one in made:
        assert (await replayer(road, point).replay(one.id)).is_same


# -- what can differ -----------------------------------------------------------------------------------------------------


async def test_a_feature_whose_history_was_changed_is_named() -> None:
    road, point, made = await with_history()
    (first,) = await road.store.select(FactRow, order=("id",), limit=1)
    await road.store.commit([Update(FactRow, (first.id,), {"fact": '{"fraud":1}'})])
    found = await replayer(road, point).replay(made.id)

    (told,) = found.differences
    assert (told.what, told.name, told.recorded, told.replayed) == ("feature", "make_frauds", 3, 4)
    assert told.text == "Feature make_frauds was 3 and is 4."
    assert (found.score, found.verdict) == (made.score, made.verdict)


async def test_a_fact_that_was_removed_shows_in_the_features() -> None:
    road, point, made = await with_history()
    (last,) = await road.store.select(FactRow, order=("id",), descending=True, limit=1)
    await road.store.commit([Delete(FactRow, {"id": last.id})])

    found = await replayer(road, point).replay(made.id)
    assert kinds(found) == {("feature", "make_claims"), ("feature", "make_frauds")}


async def test_a_view_that_is_not_defined_is_said() -> None:
    road, point, made = await with_history()
    bare = Replayer(road.store, road.registry, Road().features, {point.name: point})
    found = await bare.replay(made.id)

    assert found.is_same
    assert found.features_from == {"make-history@1": "record"}
    assert "View make-history@1 is not defined here" in found.notes[0]


async def test_another_policy_is_named_and_judges_all_the_same() -> None:
    road, point = await opened(), fraud_point()
    await road.live()
    made = await road.decider.decide(request(point))
    other = fraud_point(policy=Policy([Band("decline", below=1.01)]))
    found = await replayer(road, other).replay(made.id)

    assert kinds(found) == {("policy", "version"), ("verdict", ""), ("reasons", "")}
    assert found.differences[0].recorded == point.policy_version
    assert found.differences[0].replayed == other.policy_version
    assert (found.score, found.verdict) == (made.score, "decline")


async def test_another_request_model_is_named() -> None:
    class Larger(Claim):
        added: int

    road, point = await opened(), fraud_point()
    await road.live()
    made = await road.decider.decide(request(point))
    other = DecisionPoint("fraud-risk", request=Larger, policy=fraud_policy())
    found = await replayer(road, other).replay(made.id)

    assert kinds(found) == {("request", "model"), ("request", "values")}
    assert (found.score, found.verdict) == (made.score, None)


async def test_an_artifact_that_is_gone_is_named() -> None:
    road, point = await opened(), fraud_point()
    version = await road.live()
    made = await road.decider.decide(request(point))
    await road.store.commit([Delete(ArtifactRow, {"digest": version.digest})])
    found = await replayer(await again(road), point).replay(made.id)

    assert kinds(found) == {("runtime", "fraud/1")}
    assert "is not in the store" in found.differences[0].text
    assert (found.score, found.score_from) == (made.score, "record")


async def test_an_artifact_with_other_bytes_is_named() -> None:
    road, point = await opened(), fraud_point()
    version = await road.live()
    made = await road.decider.decide(request(point))
    await road.store.commit(
        [Update(ArtifactRow, (version.digest,), {"content": linear(amount=9.0)})]
    )
    found = await replayer(await again(road), point).replay(made.id)

    assert kinds(found) == {("runtime", "fraud/1")}
    assert "is damaged: its bytes give" in found.differences[0].text


async def test_a_version_that_is_gone_or_another_is_named() -> None:
    road, point = await opened(), fraud_point()
    await road.live()
    made = await road.decider.decide(request(point))
    other = "sha256:" + "0" * 64
    await road.store.commit([Update(ModelVersionRow, ("fraud", 1), {"digest": other})])
    changed = await replayer(await again(road), point).replay(made.id)
    await road.store.commit([Delete(ModelVersionRow, {"name": "fraud"})])
    gone = await replayer(await again(road), point).replay(made.id)

    assert kinds(changed) == kinds(gone) == {("artifact", "fraud/1")}
    assert f"fraud/1 is {other} here" in changed.differences[0].text
    assert "there is no model version fraud/1" in gone.differences[0].text


async def test_a_runtime_that_computes_otherwise_shows_in_the_score() -> None:
    road, point = await opened(), fraud_point()
    await road.live()
    made = await road.decider.decide(request(point))
    model = await road.registry.model(await road.registry.version("fraud", 1), 1.0)
    model._bias += 1e-12  # type: ignore[attr-defined]
    found = await replayer(road, point).replay(made.id)

    assert ("score", "") in kinds(found)
    assert found.score != made.score
    assert found.score == pytest.approx(made.score, abs=1e-9)
    assert "what runs the model (runtime linear here)" in found.differences[0].text


async def test_another_release_of_the_library_is_named_where_the_score_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(LIBRARIES, "linear", "numpy")
    library_of.cache_clear()
    road, point = await opened(), fraud_point()
    await road.live()
    made = await road.decider.decide(request(point))
    assert made.model is not None
    assert made.model.library == f"numpy {numpy.__version__}"
    older = "numpy 1.0.0"
    record = made.record()
    record["model"]["library"] = older
    await road.store.commit([Update(DecisionRow, (made.id,), {"record": json.dumps(record)})])
    same = await replayer(road, point).replay(made.id)
    model = await road.registry.model(await road.registry.version("fraud", 1), 1.0)
    model._bias += 1e-12  # type: ignore[attr-defined]
    found = await replayer(road, point).replay(made.id)
    library_of.cache_clear()

    assert kinds(same) == {("record", "")}
    told = {one.name: one for one in found.differences}["library"]
    assert (told.recorded, told.replayed) == (older, made.model.library)


async def test_a_model_that_fails_now_is_named() -> None:
    road, point = await opened(), fraud_point()
    version = await road.live()
    made = await road.decider.decide(request(point))
    road.runtime.failing.add(version.digest)
    found = await replayer(road, point).replay(made.id)

    assert kinds(found) == {("runtime", "fraud/1")}
    assert "failed on the same row: ZeroDivisionError" in found.differences[0].text


async def test_a_record_that_was_changed_is_named() -> None:
    road, point = await opened(), fraud_point()
    await road.live()
    made = await road.decider.decide(request(point))
    record = json.dumps({**made.record(), "actor": "someone else"})
    await road.store.commit([Update(DecisionRow, (made.id,), {"record": record})])
    found = await replayer(road, point).replay(made.id)

    assert kinds(found) == {("record", "")}


@pytest.mark.parametrize(
    "column", [{"score": 0.123}, {"verdict": "decline"}, {"point": "another"}, {"model_number": 7}]
)
async def test_a_column_that_is_not_the_records_is_named(column: dict[str, Any]) -> None:
    road, point = await opened(), fraud_point()
    await road.live()
    made = await road.decider.decide(request(point))
    await road.store.commit([Update(DecisionRow, (made.id,), column)])
    found = await replayer(road, point).replay(made.id)

    ((name, stands),) = column.items()
    assert kinds(found) == {("record", name)}
    assert found.differences[0].replayed == stands
    assert f"Column {name} of the decision's row was changed" in found.differences[0].text


async def test_a_record_that_cannot_be_read_stops_no_sample() -> None:
    road, point = await opened(), fraud_point()
    await road.live()
    made = [await road.decider.decide(request(point, Claim(age=n))) for n in range(6)]
    await road.store.commit([Update(DecisionRow, (made[2].id,), {"record": '{"broken'})])
    of = replayer(road, point).replay_sample("fraud-risk", 0, road.clock.now_ms() + 1, 100)
    told = summary([one async for one in of])

    assert (told.replayed, told.same, told.differing) == (6, 5, {"record": 1})
    assert told.examples[0].decision_id == made[2].id
    assert "cannot be read" in told.examples[0].differences[0].text


# -- what cannot be asked again ------------------------------------------------------------------------------------------


async def test_a_model_on_another_machine_keeps_what_it_said() -> None:
    road, point = await opened(), fraud_point()
    road.runtime.is_remote = True
    await road.live()
    made = await road.decider.decide(request(point))
    asked = len(road.runtime.batches)
    found = await replayer(road, point).replay(made.id)

    assert (found.is_same, found.score, found.score_from) == (True, made.score, "record")
    assert "answers on another machine and is not asked again" in found.notes[0]
    assert len(road.runtime.batches) == asked


async def test_a_model_whose_card_says_that_it_is_not_repeatable_keeps_what_it_said() -> None:
    road, point = await opened(), fraud_point()
    await road.live(repeatable=False)
    made = await road.decider.decide(request(point))
    found = await replayer(road, point).replay(made.id)

    assert (found.is_same, found.score_from) == (True, "record")
    assert "not repeatable" in found.notes[0]


async def test_without_the_automations_file_the_score_alone_is_replayed() -> None:
    road, point = await opened(), fraud_point()
    await road.live(linear(amount=0.001))
    made = await road.decider.decide(request(point, Claim(amount=Decimal("120.75"))))
    found = await replayer(road).replay(made.id)

    assert (found.is_same, found.score_from, found.verdict) == (True, "model", None)
    assert "give the automation's file" in found.notes[0]


async def test_a_decision_that_nobody_made_is_not_found() -> None:
    with pytest.raises(NotFound):
        await replayer(await opened()).replay("01K8ZC2V7N3T9D4M6Q0RWXYABC")


async def test_a_sample_is_the_same_each_time_and_says_how_many_differ() -> None:
    road, point = await opened(), fraud_point()
    await road.live()
    made = [await road.decider.decide(request(point, Claim(age=n))) for n in range(60)]
    changed = json.dumps({**made[7].record(), "verdict": "review"})
    await road.store.commit([Update(DecisionRow, (made[7].id,), {"record": changed})])
    now_ms = road.clock.now_ms()
    of = replayer(road, point)
    seen: list[tuple[int, int]] = []

    async def sample(count: int) -> list[Replayed]:
        chosen = of.replay_sample("fraud-risk", 0, now_ms + 1, count, lambda *at: seen.append(at))
        return [one async for one in chosen]

    whole, some = summary(await sample(100)), await sample(20)

    assert (whole.replayed, whole.same) == (60, 59)
    assert whole.differing == {"record": 1, "verdict": 1}
    assert [one.decision_id for one in whole.examples] == [made[7].id]
    assert len({one.decision_id for one in some}) == 20
    assert [one.decision_id for one in some] == [one.decision_id for one in await sample(20)]
    assert seen[-1] == (20, 20)
    assert [one async for one in of.replay_sample("nobody", 0, now_ms + 1, 5)] == []


async def again(road: Road) -> Road:
    """Return a road with nothing in memory over the same store."""
    fresh = Road()
    fresh.store = road.store
    fresh.registry._store = road.store
    fresh.registry.pools.local._store = road.store
    return fresh
