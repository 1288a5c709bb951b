"""The guard on a real road: it goes on, holds, rolls back, and never past a person."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from opsrail.errors import Conflict, Denied, InvalidInput, StoreUnavailable
from opsrail.registry.direct import Direct
from opsrail.registry.rollout import Stage
from opsrail.values.guards import Cost, GuardSpec, Judged, Latency, StepPlan
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.models import ModelVersion
from opsrail.values.rollouts import RolloutRunRow
from opsrail.values.rows import Insert
from opsrail.watch.rollout_run import Run
from opsrail.watch.rollouts import Rollouts
from tests.support.decided import POINT, run_row
from tests.support.decisions import linear
from tests.support.scene import QUIET, STEPS, Scene


async def test_a_rollout_begins_with_its_first_share_in_one_commit_with_its_row(
    scene: Scene,
) -> None:
    run = await scene.begin()

    assert await scene.standing() == {"live": (1, 1.0), "canary": (2, 0.2)}
    assert (run.state, run.step, run.champion_number, run.revision) == ("running", 0, 1, 2)
    assert await scene.kinds() == ["rollout.begun"]


async def test_an_equal_version_goes_through_its_steps_to_live_and_is_watched_there(
    scene: Scene,
) -> None:
    await scene.begin()
    shares = []
    for _ in range(4):
        await scene.ask(200)
        await scene.turn(70)
        shares.append(await scene.standing())
    await scene.ask(50)
    await scene.turn(700)
    await scene.turn(1)

    run = await scene.run()
    assert shares[:2] == [
        {"live": (1, 1.0), "canary": (2, 0.5)},
        {"live": (2, 1.0), "retired": (1, 0.0)},
    ]
    assert (run.state, run.ended_at_ms is not None) == ("promoted", True)
    assert await scene.kinds() == [
        "rollout.begun",
        "rollout.step",
        "rollout.step",
        "rollout.promoted",
    ]
    assert await scene.alarms() == []


async def test_a_version_that_cannot_answer_is_rolled_back_in_its_first_step(scene: Scene) -> None:
    await scene.begin()
    scene.road.runtime.failing.add(scene.candidate.digest)
    await scene.ask(400)
    await scene.turn()

    run, (alarm,) = await scene.run(), await scene.alarms()
    assert await scene.standing() == {"live": (1, 1.0), "retired": (2, 0.0)}
    assert (run.state, run.step) == ("rolled-back", 0)
    assert "without a score: 100.00% over" in (run.why or "")
    assert (alarm.kind, alarm.subject, alarm.ended_at_ms) == (
        "rollout-rolled-back",
        "fraud/2",
        None,
    )
    assert await scene.kinds() == ["rollout.begun", "rollout.rolled-back"]


async def test_the_ledger_says_why_and_with_which_figures(scene: Scene) -> None:
    run = await scene.begin()
    scene.road.runtime.failing.add(scene.candidate.digest)
    await scene.ask(400)
    await scene.turn()

    rows = await scene.store.select(LedgerEntryRow)
    (told,) = [json.loads(row.body) for row in rows if row.kind == "rollout.rolled-back"]
    assert (told["subject_id"], told["by"], told["point"]) == (run.id, "guard", POINT)
    assert told["fired"]["candidate_mean"] == 1.0
    assert told["fired"]["evidence"] >= told["fired"]["needed"] == 40.0  # two tests share 5 %
    assert told["decisions"]["candidate"] >= 50


async def test_a_version_behind_its_stand_in_is_still_seen_to_fail(scene: Scene) -> None:
    """Its answers are the champion's, and good: what counts is that it could not give them."""
    await scene.begin(GuardSpec(least_count=30, latency=None, no_score=None))
    stood_in = [{"what": "live", "model": "fraud/1", "why": "model-unavailable"}]
    for _ in range(10):
        await scene.decided(1, 20)
        await scene.decided(1, 5, steps=stood_in)
        scene.clock.at_s += 1
    await scene.turn()

    run = await scene.run()
    assert run.state == "rolled-back"
    assert "somebody else had to answer: 100.00% over 50" in (run.why or "")


async def test_without_decisions_it_holds_and_says_what_for(scene: Scene) -> None:
    await scene.begin()
    await scene.ask(20)
    await scene.turn(5_000)

    run = await scene.run()
    assert (run.state, run.step) == ("running", 0)
    hold = json.loads(run.tests)["hold"]
    assert "of 30 decisions of the candidate in this step" in hold
    assert await scene.kinds() == ["rollout.begun"]


