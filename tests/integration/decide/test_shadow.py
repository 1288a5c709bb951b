"""Challengers on both databases, some in child processes that die, hang or hold their lock: what answers and tables keep."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from opsrail import Band, DecisionPoint, Policy
from opsrail.app import App
from opsrail.cases.loader import Definitions
from opsrail.clock import SystemClock
from opsrail.config import Config, PoolConfig, ShadowConfig
from opsrail.decide.decider import Request
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.keys import Signer
from opsrail.ledger.notes import SigningKey
from opsrail.ports import Store
from opsrail.registry.rollout import Stage
from opsrail.store.postgres import PostgresStore
from opsrail.store.sqlite import SqliteStore
from opsrail.values.decisions import Decision
from opsrail.values.models import ModelVersion, Score
from opsrail.values.shadows import ShadowScoreRow
from opsrail.values.tables import TABLES
from tests.support.breaking import FACTORY, BreakingRuntime

CLOCK = SystemClock()
DEADLINE_MS = 5_000
BATCH_S = 2.0
"""Far more than a busy machine keeps three answers, and far less than three that wait for a challenger which hangs. Ours."""


class Question(BaseModel):
    x: float = 0.25
    deed: str = ""


class SteadyModel:
    """Scores `x`, whatever the row says."""

    def __init__(self, digest: str) -> None:
        self.digest = digest

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        return [Score(float(str(row["x"])), 1.0, self.digest) for row in rows]


class SteadyRuntime:
    name = "steady"

    def load(self, artifact: bytes, expected_digest: str) -> SteadyModel:
        return SteadyModel(expected_digest)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    chain = WriterChain(CLOCK)
    if request.param == "sqlite":
        return SqliteStore(tmp_path / "opsrail.db", chain=chain, clock=CLOCK)
    return PostgresStore(request.getfixturevalue("database_url"), chain=chain, clock=CLOCK)


POINT = DecisionPoint(
    "risk",
    request=Question,
    policy=Policy[Question]([Band("approve", below=0.5), Band("review", below=1.01)]),
    deadline_ms=DEADLINE_MS,
)


@asynccontextmanager
async def app_on(store: Store) -> AsyncIterator[App]:
    app = App(
        Config(
            pools={"local": PoolConfig(batch_s=BATCH_S, quarantine_s=60)},
            shadow=ShadowConfig(call_s=20.0, time_ratio=1.0),
        ),
        Definitions({}, {"risk": POINT}, (), ()),
        store,
        Signer([SigningKey("test.opsrail.local/ledger", b"k" * 32)]),
        CLOCK,
        anchor=None,
        alone=True,
        runtimes={one.name: one for one in (BreakingRuntime(), SteadyRuntime())},
        runtimes_factory=FACTORY,
    )
    async with app.opened():
        await stands(app, "steady", Stage.LIVE)
        await app.registry.warm()
        yield app


async def stands(app: App, runtime: str, stage: Stage, **card: object) -> ModelVersion:
    """Register a model and put it at a stage."""
    version = await app.registry.register(
        f"{runtime}-{stage}",
        f"{runtime} {stage}".encode(),
        runtime=runtime,
        training_digest="sha256:" + "0" * 64,
        by="t",
        card=card,
    )
    await app.registry.promote("risk", version, stage, by="t", reason="rehearsal")
    return version


async def ask(app: App, deed: str = "", x: float = 0.25) -> Decision:
    return await app.decider.decide(Request(POINT, Question(x=x, deed=deed), "0" * 32, "tester"))


async def said(app: App, within_s: float = 30.0) -> list[ShadowScoreRow]:
    await app.shadows.drain(within_s)
    return await app.store.select(ShadowScoreRow)


async def dump(store: Store) -> dict[str, list[Any]]:
    return {
        row.__name__: await store.select(row, limit=10_000)
        for row in TABLES
        if row is not ShadowScoreRow
    }


async def test_challengers_add_their_scores_and_leave_every_other_table_as_it_was(
    store: Store,
) -> None:
    async with app_on(store) as app:
        await stands(app, "steady", Stage.SHADOW)
        await stands(app, "breaking", Stage.SHADOW, isolation="process")
        decisions = [await ask(app, x=x) for x in (0.1, 0.9, 0.3)]
        before = await dump(app.store)

        rows = await said(app)

        assert await dump(app.store) == before
        assert sorted((row.decision_id, row.score, row.verdict) for row in rows) == sorted(
            (one.id, one.score, one.verdict) for one in decisions for _ in range(2)
        )
        assert {stats.disagreed_ratio for stats in app.shadows.stats()} == {0.0}


@pytest.mark.parametrize(
    ("deed", "codes"),
    [
        ("abort", {"model-crashed"}),
        ("segfault", {"model-crashed"}),
        ("hang", {"model-crashed"}),
        ("hold", {"model-crashed"}),
        ("raise", {"model-unavailable"}),
        ("refuse", {"invalid-input"}),
    ],
)
async def test_a_challenger_that_breaks_its_process_changes_no_answer(
    tmp_path: Path, deed: str, codes: set[str]
) -> None:
    store = SqliteStore(tmp_path / "opsrail.db", chain=WriterChain(CLOCK), clock=CLOCK)
    async with app_on(store) as app:
        alone = await ask(app)
        breaking = await stands(app, "breaking", Stage.SHADOW, isolation="process")
        steady = await stands(app, "steady", Stage.SHADOW)
        await ask(app)
        await app.shadows.drain(30.0)  # its process is there

        begun_s = time.perf_counter()
        beside = [await ask(app, deed) for _ in range(3)]
        took_s = time.perf_counter() - begun_s
        rows = [row for row in await said(app) if row.decision_id in {one.id for one in beside}]

        assert {(one.verdict, one.score, one.degraded) for one in beside} == {
            (alone.verdict, alone.score, False)
        }
        assert took_s < 3 * BATCH_S
        broken = [row for row in rows if row.model_name == breaking.name]
        assert {row.code for row in broken} == codes
        assert {row.score for row in broken} == {None}
        assert [row.code for row in rows if row.model_name == steady.name] == [None] * 3
        assert (await ask(app)).degraded is False
