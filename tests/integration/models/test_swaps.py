"""Versions that replace one another under load: nobody is turned away, nobody gets a lesser answer."""

from __future__ import annotations

import asyncio
import random
import threading
from pathlib import Path

import pytest
from pydantic import create_model

from opsrail import Band, DecisionPoint, Policy
from opsrail.app import App, build
from opsrail.cases.loader import Definitions
from opsrail.config import Config, PoolConfig
from opsrail.connect.catalog import FACTORY, child_runtimes, runtimes
from opsrail.connect.onnx import OnnxRuntime
from opsrail.decide.decider import Decider, Request
from opsrail.errors import ModelUnavailable
from opsrail.ports import LoadedModel
from opsrail.registry.pools import PoolRuntimes
from opsrail.registry.registry import Registry
from opsrail.registry.rollout import Stage
from opsrail.values.decisions import Decision
from opsrail.values.models import ModelVersion
from opsrail.values.pools import Pool
from tests.support.forests import artifact_of, random_trees

COLUMNS, TREES = 8, 20
SWAPS = 200
CALLERS = 8
DRAIN_S = 0.05
PATIENCE_MS = 30_000
Facts = create_model("Facts", **{f"f{place}": (float, ...) for place in range(COLUMNS)})  # type: ignore[call-overload]
POINT = DecisionPoint(
    "risk",
    request=Facts,
    policy=Policy([Band("approve", below=0.5), Band("review", below=1.01)]),
    deadline_ms=2_000,
)


def app_in(folder: Path) -> App:
    return build(Config(), folder, Definitions({}, {POINT.name: POINT}, (), ()), runs=True)


async def versions_of(registry: Registry, count: int, **card: object) -> list[ModelVersion]:
    """Register as many models."""
    return [
        await registry.register(
            "risk",
            artifact_of(random_trees(seed, columns=COLUMNS, trees=TREES, depth=4), COLUMNS),
            runtime="onnx",
            training_digest="sha256:" + "0" * 64,
            by="ann",
            card=card,
        )
        for seed in range(count)
    ]


def another_process(app: App) -> tuple[Registry, Decider]:
    """Return a registry and a decider that learn of changes from the store alone, as those of another process do."""
    here = runtimes()
    apart = child_runtimes(here, PoolConfig(), app.clock, FACTORY)
    pools = [PoolRuntimes(Pool(), here, apart)]
    registry = Registry(app.store, here, app.clock, pools=pools, poll_s=0.05, drain_s=DRAIN_S)
    return registry, Decider(app.store, registry, app.features, app.clock)


async def ask(decider: Decider, chance: random.Random, budget_ms: int | None = None) -> Decision:
    facts = Facts(**{f"f{place}": chance.uniform(-2, 2) for place in range(COLUMNS)})
    trace = f"{chance.getrandbits(128):032x}"
    asked = Request(POINT, facts, correlation_id=trace, actor="load", budget_ms=budget_ms)
    return await decider.decide(asked)


def children() -> set[str]:
    """Return the ids of the processes that this one has begun."""
    threads = Path("/proc/self/task").glob("*/children")
    return {pid for thread in threads for pid in thread.read_text(encoding="ascii").split()}


async def load(decider: Decider, until: asyncio.Event, seed: int) -> list[Decision]:
    """Ask, one question after the other, until told to stop."""
    chance, decisions = random.Random(seed), []
    while not until.is_set():
        decisions.append(await ask(decider, chance))
    return decisions


@pytest.mark.slow
@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "in-another-process"])
async def test_two_hundred_swaps_under_load_drop_and_degrade_nothing(
    tmp_path: Path, elsewhere: bool, request: pytest.FixtureRequest
) -> None:
    app = app_in(tmp_path)
    app.registry.warming._drain_s = DRAIN_S  # so that versions are released while others come
    async with app.running():
        versions = await versions_of(app.registry, 5)
        registry, decider = another_process(app) if elsewhere else (app.registry, app.decider)
        await app.registry.promote(POINT.name, versions[0], Stage.LIVE, by="ann", reason="first")
        await registry.warm()
        over = asyncio.Event()
        callers = [asyncio.create_task(load(decider, over, seed)) for seed in range(CALLERS)]
        for swap in range(1, SWAPS + 1):
            version = versions[swap % len(versions)]
            await app.registry.promote(POINT.name, version, Stage.LIVE, by="ann", reason="swap")
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        last = await ask(decider, random.Random(0))
        over.set()
        decisions = [decision for caller in callers for decision in await caller]
        await asyncio.sleep(4 * DRAIN_S)
        held = registry.pools.stats()[0].models
        if elsewhere:
            await registry.close()
            decider.close()

    assert [decision for decision in decisions if decision.degraded] == []
    answered = {decision.model.number for decision in decisions if decision.model is not None}
    assert answered == {version.number for version in versions}
    assert last.model is not None
    assert last.model.number == versions[SWAPS % len(versions)].number
    assert held == 1  # the others were released after their last request
    request.node.user_properties.append(("decisions", len(decisions)))


@pytest.mark.slow
async def test_swaps_between_child_processes_drop_and_degrade_nothing(tmp_path: Path) -> None:
    app = app_in(tmp_path)
    app.registry.warming._drain_s = DRAIN_S
    async with app.running():
        versions = await versions_of(app.registry, 3, isolation="process")
        await app.registry.promote(POINT.name, versions[0], Stage.LIVE, by="ann", reason="first")
        over = asyncio.Event()
        callers = [asyncio.create_task(load(app.decider, over, seed)) for seed in range(CALLERS)]
        for swap in range(1, 7):
            version = versions[swap % len(versions)]
            await app.registry.promote(POINT.name, version, Stage.LIVE, by="ann", reason="swap")
            await asyncio.sleep(0.1)
        over.set()
        decisions = [decision for caller in callers for decision in await caller]
        await asyncio.sleep(10 * DRAIN_S)
        processes = app.decider.stats().processes

    assert [decision for decision in decisions if decision.degraded] == []
    assert [(each.model, each.children, each.crashes) for each in processes] == [("risk/1", 1, 0)]