async def test_before_enough_decisions_of_the_candidate_nothing_is_judged(scene: Scene) -> None:
    await scene.begin(GuardSpec(judge_after_count=120, latency=None))
    await scene.decided(1, 100)
    await scene.decided(2, 1)
    for _ in range(11):
        await scene.decided(1, 20)
        await scene.decided(2, 10, score=None, verdict="review")
        await scene.turn()
    assert (await scene.run()).state == "running"

    await scene.decided(2, 10, score=None, verdict="review")
    await scene.turn()
    assert (await scene.run()).state == "rolled-back"


async def test_a_kpi_that_is_never_told_holds_the_step_and_fires_nothing(scene: Scene) -> None:
    spec = {"least_count": 30, "latency": None, "outcomes": [{"name": "fraud", "margin": 0.02}]}
    await scene.begin(GuardSpec.model_validate(spec))
    await scene.ask(400)
    await scene.turn(100)
    await scene.turn(100_000)

    run = await scene.run()
    assert (run.state, run.step) == ("running", 0)
    assert "0 of 30 numbers of `outcome fraud` of the candidate" in json.loads(run.tests)["hold"]


async def test_labels_that_come_late_roll_a_version_back_that_is_worse(scene: Scene) -> None:
    spec = {
        "least_count": 30,
        "latency": None,
        "outcomes": [{"name": "fraud", "among": "approve", "margin": 0.02}],
    }
    await scene.begin(GuardSpec.model_validate(spec))
    good, bad = await scene.decided(1, 300), await scene.decided(2, 100)
    await scene.turn()
    for place, decision_id in enumerate(good):
        await scene.told(decision_id, float(place % 20 == 0))
    await scene.turn()
    assert (await scene.run()).state == "running"

    for place, decision_id in enumerate(bad[:60]):
        await scene.told(decision_id, float(place % 2 == 0))
    await scene.decided(1, 40)
    for decision_id in await scene.decided(1, 40):
        await scene.told(decision_id, 0.0)
    await scene.turn()
    run = await scene.run()
    assert (run.state, run.why) == ("rolled-back", run.why)
    assert "outcome fraud among approve: 50.00% over 60" in (run.why or "")


async def test_of_two_outcomes_of_one_decision_the_first_counts(scene: Scene) -> None:
    spec = {"least_count": 30, "latency": None, "outcomes": [{"name": "fraud", "limit": 0.5}]}
    await scene.begin(GuardSpec.model_validate(spec))
    ids = await scene.decided(2, 40)
    for value in (0.0, 1.0):
        for decision_id in ids:
            await scene.told(decision_id, value)
        await scene.turn()

    track = json.loads((await scene.run()).tests)["evidence"]["tracks"]["outcome fraud"]
    assert (track["counts"][1], track["totals"][1]) == (40, 0.0)


@pytest.mark.parametrize(
    ("spec", "bad", "told"),
    [
        (
            {"latency": Latency(p99_ms=50.0)},
            {"latency_us": 90_000},
            "slower than allowed: 100.00% over ",
        ),
        (
            {"latency": Latency(margin=0.02)},
            {"latency_us": 90_000},
            "slower than allowed: 100.00% over ",
        ),
        (
            {"latency": None, "cost": Cost(most_usd=0.1, margin_usd=0.002)},
            {"cost_usd": 0.05},
            "cost: 0.0",
        ),
        (
            {"latency": None, "cost": Cost(most_usd=0.1, limit_usd=0.02)},
            {"cost_usd": 0.05},
            "cost: 0.0",
        ),
    ],
)
async def test_slow_and_dear_versions_are_rolled_back(
    scene: Scene, spec: dict[str, Any], bad: dict[str, Any], told: str
) -> None:
    await scene.begin(GuardSpec(least_count=30, **spec))
    await scene.decided(1, 300, cost_usd=0.001)
    await scene.decided(2, 20, cost_usd=0.001)
    await scene.turn(20)
    for _ in range(60):
        await scene.decided(1, 4, cost_usd=0.001)
        await scene.decided(2, 4, **bad)
        await scene.turn(3)
        if (await scene.run()).state != "running":
            break

    run = await scene.run()
    assert run.state == "rolled-back"
    assert told in (run.why or "")


