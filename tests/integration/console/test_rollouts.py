"""Pages of rollouts and alarms: what they draw, and what people do by their forms."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from opsrail.values.guards import GuardSpec, StepPlan
from opsrail.values.rollouts import AlarmRow, RolloutRunRow, RunState
from opsrail.values.rows import Insert, Update
from opsrail.watch.alarms import alarm_of
from tests.integration.console.conftest import POINT, Console

LetIn = Callable[..., None]


async def begun(console: Console) -> str:
    version = await console.version(b"other")
    steps = [StepPlan(0.1, 3600.0), StepPlan(0.5, 3600.0)]
    row = await console.app.rollouts.begin(
        POINT, version, steps, GuardSpec(), by="ann", reason="newer"
    )
    return row.id


async def test_a_rollout_shows_its_steps_and_what_its_guard_reads(console: Console) -> None:
    rollout_id = await begun(console)

    text = await console.page(f"/console/rollouts/{rollout_id}")

    assert console.asked <= 5
    assert 'aria-label="10% for 1 h, now; 50% for 1 h, ahead; live for 1 d, ahead"' in text
    assert "no_score" in text
    assert "1 of " in text
    assert rollout_id in await console.page("/console/rollouts?state=running")


async def test_a_rollout_is_halted_resumed_and_rolled_back_by_forms(
    console: Console, signed_in: LetIn
) -> None:
    rollout_id = await begun(console)
    one = f"/console/rollouts/{rollout_id}"
    signed_in("user:olga", ("*", "operator"))
    for verb, state in (("pause", "paused"), ("resume", "running"), ("rollback", "rolled-back")):
        assert f'action="{one}/{verb}"' in await console.page(one)
        answer = await console.send(f"{one}/{verb}", reason="I want to look")
        assert (answer.status_code, answer.headers["location"]) == (303, one)
        assert (await console.app.rollouts.get(rollout_id)).state == RunState(state)

    assert 'method="post"' not in (await console.page(one)).partition("<main")[2]


async def test_where_others_have_to_agree_nobody_goes_past_the_steps_by_a_form(
    console: Console, signed_in: LetIn
) -> None:
    rollout_id = await begun(console)
    one = f"/console/rollouts/{rollout_id}"
    signed_in("user:olga", ("*", "operator"))
    offered = await console.page(one)
    direct = console.app.changes.direct
    direct._declared = {POINT: direct._declared[POINT]._replace(impact="high")}
    held = await console.page(one)
    answer = await console.send(f"{one}/promote", reason="it looks well")

    assert [f'action="{one}/promote"' in page for page in (offered, held)] == [True, False]
    assert f'action="{one}/rollback"' in held
    assert answer.status_code == 403
    assert "where changes need 2 approvals" in answer.text
    assert (await console.app.rollouts.get(rollout_id)).step == 0


async def test_who_may_not_change_rollouts_is_offered_and_allowed_nothing(
    console: Console, signed_in: LetIn
) -> None:
    rollout_id = await begun(console)
    one = f"/console/rollouts/{rollout_id}"
    signed_in("user:vera", ("*", "viewer"), ("another-point", "operator"))

    assert 'method="post"' not in (await console.page(one)).partition("<main")[2]
    assert (await console.send(f"{one}/pause", reason="x")).status_code == 403


async def test_a_rollout_whose_guard_cannot_be_read_says_so(console: Console) -> None:
    rollout_id = await begun(console)
    await console.app.store.commit([Update(RolloutRunRow, (rollout_id,), {"guard": "{"})])

    assert "card problem" in await console.page(f"/console/rollouts/{rollout_id}")


async def test_an_alarm_rings_until_somebody_ends_it(console: Console, signed_in: LetIn) -> None:
    row = alarm_of(
        console.app.clock, POINT, "guarantee-broken", "x/1", "<b>It broke.</b>", {"n": 1}
    )
    await console.app.store.commit([Insert(row)])
    signed_in("user:olga", ("*", "operator"))
    ringing = await console.page("/console/alarms")
    assert console.asked <= 5
    nothing = await console.send(f"/console/alarms/{row.id}/close")
    done = await console.send(f"/console/alarms/{row.id}/close", reason="mended")

    assert "&lt;b&gt;It broke.&lt;/b&gt;" in ringing
    assert nothing.status_code == 422
    assert (done.status_code, done.headers["location"]) == (303, "/console/alarms")
    assert "No alarm rings." in await console.page("/console/alarms")
    assert "closed by user:olga" in await console.page("/console/alarms?state=closed")
    kept = await console.app.store.get(AlarmRow, row.id)
    assert kept is not None
    assert kept.ended_by == "user:olga"


async def test_an_alarm_of_another_point_is_neither_seen_nor_ended(
    console: Console, signed_in: LetIn
) -> None:
    row = alarm_of(console.app.clock, POINT, "guarantee-broken", "x/1", "It broke.", {})
    await console.app.store.commit([Insert(row)])
    signed_in("user:olga", ("another-point", "operator"))

    assert "It broke." not in await console.page("/console/alarms?state=")
    assert (await console.send(f"/console/alarms/{row.id}/close", reason="x")).status_code == 403


@pytest.mark.parametrize("path", ["rollouts/x", "rollouts/01K8ZC2V7N3T9D4M6Q0RWXYABC"])
async def test_what_is_not_there_is_not_found(console: Console, path: str) -> None:
    assert (await console.get(f"/console/{path}")).status_code == 404