async def test_a_version_that_loads_slowly_answers_when_it_is_there_and_the_old_one_until_then(
    tmp_path: Path,
) -> None:
    app = app_in(tmp_path)
    async with app.running():
        first, second, broken = await versions_of(app.registry, 3)
        await app.registry.promote(POINT.name, first, Stage.LIVE, by="ann", reason="first")
        slow = _SlowRuntime(broken.digest)
        registry = Registry(app.store, {"onnx": slow}, app.clock, poll_s=0.05)
        decider = Decider(app.store, registry, app.features, app.clock)
        slow.may_load.set()
        await registry.warm()

        async def answering() -> int:
            """Return the version that answers, 0 when there is no score."""
            decision = await ask(decider, random.Random(0), budget_ms=PATIENCE_MS)
            return 0 if decision.model is None or decision.score is None else decision.model.number

        meanwhile, after = [], []
        for version in (second, broken):
            slow.may_load.clear()
            slow.is_asked.clear()
            await app.registry.promote(POINT.name, version, Stage.LIVE, by="ann", reason="swap")
            before = await answering()
            async with asyncio.timeout(60):
                while not slow.is_asked.is_set():
                    meanwhile.append(await answering())
                    await asyncio.sleep(0.01)
                meanwhile += [await answering() for _ in range(10)]
                slow.may_load.set()
                while (number := await answering()) == before:  # noqa: ASYNC110 - no event tells
                    await asyncio.sleep(0.01)
            after.append([number, *[await answering() for _ in range(10)]])
            assert set(meanwhile) == {before}
            meanwhile.clear()
        await registry.close()
        decider.close()

    assert after == [[2] * 11, [0] * 11]  # the third failed to load: no score then


class _SlowRuntime(OnnxRuntime):
    """Takes as long as the test lets it, and cannot load one artifact."""

    def __init__(self, broken: str) -> None:
        super().__init__()
        self._broken = broken
        self.is_asked, self.may_load = threading.Event(), threading.Event()

    def load(self, artifact: bytes, expected_digest: str) -> LoadedModel:
        self.is_asked.set()
        self.may_load.wait(60)
        if expected_digest == self._broken:
            raise ModelUnavailable("this library is no longer there")
        return super().load(artifact, expected_digest)


async def test_a_version_that_cannot_be_loaded_is_not_promoted_where_requests_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_in(tmp_path)
    async with app.running():
        first, second = await versions_of(app.registry, 2)
        await app.registry.promote(POINT.name, first, Stage.LIVE, by="ann", reason="first")
        slow = _SlowRuntime(second.digest)
        slow.may_load.set()
        monkeypatch.setattr(OnnxRuntime, "load", lambda _, *loaded: slow.load(*loaded))
        with pytest.raises(ModelUnavailable, match="no longer"):
            await app.registry.promote(POINT.name, second, Stage.LIVE, by="ann", reason="swap")
        decision = await ask(app.decider, random.Random(0))
        stands = await app.registry.rollout(POINT.name)

    assert decision.model is not None
    assert (decision.model.number, decision.degraded) == (first.number, False)
    assert [row.model_number for row in stands] == [first.number]


async def test_a_live_model_told_to_run_apart_moves_into_its_own_process_under_load(
    tmp_path: Path,
) -> None:
    app = app_in(tmp_path)
    async with app.running():
        (here,) = await versions_of(app.registry, 1)
        await app.registry.promote(POINT.name, here, Stage.LIVE, by="ann", reason="first")
        await app.registry.warm()
        over = asyncio.Event()
        callers = [asyncio.create_task(load(app.decider, over, seed)) for seed in range(CALLERS)]
        await asyncio.sleep(0.2)
        before = list(app.registry.pools.health())

        (apart,) = await versions_of(app.registry, 1, isolation="process")
        (again,) = await versions_of(app.registry, 1, isolation="process")
        await app.registry.promote(POINT.name, apart, Stage.LIVE, by="ann", reason="it may crash")
        last = await ask(app.decider, random.Random(0))
        after = [version for _, version, _ in app.registry.pools.health()]
        over.set()
        decisions = [decision for caller in callers for decision in await caller]

    assert (apart.digest, apart.number) == (here.digest, here.number + 1)
    assert again == apart
    assert before == []
    assert after == [apart]
    assert last.model is not None
    assert last.model.number == apart.number
    assert [decision for decision in decisions if decision.degraded] == []


async def test_one_file_here_and_apart_is_loaded_once_in_one_process_of_its_own(
    tmp_path: Path,
) -> None:
    app = app_in(tmp_path)
    async with app.running():
        (here,) = await versions_of(app.registry, 1)
        (apart,) = await versions_of(app.registry, 1, isolation="process")
        before = children()
        loads = [app.registry.warming.load(version, 20.0) for version in (here, apart)]
        await asyncio.gather(*loads)
        shelf = app.registry.pools.local
        models = {id(await shelf.take(version, 1.0)) for version in (here, apart)}
        begun = children() - before

    assert len(models) == 1
    assert len(begun) == 1