async def test_a_cold_cache_is_not_the_version_s_fault(scene: Scene) -> None:
    """Kept scores cost nothing and take no time; only decisions that asked a model are compared."""
    spec = GuardSpec(
        least_count=30, latency=Latency(margin=0.02), cost=Cost(most_usd=0.1, margin_usd=0.0)
    )
    await scene.begin(spec)
    for _ in range(10):
        await scene.decided(1, 100, cache="hit", latency_us=100)
        await scene.decided(1, 30, cache="miss", latency_us=9_000, cost_usd=0.01)
        await scene.decided(2, 30, cache="miss", latency_us=9_000, cost_usd=0.01)
        await scene.turn()

    assert (await scene.run()).state == "running"


async def test_what_a_person_did_is_never_overwritten(scene: Scene) -> None:
    await scene.begin()
    scene.road.runtime.failing.add(scene.candidate.digest)
    await scene.ask(400)
    other = await scene.road.registered(linear(bias=-3.0))
    await scene.promoted(other, Stage.CANARY, 0.3)
    await scene.turn()

    run = await scene.run()
    assert await scene.standing() == {"live": (1, 1.0), "canary": (3, 0.3), "retired": (2, 0.0)}
    assert run.state == "stopped"
    assert "taken over by bob (fraud/3 became canary, revision 3): I know better" in (run.why or "")
    assert await scene.alarms() == []
    assert await scene.kinds() == ["rollout.begun", "rollout.stopped"]


