"""What held when: one look-up tells it, and it is what the changes up to then come to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsrail.errors import Conflict, NotFound
from opsrail.registry.past import changes_until, held_at
from opsrail.registry.rollout import Stage
from opsrail.values.changes import SettingsChangeRow
from opsrail.values.rows import Insert
from tests.support.decisions import Road, linear


async def a_story() -> tuple[Road, list[int]]:
    """Return a road on which things changed, and the moments just after each change, epoch ms."""
    road = Road()
    await road.store.open()
    versions = [await road.registered(linear(bias=bias)) for bias in (-2.0, -1.0, 0.0)]
    moments = []
    for place, (number, stage, share) in enumerate(
        [
            (0, "live", 1.0),
            (1, "shadow", 0.0),
            (1, "canary", 0.05),
            (2, "shadow", 0.0),
            (1, "live", 1),
        ]
    ):
        road.clock.at_s += 60
        await road.registry.promote(
            "p", versions[number], Stage(stage), by="ann", reason=f"change {place}", share=share
        )
        moments.append(road.clock.now_ms())
    return road, moments


async def test_what_held_is_told_for_every_moment() -> None:
    road, moments = await a_story()
    told = [await held_at(road.store, "p", at_ms) for at_ms in moments]
    between = await held_at(road.store, "p", moments[2] + 59_999)
    before = await held_at(road.store, "p", moments[0] - 1)

    assert [[(one.stage, one.number) for one in held.standing] for held in told] == [
        [("live", 1)],
        [("live", 1), ("shadow", 2)],
        [("live", 1), ("canary", 2)],
        [("live", 1), ("canary", 2), ("shadow", 3)],
        [("live", 2), ("shadow", 3)],
    ]
    assert (told[2].at("canary")[0].share, told[2].at("live")[0].since_ms) == (0.05, moments[0])
    assert between.standing == told[2].standing
    assert (between.until_ms, told[4].until_ms) == (moments[3], None)
    assert (before.standing, before.change, before.until_ms) == ((), None, moments[0])


async def test_settings_of_then_are_told_too() -> None:
    road, moments = await a_story()
    content = '{"deadline_ms":40}'
    row = SettingsChangeRow("p", 1, content, None, "ann", "slow", moments[3] + 1)
    await road.store.commit([Insert(row)])
    before, after = [await held_at(road.store, "p", moments[3] + late) for late in (0, 1)]

    assert (before.settings, before.until_ms) == (None, moments[3] + 1)
    assert after.record()["settings"] == {"deadline_ms": 40}
    assert after.record()["live"]["model_number"] == 1


async def test_changes_up_to_a_moment_are_listed_newest_first() -> None:
    road, moments = await a_story()

    rows = await changes_until(road.store, "p", moments[2], 10)
    assert [row.reason for row in rows] == ["change 2", "change 1", "change 0"]
    assert [row.share for row in rows] == [0.05, 0.0, 1.0]


async def test_of_a_point_where_nothing_was_changed_nothing_is_told() -> None:
    road, moments = await a_story()
    with pytest.raises(NotFound, match="nothing was ever changed at 'q'"):
        await held_at(road.store, "q", moments[0])


MOVES = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(list(Stage)), st.floats(0.01, 1)), max_size=25
)


@given(MOVES)
@settings(max_examples=40, deadline=None)
def test_what_a_change_says_stands_is_what_stands(moves: Any) -> None:
    async def run() -> None:
        road = Road()
        await road.store.open()
        versions = [await road.registered(linear(bias=float(bias))) for bias in range(4)]
        for number, stage, share in moves:
            road.clock.at_s += 1
            try:
                await road.registry.promote(
                    "p", versions[number], stage, by="ann", reason="x", share=share
                )
            except Conflict:
                continue
            held = await held_at(road.store, "p", road.clock.now_ms())
            rows = [row for row in await road.registry.rollout("p") if row.stage != Stage.RETIRED]
            assert sorted(one[:4] for one in held.standing) == sorted(
                (str(row.stage), row.model_name, row.model_number, row.share) for row in rows
            )

    asyncio.run(run())
