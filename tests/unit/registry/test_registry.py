"""Versions, rollouts and routes over a memory store."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator

import orjson
import pytest

from opsrail.errors import (
    ArtifactRefused,
    Conflict,
    InvalidInput,
    ModelStarting,
    ModelUnavailable,
    NotFound,
    StaleWrite,
    StoreUnavailable,
)
from opsrail.registry.registry import Registry
from opsrail.registry.rollout import Stage
from opsrail.registry.shelf import PATIENCE_S, RETRY_AFTER_S
from opsrail.values.canonical import digest
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.registry import ArtifactRow, ModelVersionRow, RolloutRow
from opsrail.values.rows import Delete, Insert, equals
from tests.support.decisions import TRAINING, LinearModel, LinearRuntime, Road, linear


@pytest.fixture
async def road() -> AsyncIterator[Road]:
    road = Road()
    await road.store.open()
    yield road
    road.decider.close()
    await road.store.close()


def another(road: Road) -> Registry:
    """Return the registry of a second process on the same store."""
    return Registry(road.store, {"linear": road.runtime}, road.clock)


async def test_versions_are_numbered_from_one(road: Road) -> None:
    versions = [await road.registered(linear(bias=bias)) for bias in (1.0, 2.0)]

    assert [(version.name, version.number) for version in versions] == [("fraud", 1), ("fraud", 2)]
    assert versions[0].digest == digest(linear(bias=1.0))
    assert await road.registry.version("fraud", 1) == versions[0]
    assert await road.registry.versions() == versions


async def test_the_same_bytes_again_are_the_same_version(road: Road) -> None:
    first = await road.registered(linear())
    again = await road.registered(linear(), limits="other words")

    assert again == first
    assert await road.store.count(ModelVersionRow) == {(): 1}


async def test_two_models_may_share_an_artifact(road: Road) -> None:
    versions = [await road.registered(linear(), name=name) for name in ("fraud", "theft")]

    assert [version.number for version in versions] == [1, 1]
    assert await road.store.count(ArtifactRow) == {(): 1}


async def test_registrations_at_once_get_a_number_each(road: Road) -> None:
    versions = await asyncio.gather(*(road.registered(linear(bias=bias)) for bias in range(8)))

    assert sorted(version.number for version in versions) == list(range(1, 9))


async def test_a_description_names_every_fault(road: Road) -> None:
    with pytest.raises(InvalidInput) as caught:
        await road.registry.register(
            "Fraud!",
            linear(),
            runtime="linear",
            training_digest="md5:1",
            by="",
            metrics={"auc": float("nan")},
            card={"limits": {1, 2}, "cost_usd": -1},
        )

    assert [fault.place for fault in caught.value.faults] == [
        "name", "training_digest", "by", "metrics.auc", "card.limits", "card.cost_usd",
    ]  # fmt: skip


async def test_an_artifact_that_does_not_load_is_not_kept(road: Road) -> None:
    with pytest.raises(ModelUnavailable, match="no runtime 'onnx'"):
        await road.registry.register(
            "fraud", linear(), runtime="onnx", training_digest=TRAINING, by="ann"
        )

    assert await road.store.count(ArtifactRow) == {(): 0}


async def test_a_registration_and_a_promotion_stand_in_the_ledger(road: Road) -> None:
    version = await road.live()

    entries = await road.store.select(LedgerEntryRow)
    bodies = [orjson.loads(entry.body) for entry in entries]

    assert [entry.kind for entry in entries] == ["model.registered", "rollout.changed"]
    assert bodies[0]["digest"] == bodies[1]["model_digest"] == version.digest
    assert (bodies[1]["changed_by"], bodies[1]["reason"], bodies[1]["revision"]) == (
        "ann",
        "first",
        1,
    )


async def test_of_eight_promoters_at_once_one_wins(road: Road) -> None:
    versions = [await road.registered(linear(bias=bias)) for bias in range(8)]
    registries = [another(road) for _ in versions]

    answers = await asyncio.gather(
        *(
            registry.promote("p", version, Stage.LIVE, by="ann", reason="race", revision=0)
            for registry, version in zip(registries, versions, strict=True)
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(answer, Conflict) for answer in answers) == 7
    assert len(await road.registry.rollout("p")) == len(await road.registry.history("p")) == 1


async def test_a_promoter_who_looked_at_an_old_rollout_is_refused(road: Road) -> None:
    await road.live(linear(bias=1.0), point="p")
    version = await road.registered(linear(bias=2.0))

    with pytest.raises(StaleWrite, match="revision 1, not 0"):
        await road.registry.promote("p", version, Stage.LIVE, by="ann", reason="late", revision=0)


async def test_history_keeps_what_was_live_when(road: Road) -> None:
    one, two = (
        await road.live(linear(bias=1.0), point="p"),
        await road.live(linear(bias=2.0), point="p"),
    )
    await road.registry.promote("p", one, Stage.LIVE, by="bob", reason="worse than before")

    history = await road.registry.history("p")

    assert [(change.revision, change.model_number, change.changed_by) for change in history] == [
        (3, one.number, "bob"),
        (2, two.number, "ann"),
        (1, one.number, "ann"),
    ]


async def test_only_registered_versions_are_promoted(road: Road) -> None:
    version = await road.registered(linear())
    await road.store.commit([Delete(ModelVersionRow, {"name": "fraud"})])

    with pytest.raises(NotFound, match="fraud/1"):
        await road.registry.promote("p", version, Stage.LIVE, by="ann", reason="gone")


async def test_a_change_by_another_process_is_seen_at_once_when_the_store_tells(road: Road) -> None:
    other = another(road)
    one = await road.live(linear(bias=1.0), point="p")
    before = await other.route("p", "k")

    two = await road.live(linear(bias=2.0), point="p")
    road.store.changed(RolloutRow).set()  # as each process's own store does; these two share one
    after = await other.route("p", "k")

    assert (before.version, after.version) == (one, two)


async def test_a_change_that_nobody_told_is_seen_within_the_poll(road: Road) -> None:
    await road.live(linear(bias=1.0), point="p")
    two = await road.registered(linear(bias=2.0))
    await road.registry.route("p", "k")
    await road.store.commit([Delete(RolloutRow, {"point": "p"})])  # deletions are not told
    road.clock.at_s += 0.9
    kept = await road.registry.route("p", "k")
    road.clock.at_s += 0.2

    assert kept.version.number == 1
    assert two.number == 2
    with pytest.raises(ModelUnavailable, match="no model version is live"):
        await road.registry.route("p", "k")


async def test_a_store_that_is_down_does_not_stop_routing(road: Road) -> None:
    version = await road.live(point="p")
    await road.registry.route("p", "k")
    await road.store.close()
    road.clock.at_s += 60

    route = await road.registry.route("p", "k")

    assert route.version == version


async def test_without_a_first_look_a_store_that_is_down_is_an_error(road: Road) -> None:
    await road.store.close()

    with pytest.raises(StoreUnavailable):
        await road.registry.route("p", "k")


async def test_a_canary_answers_its_share_by_key(road: Road) -> None:
    live = await road.live(linear(bias=1.0), point="p")
    canary = await road.registered(linear(bias=2.0))
    await road.registry.promote("p", canary, Stage.CANARY, by="ann", reason="try", share=0.5)

    routes = [await road.registry.route("p", f"k{number}") for number in range(200)]
    again = [await road.registry.route("p", f"k{number}") for number in range(200)]

    assert routes == again
    assert {(route.stage, route.version.number) for route in routes} == {
        (Stage.LIVE, live.number),
        (Stage.CANARY, canary.number),
    }


async def test_a_model_is_loaded_once(road: Road) -> None:
    version = await road.live(point="p")

    models = await asyncio.gather(*(another_model(road, version) for _ in range(10)))

    assert len({id(model) for model in models}) == 1


async def another_model(road: Road, version: object) -> object:
    route = await road.registry.route("p", "k")
    assert route.version == version
    return await road.registry.model(route.version, 5.0)


async def test_an_artifact_with_other_bytes_is_not_loaded(road: Road) -> None:
    version = await road.live(point="p")
    await road.store.commit(
        [
            Delete(ArtifactRow, {"digest": version.digest}),
            Insert(ArtifactRow(version.digest, linear(bias=9.0))),
        ]
    )

    with pytest.raises(ModelUnavailable, match="damaged") as caught:
        await road.registry.model(version, 5.0)

    assert isinstance(caught.value.__cause__, ArtifactRefused)


async def test_a_model_that_did_not_load_is_tried_again_after_a_while(road: Road) -> None:
    version = await road.live(point="p")
    await road.store.commit([Delete(ArtifactRow, {"digest": version.digest})])
    with pytest.raises(ModelUnavailable, match=re.escape("is not in the store")):
        await road.registry.model(version, 5.0)
    await road.store.commit([Insert(ArtifactRow(version.digest, linear(amount=0.001)))])

    with pytest.raises(ModelUnavailable):
        await road.registry.model(version, 5.0)
    road.clock.at_s += RETRY_AFTER_S
    model = await road.registry.model(version, 5.0)

    assert model.digest == version.digest


class GatedRuntime(LinearRuntime):
    """Loads nothing until its gate is open; then fails as often as it is told."""

    def __init__(self, fails: int = 0) -> None:
        super().__init__()
        self.gate = threading.Event()
        self._fails = fails

    def load(self, artifact: bytes, expected_digest: str) -> LinearModel:
        assert self.gate.wait(30)
        if self._fails:
            self._fails -= 1
            self.gate.clear()
            raise ModelUnavailable("it hung and was ended")
        return super().load(artifact, expected_digest)


async def test_requests_do_not_wait_for_a_load_that_takes_long_and_others_do(road: Road) -> None:
    version = await road.registered(linear())
    gated = GatedRuntime()
    registry = Registry(road.store, {"linear": gated}, road.clock)
    with pytest.raises(ModelStarting):
        await registry.model(version, 0.01, is_patient=False)
    road.clock.at_s += PATIENCE_S

    async with asyncio.timeout(5):
        with pytest.raises(ModelStarting, match="still being loaded"):
            await registry.model(version, 3600.0, is_patient=False)
    waiting = asyncio.create_task(registry.model(version, 30.0))
    gated.gate.set()

    assert (await waiting).digest == version.digest
    assert (await registry.model(version, 0.0, is_patient=False)).digest == version.digest


async def test_a_load_that_took_long_and_failed_is_not_waited_for_when_it_is_tried_again(
    road: Road,
) -> None:
    version = await road.registered(linear())
    gated = GatedRuntime(fails=1)
    registry = Registry(road.store, {"linear": gated}, road.clock)
    with pytest.raises(ModelStarting):
        await registry.model(version, 0.01)
    road.clock.at_s += PATIENCE_S + 1
    gated.gate.set()
    with pytest.raises(ModelUnavailable, match="it hung and was ended"):
        await registry.model(version, 30.0)
    road.clock.at_s += RETRY_AFTER_S

    async with asyncio.timeout(5):
        with pytest.raises(ModelStarting):
            await registry.model(version, 3600.0, is_patient=False)
    gated.gate.set()

    assert (await registry.model(version, 30.0)).digest == version.digest


async def test_warming_loads_what_may_answer_and_leaves_out_what_cannot(road: Road) -> None:
    good = await road.live(linear(bias=1.0), point="p")
    broken = await road.live(linear(bias=2.0), point="q")
    await road.store.commit([Delete(ArtifactRow, {"digest": broken.digest})])

    warmed = await another(road).warm()

    assert warmed == [good]


async def test_a_version_that_is_gone_leaves_the_others_in_service(road: Road) -> None:
    good = await road.live(linear(bias=1.0), point="p")
    gone = await road.live(linear(bias=2.0), point="q")
    await road.store.commit([Delete(ModelVersionRow, {"name": gone.name, "number": gone.number})])
    other = another(road)

    route = await other.route("p", "k")

    assert route.version == good
    assert len(await road.store.select(RolloutRow, *equals(point="q"))) == 1
    with pytest.raises(ModelUnavailable):
        await other.route("q", "k")