async def test_a_person_who_is_faster_by_a_moment_wins(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard has looked and found the point its own; before it writes, somebody promotes."""
    await scene.begin()
    scene.road.runtime.failing.add(scene.candidate.digest)
    await scene.ask(400)
    promote = scene.registry.promote

    async def overtaken(*given: Any, **named: Any) -> Any:
        monkeypatch.setattr(scene.registry, "promote", promote)
        await scene.promoted(scene.candidate, Stage.LIVE)
        return await promote(*given, **named)

    monkeypatch.setattr(scene.registry, "promote", overtaken)
    await scene.turn()
    assert await scene.standing() == {"live": (2, 1.0), "retired": (1, 0.0)}
    assert (await scene.run()).state == "running"

    await scene.turn()
    assert await scene.standing() == {"live": (2, 1.0), "retired": (1, 0.0)}
    assert (await scene.run()).state == "stopped"


async def test_a_third_version_in_the_shadow_takes_nothing_over(scene: Scene) -> None:
    await scene.begin()
    other = await scene.road.registered(linear(bias=-3.0))
    await scene.promoted(other, Stage.SHADOW)
    await scene.ask(300)
    await scene.turn(70)

    run = await scene.run()
    assert (run.state, run.step, run.revision) == ("running", 1, 4)


async def test_two_guards_that_race_act_once(scene: Scene) -> None:
    await scene.begin()
    scene.road.runtime.failing.add(scene.candidate.digest)
    await scene.ask(400)
    scene.clock.at_s += 1
    guards = [scene.guard, scene.another("two"), scene.another("three")]
    await asyncio.gather(*(guard.turn() for guard in guards))

    assert (await scene.run()).state == "rolled-back"
    assert await scene.kinds() == ["rollout.begun", "rollout.rolled-back"]
    assert len(await scene.alarms()) == 1
    assert [guard.stats().faults for guard in guards] == [{}, {}, {}]


async def test_guards_that_race_count_each_decision_once(scene: Scene) -> None:
    await scene.begin()
    guards = [scene.guard, scene.another("two")]
    for _ in range(10):
        await scene.ask(20)
        scene.clock.at_s += 1
        await asyncio.gather(*(guard.turn() for guard in guards))

    counts = json.loads((await scene.run()).tests)["evidence"]["counts"]
    assert sum(counts) == 200


async def test_another_guard_takes_over_from_one_that_is_gone(scene: Scene) -> None:
    await scene.begin()
    await scene.ask(20)
    await scene.turn()
    other = scene.another("two")
    scene.clock.at_s += 1
    await other.turn()
    assert other.stats().rollouts == 0

    await scene.ask(20)
    scene.clock.at_s += 2
    await other.turn()
    assert other.stats().rollouts == 1
    assert sum(json.loads((await scene.run()).tests)["evidence"]["counts"]) == 40


async def test_a_guard_that_cannot_read_touches_nothing_and_says_so(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await scene.begin()
    await scene.ask(100)
    select = scene.store.select

    async def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("the database is away")

    monkeypatch.setattr(scene.store, "select", away)
    await scene.turn(100)
    assert scene.guard.stats().faults == {"store": "the database does not answer"}

    monkeypatch.setattr(scene.store, "select", select)
    assert await scene.run() == run
    await scene.turn()
    assert scene.guard.stats().faults == {}


@pytest.mark.parametrize("broken", [{"guard": "{"}, {"guard": '{"no_such": 1}'}, {"steps": "[]"}])
async def test_a_rollout_that_cannot_be_read_is_left_alone_and_named(
    scene: Scene, broken: dict[str, Any]
) -> None:
    await scene.begin()
    row = run_row(id="0" * 26, point="other", **broken)
    await scene.store.commit([Insert(row)])
    await scene.turn()

    assert list(scene.guard.stats().faults) == [row.id]
    assert await scene.store.get(RolloutRunRow, row.id) == row


async def test_a_paused_rollout_takes_no_step_and_is_rolled_back_all_the_same(scene: Scene) -> None:
    run = await scene.begin()
    await scene.rollouts.pause(run.id, by="ann", reason="the weekend")
    await scene.ask(300)
    await scene.turn(1_000)
    assert ((await scene.run()).state, (await scene.run()).step) == ("paused", 0)

    scene.road.runtime.failing.add(scene.candidate.digest)
    await scene.ask(300)
    await scene.turn()
    assert (await scene.run()).state == "rolled-back"
    assert await scene.kinds() == ["rollout.begun", "rollout.paused", "rollout.rolled-back"]


async def test_a_live_version_that_turns_bad_while_it_is_watched_goes_back(scene: Scene) -> None:
    spec = {
        "least_count": 30,
        "latency": None,
        "watch_s": 86_400,
        "outcomes": [{"name": "wrong", "limit": 0.3}],
    }
    run = await scene.begin(GuardSpec.model_validate(spec))
    await scene.rollouts.promote(run.id, by="ann", reason="enough was seen in the shadow")
    assert await scene.standing() == {"live": (2, 1.0), "retired": (1, 0.0)}
    for turn in range(60):
        for place, decision_id in enumerate(await scene.decided(2, 20)):
            await scene.told(decision_id, float(place % (10 if turn < 30 else 2) == 0), "wrong")
        await scene.turn()
        if (await scene.run()).state != "running":
            break

    assert 30 < turn < 45
    assert await scene.standing() == {"live": (1, 1.0), "retired": (2, 0.0)}
    assert (await scene.run()).state == "rolled-back"


async def test_overrides_count_where_people_rule_otherwise(scene: Scene) -> None:
    from tests.support.rulings import ruled

    await scene.begin(GuardSpec(least_count=30, latency=None, override=Judged(margin=0.05)))
    for _ in range(10):
        for number, count in ((1, 30), (2, 10)):
            ids = await scene.decided(number, count, verdict="decline")
            rulings = ["approve" if number == 2 else "decline"] * count
            await scene.store.commit(
                [
                    Insert(ruled(one, "decline", ruling, scene.clock.now_ms()))
                    for one, ruling in zip(ids, rulings, strict=True)
                ]
            )
        await scene.turn()

    run = await scene.run()
    assert run.state == "rolled-back"
    assert (run.why or "").startswith("override: 100.00%")


async def test_disagreement_is_told_by_shadows(scene: Scene) -> None:
    from opsrail.values.shadows import ShadowScoreRow

    await scene.begin(GuardSpec(least_count=30, latency=None, disagreement=Judged(limit=0.1)))
    await scene.turn()
    (along,) = scene.registry.shadows(POINT)
    assert (along.version.number, along.stage) == (2, "canary")
    ids = await scene.decided(1, 100)
    now_ms = scene.clock.now_ms()
    await scene.decided(2, 100)
    await scene.store.commit(
        [
            Insert(
                ShadowScoreRow(one, "fraud", 2, POINT, 0.9, 0.9, "review", None, 100, 0.0, now_ms)
            )
            for one in ids
        ]
    )
    await scene.turn(12)

    run = await scene.run()
    assert run.state == "rolled-back"
    assert (run.why or "").startswith("disagreement: 100.00% over 100")


async def test_one_point_has_one_rollout_at_a_time(scene: Scene) -> None:
    run = await scene.begin()
    other = await scene.road.registered(linear(bias=-3.0))

    with pytest.raises(Conflict, match=run.id):
        await scene.rollouts.begin(POINT, other, STEPS, by="ann", reason="more")


async def test_a_point_without_a_live_version_has_nothing_to_compare_with(scene: Scene) -> None:
    await scene.store.open()
    version = await scene.road.registered(linear())

    with pytest.raises(Conflict, match="no live version to compare with"):
        await scene.rollouts.begin(POINT, version, STEPS, by="ann", reason="first")


async def test_of_two_that_begin_at_once_one_does(scene: Scene) -> None:
    await scene.store.open()
    await scene.road.live(linear(bias=-2.0))
    versions = [await scene.road.registered(linear(bias=bias)) for bias in (-1.0, -3.0)]
    found = await asyncio.gather(
        *(scene.rollouts.begin(POINT, one, STEPS, by="ann", reason="first") for one in versions),
        return_exceptions=True,
    )

    assert sorted(isinstance(one, Conflict) for one in found) == [False, True]
    assert len(await scene.store.select(RolloutRunRow)) == 1


@pytest.mark.parametrize(
    ("ask", "state", "standing"),
    [
        ("stop", "stopped", {"live": (1, 1.0), "canary": (2, 0.2)}),
        ("roll_back", "rolled-back", {"live": (1, 1.0), "retired": (2, 0.0)}),
        ("promote", "running", {"live": (2, 1.0), "retired": (1, 0.0)}),
    ],
)
async def test_people_end_and_hasten_rollouts(
    scene: Scene, ask: str, state: str, standing: dict[str, Any]
) -> None:
    run = await scene.begin()
    deed: Callable[..., Any] = getattr(scene.rollouts, ask)
    done = await deed(run.id, by="ann", reason="I say so")

    assert done.state == state
    assert await scene.standing() == standing
    assert await scene.run() == done


class Strict(Direct):
    """Others have to agree to every change."""

    async def tier(self, point: str, version: ModelVersion | None) -> str | None:
        return "high"


async def test_one_person_does_not_end_a_watch_that_others_agreed_to_but_goes_back(
    scene: Scene,
) -> None:
    run = await scene.begin()
    strict = Rollouts(scene.store, scene.registry, scene.clock, Strict(scene.store))
    with pytest.raises(Denied, match=f"tier high.*rollouts rollback {run.id}"):
        await strict.stop(run.id, by="ann", reason="tired of it")
    live = await scene.rollouts.promote(run.id, by="ann", reason="agreed")
    with pytest.raises(Denied, match="tier high"):
        await strict.stop(run.id, by="ann", reason="tired of it")
    assert (await scene.run()).state == "running"
    watch_ms = round(1000 * Run(live).spec.watch_s)
    past = live._replace(entered_at_ms=live.entered_at_ms - watch_ms)

    assert await strict.agreed_tier(live) == "high"
    assert await strict.agreed_tier(past) is None
    assert await strict.agreed_tier(live._replace(guard="[]")) is None
    assert (await strict.roll_back(run.id, by="ann", reason="worse")).state == "rolled-back"


async def test_a_rollout_that_ended_is_changed_by_nobody(scene: Scene) -> None:
    run = await scene.begin()
    await scene.rollouts.stop(run.id, by="ann", reason="enough")

    with pytest.raises(Conflict, match="has ended: stopped"):
        await scene.rollouts.roll_back(run.id, by="ann", reason="more")


async def test_who_and_why_are_asked_for(scene: Scene) -> None:
    run = await scene.begin()

    with pytest.raises(InvalidInput) as refused:
        await scene.rollouts.stop(run.id, by=" ", reason="")
    assert [fault.place for fault in refused.value.faults] == ["by", "reason"]


async def test_steps_that_do_not_rise_are_refused_before_anything_moves(scene: Scene) -> None:
    await scene.store.open()
    await scene.road.live()
    version = await scene.road.registered(linear(bias=-1.0))

    with pytest.raises(InvalidInput):
        await scene.rollouts.begin(
            POINT, version, [StepPlan(0.5, 1), StepPlan(0.2, 1)], QUIET, by="ann", reason="x"
        )
    assert await scene.standing() == {"live": (1, 1.0)}
