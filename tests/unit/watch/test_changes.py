"""Changes that people approved, carried and taken back by the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from opsrail.values.outcomes import OutcomeRow
from opsrail.values.rollouts import AlarmRow, GuaranteeRow, RolloutRunRow
from opsrail.values.rows import Insert
from opsrail.watch.guard import Guard
from tests.support.changing import NARROW, Changing
from tests.support.decided import decision
from tests.support.decisions import linear

STEPS = [{"share": 0.2, "hold_s": 60}, {"share": 0.5, "hold_s": 60}]
PROMISED = {"outcome": "fraud", "among": "approve", "limit": 0.02, "confidence": 0.95}


@pytest.fixture
async def road() -> AsyncIterator[Changing]:
    async with Changing().opened() as road:
        yield road


def guard_of(road: Changing) -> Guard:
    return Guard(road.store, road.registry, road.clock, lambda: "one", changes=road.changes)


async def decided(road: Changing, number: int, count: int, **given: Any) -> list[str]:
    rows = []
    for place in range(count):
        road.clock.at_s += 0.001
        rows.append(
            decision(road.clock.now_ms(), place + 1000 * number, model=("fraud", number), **given)
        )
    await road.store.commit([Insert(row) for row in rows])
    return [row.id for row in rows]


async def labelled(road: Changing, ids: list[str], bad_one_in: int) -> None:
    for place, one in enumerate(ids):
        now_ms = road.clock.now_ms()
        value = float(place % bad_one_in == 0)
        row = OutcomeRow(
            road.clock.new_id(), one, "fraud", value, "late", 1.0, "ann", now_ms, now_ms
        )
        await road.store.commit([Insert(row)])


async def turn(road: Changing, guard: Guard) -> None:
    road.clock.at_s += 2
    await guard.turn()


async def test_a_rollout_that_a_change_began_is_carried_and_takes_its_change_back_with_it(
    road: Changing,
) -> None:
    await road.registered(linear(bias=9.0, amount=0.001))
    change = await road.applied(
        "promote", {"model": "fraud/2", "steps": STEPS, "guard": {"latency": None}}
    )
    guard = guard_of(road)
    for _ in range(16):
        await decided(road, 1, 10)
        await decided(road, 2, 5, score=None, verdict="review")
        await turn(road, guard)

    run = await road.store.get(RolloutRunRow, change.id)
    after = await road.changes.get(change.id)
    assert run is not None
    assert run.state == "rolled-back"
    assert (after.row.state, after.row.ended_by, after.row.why) == ("rolled-back", "guard", run.why)


@pytest.mark.parametrize(("rolls_back", "state"), [(True, "rolled-back"), (False, "applied")])
async def test_a_broken_guarantee_rings_and_takes_its_bands_back_where_it_says_so(
    road: Changing, rolls_back: bool, state: str
) -> None:
    change = await road.applied(
        "bands", {"bands": NARROW, "guarantee": {**PROMISED, "roll_back": rolls_back}}
    )
    guard = guard_of(road)
    await labelled(road, await decided(road, 1, 60), 4)
    await turn(road, guard)
    await turn(road, guard)

    (alarm,) = await road.store.select(AlarmRow)
    row = await road.store.get(GuaranteeRow, change.id)
    assert alarm.kind == "guarantee-broken"
    assert row is not None
    assert row.broken_at_ms is not None
    assert (await road.changes.get(change.id)).row.state == state
    assert guard.stats().faults == {}


async def test_bands_that_a_person_changed_since_are_left_as_they_are(road: Changing) -> None:
    change = await road.applied(
        "bands", {"bands": NARROW, "guarantee": {**PROMISED, "roll_back": True}}
    )
    later = await road.applied("deadline", {"deadline_ms": 900})
    guard = guard_of(road)
    await labelled(road, await decided(road, 1, 60), 4)
    for _ in range(3):
        await turn(road, guard)

    assert (await road.changes.get(change.id)).row.state == "applied"
    assert (await road.changes.get(later.id)).row.state == "applied"
    assert len(await road.store.select(AlarmRow)) == 1


async def test_a_guarantee_that_holds_says_nothing(road: Changing) -> None:
    change = await road.applied("bands", {"bands": NARROW, "guarantee": PROMISED})
    guard = guard_of(road)
    await labelled(road, await decided(road, 1, 200), 100)
    await labelled(road, await decided(road, 2, 50, verdict="review"), 1)
    await turn(road, guard)

    row = await road.store.get(GuaranteeRow, change.id)
    assert row is not None
    assert row.broken_at_ms is None
    assert '"count":200' in row.state
    assert await road.store.select(AlarmRow) == []
