"""The same rollouts on both databases: everything the guard reads and writes, through SQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from opsrail.clock import SystemClock
from opsrail.ledger.chain import WriterChain
from opsrail.ports import Store
from opsrail.store.postgres import PostgresStore
from opsrail.store.sqlite import SqliteStore
from opsrail.values.guards import GuardSpec, Judged
from opsrail.values.rollouts import AlarmRow, GuaranteeRow
from opsrail.values.rows import Insert
from opsrail.values.shadows import ShadowScoreRow
from opsrail.watch.alarms import Alarms
from tests.support.decided import POINT
from tests.support.postgres import fresh_database
from tests.support.rulings import ruled
from tests.support.scene import Scene

CLOCK = SystemClock()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    store: Store
    if request.param == "sqlite":
        store = SqliteStore(tmp_path / "rows.db", chain=WriterChain(CLOCK), clock=CLOCK)
    else:
        store = PostgresStore(
            request.getfixturevalue("fresh_url"), chain=WriterChain(CLOCK), clock=CLOCK
        )
    yield Scene(store)
    await store.close()


@pytest.fixture
def fresh_url(postgres_url: str) -> Iterator[str]:
    with fresh_database(postgres_url) as url:
        yield url


async def test_late_labels_rulings_and_shadows_are_read_and_weighed(scene: Scene) -> None:
    spec = {
        "least_count": 30, "latency": None, "override": Judged(margin=0.1), "disagreement": Judged(limit=0.5),
        "outcomes": [{"name": "fraud", "margin": 0.05}],
    }  # fmt: skip
    await scene.begin(GuardSpec.model_validate(spec))
    good, bad = (
        await scene.decided(1, 120, verdict="decline"),
        await scene.decided(2, 60, verdict="decline"),
    )
    now_ms = scene.clock.now_ms()
    await scene.store.commit(
        [Insert(ruled(one, "decline", "decline", now_ms)) for one in (*good, *bad)]
    )
    shadows = [
        ShadowScoreRow(one, "fraud", 2, POINT, 0.9, 0.9, "decline", None, 100, 0.0, now_ms)
        for one in good
    ]
    await scene.store.commit([Insert(row) for row in shadows])
    for place, one in enumerate((*good, *bad)):
        await scene.told(one, float(place % 30 == 0))
    await scene.turn(12)

    tracks = await scene.tested()
    assert tracks["override"].counts == (120, 60)
    assert tracks["disagreement"].counts == (0, 120)
    assert tracks["outcome fraud"].means == pytest.approx((4 / 120, 2 / 60))
    assert (await scene.run()).state == "running"


async def test_a_worse_version_is_rolled_back_once_however_many_guards_race(scene: Scene) -> None:
    await scene.begin()
    for _ in range(16):
        await scene.decided(1, 10)
        await scene.decided(2, 5, score=None, verdict="review")
        scene.clock.at_s += 1
    guards = [scene.another(f"guard-{number}") for number in range(5)]
    await asyncio.gather(*(guard.turn() for guard in guards))

    assert (await scene.run()).state == "rolled-back"
    assert await scene.standing() == {"live": (1, 1.0), "retired": (2, 0.0)}
    assert await scene.kinds() == ["rollout.begun", "rollout.rolled-back"]
    assert len(await scene.alarms()) == 1


async def test_a_rollout_walks_its_steps_to_the_end(scene: Scene) -> None:
    await scene.begin()
    for _ in range(3):
        await scene.decided(1, 60)
        await scene.decided(2, 60)
        await scene.turn(1_000)
    await scene.turn(1_000)

    assert (await scene.run()).state == "promoted"
    assert await scene.standing() == {"live": (2, 1.0), "retired": (1, 0.0)}


async def test_a_guarantee_breaks_rings_and_takes_its_rollout_back(scene: Scene) -> None:
    run = await scene.begin()
    spec = '{"outcome":"fraud","among":"approve","limit":0.02,"confidence":0.95}'
    row = GuaranteeRow(run.id, POINT, spec, "{}", "", scene.clock.now_ms(), None, None, 0)
    await scene.store.commit([Insert(row)])
    await scene.decided(1, 40)
    for place, one in enumerate(await scene.decided(2, 60)):
        await scene.told(one, float(place % 4 == 0))
    await scene.turn()
    await scene.turn()

    broken = await scene.store.get(GuaranteeRow, run.id)
    assert broken is not None
    assert broken.broken_at_ms is not None
    assert (await scene.run()).state == "rolled-back"
    assert "no longer holds: 25.00% over 60 labels, 2.00% was promised" in (
        (await scene.run()).why or ""
    )
    kinds = {alarm.kind for alarm in await scene.alarms()}
    assert kinds == {"guarantee-broken", "rollout-rolled-back"}


async def test_an_alarm_is_closed_once(scene: Scene) -> None:
    await scene.begin()
    alarms = Alarms(scene.store, scene.clock)
    row = AlarmRow("0" * 26, POINT, "drill", "x", "A drill.", "{}", 1, None, None)
    await scene.store.commit([Insert(row)])
    found = await asyncio.gather(
        *(alarms.close(row.id, by=who, reason="seen") for who in ("ann", "bob")),
        return_exceptions=True,
    )

    assert sorted(isinstance(one, AlarmRow) for one in found) == [False, True]
    assert await alarms.listed(is_ringing=True) == []
    assert [one.id for one in await alarms.listed(is_ringing=False)] == [row.id]
