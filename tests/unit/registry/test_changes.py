"""Changes: planned, approved by people, applied whole, rolled back to exactly what stood before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from opsrail.decide.held import declared_of
from opsrail.errors import Conflict, Denied, InvalidInput, NotFound
from opsrail.registry.changes import Changes
from opsrail.registry.rollout import Stage
from opsrail.values.changes import ApprovalRow, ChangeState
from opsrail.values.models import ModelVersion
from opsrail.values.registry import RolloutRow
from opsrail.values.rollouts import GuaranteeRow, RolloutRunRow
from opsrail.values.rows import Delete, equals
from tests.support.changing import NARROW, STEPS, Changing
from tests.support.decisions import Claim, fraud_point, linear

DEADLINE = {"deadline_ms": 900}


@pytest.fixture
async def road() -> AsyncIterator[Changing]:
    async with Changing().opened() as road:
        yield road


@pytest.fixture
async def high() -> AsyncIterator[Changing]:
    async with Changing(fraud_point(impact="high")).opened() as road:
        yield road


async def second(road: Changing) -> ModelVersion:
    return await road.registered(linear(bias=9.0, amount=0.001))


async def standing(road: Changing) -> dict[str, int]:
    return {str(row.stage): row.model_number for row in await road.registry.rollout("fraud-risk")}


# -- planning ----------------------------------------------------------------------------------------------------------


async def test_a_plan_alters_nothing_and_says_what_it_would_do(road: Changing) -> None:
    for age in range(4):
        await road.asked(Claim(age=age))
    before = await road.live_rows()
    view = await road.planned("bands", {"bands": NARROW})

    assert await road.live_rows() == before
    assert view.plan["from"]["bands"] is None
    assert view.plan["affected"]["moves"] == [{"from": "approve", "to": "review", "count": 4}]
    assert view.explain()[0] == (
        "fraud-risk: bands from what the code says (approve below 0.5, review below 1.01) to approve below 0.1, "
        "review below 1.01."
    )
    assert "1 person other than ann must agree; 1 still missing." in view.explain()[-1]
    assert (await road.asked(Claim(age=99))).verdict == "approve"


async def test_a_plan_that_is_only_looked_at_is_not_kept(road: Changing) -> None:
    view = await road.changes.plan(
        "fraud-risk", "deadline", DEADLINE, by="ann", reason="x", keeps=False
    )

    with pytest.raises(NotFound):
        await road.changes.get(view.row.id)


@pytest.mark.parametrize(
    ("kind", "content", "places"),
    [
        ("bands", {"bands": [{"verdict": "pay", "below": 1.01}]}, {"bands[0]"}),
        ("bands", {"bands": [{"verdict": "approve", "below": 0.5}], "x": 1}, {"bands", "x"}),
        ("bands", {}, {"bands"}),
        ("deadline", {"deadline_ms": 0}, {"deadline_ms"}),
        ("autonomy", {"level": "observe", "where": {"colour": "red"}}, {"where"}),
        ("autonomy", {"level": "much"}, {"level"}),
        (
            "autonomy",
            {"autonomy": [{"where": {}, "level": "assist"}, {"where": 1, "level": "x"}]},
            {"autonomy[0].where", "autonomy[1].where", "autonomy[1].level"},
        ),
        ("promote", {"model": "fraud"}, {"model"}),
        (
            "promote",
            {"model": "fraud/2", "steps": [{"share": 0.5, "hold_s": 1}, {"share": 0.2, "hold_s": -1}]},
            {"steps[1].share", "steps[1].hold_s"},
        ),
        ("promote", {"model": "fraud/2", "stage": "shadow", "steps": STEPS}, {"steps"}),
        ("promote", {"model": "fraud/2", "stage": "canary"}, {"share"}),
        ("promote", {"model": "fraud/2", "guard": {}}, {"guard"}),
        ("colour", {}, {"kind"}),
    ],
)  # fmt: skip
async def test_all_faults_of_a_wish_come_at_once(
    road: Changing, kind: str, content: dict[str, Any], places: set[str]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await road.planned(kind, content)

    assert {fault.place for fault in refused.value.faults} == places


async def test_a_wish_says_who_and_why(road: Changing) -> None:
    with pytest.raises(InvalidInput) as refused:
        await road.changes.plan("fraud-risk", "deadline", DEADLINE, by=" ", reason="")

    assert {fault.place for fault in refused.value.faults} == {"by", "reason"}


async def test_what_would_change_nothing_is_refused(road: Changing) -> None:
    await road.applied("deadline", DEADLINE)

    with pytest.raises(Conflict, match="nothing to change"):
        await road.planned("deadline", DEADLINE)


@pytest.mark.parametrize(
    ("impact", "risk_tier", "tier", "approvals"),
    [
        ("low", None, "low", 1),
        ("low", "high", "high", 2),
        ("medium", "low", "medium", 1),
        ("high", "low", "high", 2),
    ],
)
async def test_the_higher_of_the_points_impact_and_the_models_risk_says_how_many_must_agree(
    impact: Any, risk_tier: str | None, tier: str, approvals: int
) -> None:
    card = {} if risk_tier is None else {"risk_tier": risk_tier}
    async with Changing(fraud_point(impact=impact), **card).opened() as road:
        view = await road.planned("deadline", DEADLINE)

    assert (view.row.tier, view.missing) == (tier, approvals)


async def test_a_point_of_which_nothing_is_known_counts_as_high(road: Changing) -> None:
    view = await road.changes.plan("other-risk", "deadline", DEADLINE, by="ann", reason="x")

    assert (view.row.tier, view.plan["needs"]["impact"]) == ("high", None)


# -- approving ---------------------------------------------------------------------------------------------------------


async def test_nobody_approves_their_own_change_however_they_write_their_name(
    road: Changing,
) -> None:
    view = await road.planned("deadline", DEADLINE, by="Ann Lee")

    for name in ("Ann Lee", "ann lee", " ANN  LEE ", "\uff21nn Lee", "user:Ann Lee"):
        with pytest.raises(Denied):
            await road.changes.approve(view.row.id, by=name)


async def test_the_database_has_no_room_for_the_authors_approval(road: Changing) -> None:
    view = await road.planned("deadline", DEADLINE)

    own = await road.store.get(ApprovalRow, view.row.id, "ann")

    assert own is not None
    assert own.verdict == "author"


async def test_two_must_agree_where_much_is_at_stake(high: Changing) -> None:
    view = await high.planned("deadline", DEADLINE)
    one = await high.changes.approve(view.row.id, by="bob")
    with pytest.raises(Conflict, match="planned"):
        await high.changes.apply(view.row.id, by="ann")
    with pytest.raises(Conflict, match="before"):
        await high.changes.approve(view.row.id, by="Bob")
    two = await high.changes.approve(view.row.id, by="cleo")

    assert (one.row.state, one.missing) == (ChangeState.PLANNED, 1)
    assert (two.row.state, two.missing) == (ChangeState.APPROVED, 0)


async def test_an_approval_that_is_gone_from_the_database_stops_the_change(high: Changing) -> None:
    view = await high.approved("deadline", DEADLINE)
    before = await high.live_rows()
    await high.store.commit([Delete(ApprovalRow, {"change_id": view.row.id, "by": "bob"})])

    with pytest.raises(Conflict, match="1 more must agree"):
        await high.changes.apply(view.row.id, by="ann")
    assert await high.live_rows() == before


async def test_a_rejected_or_withdrawn_change_is_over(road: Changing) -> None:
    rejected = await road.approved("deadline", DEADLINE)
    withdrawn = await road.planned("bands", {"bands": NARROW})
    await road.changes.reject(rejected.row.id, by="dan", reason="too short")
    await road.changes.withdraw(withdrawn.row.id, by="ann", reason="a mistake")

    for view in (rejected, withdrawn):
        for act in (road.changes.approve, road.changes.apply):
            with pytest.raises(Conflict):
                await act(view.row.id, by="eve")
    assert await road.entries(rejected.row.id) == [
        "change.planned",
        "change.approved",
        "change.rejected",
    ]


# -- applying ----------------------------------------------------------------------------------------------------------


async def test_an_applied_change_holds_from_the_next_request_on_and_the_ledger_tells_its_life(
    road: Changing,
) -> None:
    row = await road.applied("bands", {"bands": NARROW})

    assert (await road.asked()).verdict == "review"
    assert (row.state, row.applied_by) == (ChangeState.APPLIED, "ann")
    assert await road.entries(row.id) == ["change.planned", "change.approved", "change.applied"]


async def test_settings_keep_what_other_changes_set(road: Changing) -> None:
    await road.applied("bands", {"bands": NARROW})
    await road.applied("deadline", DEADLINE)
    await road.applied("autonomy", {"level": "observe", "where": {"make": "Honda"}})
    await road.applied("autonomy", {"level": "assist"})
    await road.applied("autonomy", {"level": "automate", "where": {"make": "Honda"}})

    held = road.registry.held
    await road.asked()
    settings = held.of("fraud-risk")

    assert settings is not None
    assert (len(settings.bands or ()), settings.deadline_ms, settings.revision) == (2, 900, 5)
    assert [(dict(one.where), one.level) for one in settings.autonomy] == [
        ({"make": "Honda"}, "automate"),
        ({}, "assist"),
    ]


async def test_a_setting_goes_back_to_what_the_code_says(road: Changing) -> None:
    await road.applied("bands", {"bands": NARROW})
    await road.applied("bands", {"bands": None})

    assert (await road.asked()).policy_version == road.point.policy_version


async def test_a_change_of_what_was_changed_meanwhile_is_planned_anew(road: Changing) -> None:
    late = await road.approved("deadline", DEADLINE)
    await road.applied("bands", {"bands": NARROW})
    promotion = await road.approved("promote", {"model": f"fraud/{(await second(road)).number}"})
    await road.promoted(await road.registered(linear(bias=3.0)), Stage.SHADOW)
    before = await road.live_rows()

    for view in (late, promotion):
        with pytest.raises(Conflict, match="plan it anew"):
            await road.changes.apply(view.row.id, by="ann")
    assert await road.live_rows() == before


async def test_bands_that_people_agreed_to_for_one_version_do_not_come_to_hold_for_another(
    road: Changing,
) -> None:
    bands = await road.approved("bands", {"bands": NARROW})
    await road.promoted(await second(road), Stage.LIVE)
    before = await road.live_rows()

    with pytest.raises(Conflict, match=r"live fraud/2 answers at fraud-risk now\); plan it anew"):
        await road.changes.apply(bands.row.id, by="ann")
    assert await road.live_rows() == before


async def test_a_version_that_people_agreed_to_while_others_decide_is_not_left_to_decide_alone(
    road: Changing,
) -> None:
    await second(road)
    await road.applied("autonomy", {"level": "observe"})
    promotion = await road.approved("promote", {"model": "fraud/2"})
    await road.applied("autonomy", {"autonomy": None})
    before = await road.live_rows()

    with pytest.raises(Conflict, match="settings of fraud-risk are at revision 2, not 1"):
        await road.changes.apply(promotion.row.id, by="ann")
    assert await road.live_rows() == before


async def test_of_bands_and_a_promotion_that_are_applied_at_once_one_holds(road: Changing) -> None:
    await second(road)
    await road.applied("deadline", DEADLINE)
    views = [
        await road.approved("bands", {"bands": NARROW}),
        await road.approved("promote", {"model": "fraud/2"}),
    ]
    ended = await asyncio.gather(
        *(road.changes.apply(view.row.id, by="ann") for view in views), return_exceptions=True
    )

    assert sorted(isinstance(one, Conflict) for one in ended) == [False, True]


async def test_a_challenger_and_a_larger_share_leave_approvals_of_settings_as_they_are(
    road: Changing,
) -> None:
    canary = await second(road)
    await road.promoted(canary, Stage.CANARY, share=0.1)
    bands = await road.approved("bands", {"bands": NARROW})
    await road.promoted(canary, Stage.CANARY, share=0.5)
    await road.promoted(await road.registered(linear(bias=3.0)), Stage.SHADOW)

    assert (await road.changes.apply(bands.row.id, by="ann")).row.state == "applied"


@pytest.mark.parametrize(
    ("kind", "content"), [("deadline", DEADLINE), ("promote", {"model": "fraud/2"})]
)
async def test_a_change_that_too_few_agreed_to_for_what_is_at_stake_by_now_is_planned_anew(
    road: Changing, kind: str, content: dict[str, Any]
) -> None:
    await second(road)
    view = await road.approved(kind, content)
    graver = Changes(
        road.store,
        road.registry,
        road.clock,
        declared_of({"fraud-risk": fraud_point(impact="high")}),
    )
    before = await road.live_rows()

    with pytest.raises(Conflict, match=f"planned at tier {view.row.tier}: plan it anew"):
        await graver.apply(view.row.id, by="ann")
    assert (view.missing, await road.live_rows()) == (0, before)


async def test_who_is_asked_is_told_what_a_version_is_judged_by_and_that_nothing_judges_it(
    road: Changing,
) -> None:
    await second(road)
    blind = {"latency": None, "fallback": None, "no_score": None, "least_count": 1}
    told = {
        name: (
            await road.planned("promote", {"model": "fraud/2", "steps": STEPS, "guard": guard})
        ).explain()
        for name, guard in {"blind": blind, "own": {"latency": {"p99_ms": 50}}}.items()
    }
    nothing = "Risk: Its guard judges nothing: it goes live by time alone."

    assert (
        "Its guard: latency off, fallback off, no_score off, least_count 1; the rest as docs/rollouts.md says."
        in told["blind"]
    )
    assert 'Its guard: latency {"p99_ms":50}; the rest as docs/rollouts.md says.' in told["own"]
    assert (nothing in told["blind"], nothing in told["own"]) == (True, False)


async def test_a_promotion_without_steps_is_live_at_once(road: Changing) -> None:
    await second(road)
    await road.applied("promote", {"model": "fraud/2"})

    decision = await road.asked()

    assert decision.model is not None
    assert decision.model.number == 2
    assert await standing(road) == {"live": 2, "retired": 1}


async def test_a_promotion_in_steps_begins_a_rollout_with_its_first_share(road: Changing) -> None:
    await second(road)
    row = await road.applied(
        "promote", {"model": "fraud/2", "steps": STEPS, "guard": {"latency": {"p99_ms": 50}}}
    )

    run = await road.store.get(RolloutRunRow, row.id)
    [canary] = await road.store.select(RolloutRow, *equals(stage="canary"))

    assert run is not None
    assert (run.model_number, run.champion_number, run.step, run.state) == (2, 1, 0, "running")
    assert (orjson.loads(run.steps), orjson.loads(run.guard)) == (
        STEPS,
        {"latency": {"p99_ms": 50}},
    )
    assert (canary.model_number, canary.share, canary.revision) == (2, 0.1, run.revision)
    with pytest.raises(Conflict, match="under way"):
        await road.planned("promote", {"model": "fraud/2", "steps": STEPS})


async def test_whom_a_canary_would_touch_is_told_by_the_hash_that_will_route_them() -> None:
    point = fraud_point(entity=lambda facts: facts.make)
    async with Changing(point).opened() as road:
        await second(road)
        makes = [f"make-{n}" for n in range(40)]
        for make in makes:
            await road.asked(Claim(make=make))
        view = await road.approved("promote", {"model": "fraud/2", "stage": "canary", "share": 0.3})
        await road.changes.apply(view.row.id, by="ann")
        answered = [(await road.asked(Claim(make=make))).model for make in makes]

    [move] = view.plan["affected"]["moves"]
    assert move["count"] == [model.number for model in answered if model].count(2) > 0


async def test_a_version_that_cannot_go_there_is_not_planned(road: Changing) -> None:
    with pytest.raises(Conflict, match="cannot become live"):
        await road.planned("promote", {"model": "fraud/1"})
    with pytest.raises(NotFound):
        await road.planned("promote", {"model": "fraud/9"})


async def test_bands_bring_their_guarantee_and_end_those_that_stood(road: Changing) -> None:
    guarantee = {
        "outcome": "fraud",
        "text": "approved is fraud <= 1%",
        "limit": 0.01,
        "confidence": 0.95,
    }
    first = await road.applied("bands", {"bands": NARROW, "guarantee": guarantee})
    wide = [{"verdict": "approve", "below": 0.2}, {"verdict": "review", "below": 1.01}]
    next_one = await road.applied("bands", {"bands": wide, "guarantee": [guarantee, guarantee]})
    stands = await road.store.select(GuaranteeRow, *equals(ended_at_ms=None))
    await road.changes.rollback(next_one.id, by="bob", reason="worse")
    restored = await road.store.select(GuaranteeRow, *equals(ended_at_ms=None))

    assert [one.id for one in stands] == [next_one.id, f"{next_one.id}-2"]
    assert [(one.id, orjson.loads(one.spec)) for one in restored] == [(first.id, guarantee)]


# -- rolling back ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("bands", {"bands": NARROW}),
        ("deadline", DEADLINE),
        ("autonomy", {"level": "observe"}),
        ("promote", {"model": "fraud/2"}),
        ("promote", {"model": "fraud/2", "steps": STEPS}),
        ("promote", {"model": "fraud/2", "stage": "shadow"}),
        ("promote", {"model": "fraud/1", "stage": "retired"}),
    ],
)
async def test_a_roll_back_restores_exactly_what_stood_before(
    road: Changing, kind: str, content: dict[str, Any]
) -> None:
    await second(road)
    third = await road.registered(linear(bias=-3.0))
    await road.promoted(third, Stage.STANDBY)
    stood = {row[:5] for row in await road.registry.rollout("fraud-risk")}
    verdict = (await road.asked()).verdict
    row = await road.applied(kind, content)
    over = await road.changes.rollback(row.id, by="bob", reason="it is worse")

    assert {row[:5] for row in await road.registry.rollout("fraud-risk")} == stood
    assert (await road.asked()).policy_version == road.point.policy_version
    assert (await road.asked(Claim(age=2))).verdict == verdict
    assert (over.row.state, over.row.ended_by, over.row.why) == (
        "rolled-back",
        "bob",
        "it is worse",
    )
    assert (await road.entries(row.id))[-1] == "change.rolled-back"


async def test_a_roll_back_never_goes_past_what_somebody_decided_later(road: Changing) -> None:
    row = await road.applied("bands", {"bands": NARROW})
    await road.applied("deadline", DEADLINE)

    with pytest.raises(Conflict, match="--over 2 --reason WHY"):
        await road.changes.rollback(row.id, by="guard", reason="alarm")
    with pytest.raises(Conflict, match="--over 2"):
        await road.changes.rollback(row.id, by="bob", reason="x", over=1)
    await road.changes.rollback(row.id, by="bob", reason="I looked at it", over=2)
    await road.asked()
    settings = road.registry.held.of("fraud-risk")

    assert settings is not None
    assert (settings.bands, settings.deadline_ms) == (None, 900)


async def test_a_challenger_that_came_later_stands_in_no_roll_backs_way_and_stays(
    road: Changing,
) -> None:
    await second(road)
    row = await road.applied("promote", {"model": "fraud/2"})
    await road.promoted(await road.registered(linear(bias=3.0)), Stage.SHADOW)
    await road.changes.rollback(row.id, by="guard", reason="worse")

    assert await standing(road) == {"live": 1, "shadow": 3}


async def test_who_took_the_version_aside_later_is_not_overruled(road: Changing) -> None:
    version = await second(road)
    row = await road.applied("promote", {"model": "fraud/2", "stage": "canary", "share": 0.1})
    await road.promoted(version, Stage.SHADOW)

    with pytest.raises(Conflict, match="--over"):
        await road.changes.rollback(row.id, by="guard", reason="worse")


async def test_a_rollout_under_way_is_rolled_back_with_its_change(road: Changing) -> None:
    await second(road)
    row = await road.applied("promote", {"model": "fraud/2", "steps": STEPS})
    await road.changes.rollback(row.id, by="guard", reason="p99 is 80 ms, over 50 ms")

    run = await road.store.get(RolloutRunRow, row.id)

    assert run is not None
    assert (run.state, run.why) == ("rolled-back", "p99 is 80 ms, over 50 ms")
    assert await standing(road) == {"live": 1}


async def test_history_and_ledger_say_who_was_live_when(road: Changing) -> None:
    await second(road)
    row = await road.applied("promote", {"model": "fraud/2"})
    await road.changes.rollback(row.id, by="bob", reason="worse")

    history = await road.registry.history("fraud-risk")

    assert [(one.revision, one.stage, one.model_number) for one in history] == [
        (4, "live", 1),
        (3, "retired", 2),
        (2, "live", 2),
        (1, "live", 1),
    ]


async def test_only_an_applied_change_is_rolled_back_and_only_once(road: Changing) -> None:
    planned = await road.planned("deadline", DEADLINE)
    row = await road.applied("bands", {"bands": NARROW})
    await road.changes.rollback(row.id, by="bob", reason="worse")

    for change_id in (planned.row.id, row.id):
        with pytest.raises(Conflict):
            await road.changes.rollback(change_id, by="bob", reason="again")


# -- races -------------------------------------------------------------------------------------------------------------


async def test_of_many_who_apply_at_once_one_does(road: Changing) -> None:
    view = await road.approved("deadline", DEADLINE)

    ended = await asyncio.gather(
        *(road.changes.apply(view.row.id, by=f"p{n}") for n in range(8)), return_exceptions=True
    )

    lost = [one for one in ended if isinstance(one, Conflict)]
    assert len(lost) == 7
    assert (await road.entries(view.row.id)).count("change.applied") == 1


async def test_approvals_at_the_same_time_all_count(high: Changing) -> None:
    view = await high.planned("deadline", DEADLINE)

    await asyncio.gather(*(high.changes.approve(view.row.id, by=by) for by in ("bob", "cleo")))

    assert (await high.changes.get(view.row.id)).row.state == ChangeState.APPROVED


async def test_changes_are_listed_newest_first_by_point_and_state(road: Changing) -> None:
    first = await road.planned("deadline", DEADLINE)
    row = await road.applied("bands", {"bands": NARROW})

    every = await road.changes.list(point="fraud-risk")
    planned = await road.changes.list(state="planned")
    older = await road.changes.list(after=row.id)

    assert [one.id for one in every] == [row.id, first.row.id]
    assert [one.id for one in planned] == [one.id for one in older] == [first.row.id]


# -- without approvals -------------------------------------------------------------------------------------------------


async def promoted(road: Changing, stage: Stage = Stage.LIVE, **how: Any) -> None:
    version = await road.registered(linear(bias=9.0, amount=0.001))
    await road.changes.promote("fraud-risk", version, stage, by="ann", reason="now", **how)


async def test_where_little_is_at_stake_a_version_is_promoted_at_once(road: Changing) -> None:
    await promoted(road)

    assert await standing(road) == {"live": 2, "retired": 1}


async def test_where_much_is_at_stake_it_takes_approvals(high: Changing) -> None:
    before = await high.live_rows()
    with pytest.raises(Denied, match="opsrail changes plan fraud-risk --promote fraud/2"):
        await promoted(high)

    assert await high.live_rows() == before


async def test_a_shadow_takes_no_approvals(high: Changing) -> None:
    await promoted(high, Stage.SHADOW)

    assert await standing(high) == {"live": 1, "shadow": 2}


async def test_who_breaks_the_glass_is_in_the_ledger(high: Changing) -> None:
    await promoted(high, breaks_glass=True)

    assert await standing(high) == {"live": 2, "retired": 1}
    assert "change.bypassed" in await high.entries("fraud-risk")


async def test_without_the_code_the_last_decision_says_how_much_is_at_stake() -> None:
    async with Changing(fraud_point(impact="high")).opened() as road:
        version = await road.registered(linear(bias=9.0))
        bare = Changes(road.store, road.registry, road.clock, {})
        await bare.promote("fraud-risk", version, Stage.CANARY, by="a", reason="x", share=0.1)
        await road.asked()
        with pytest.raises(Denied):
            await bare.promote("fraud-risk", version, Stage.LIVE, by="a", reason="x")
        lenient = Changes(road.store, road.registry, road.clock, {}, direct_up_to="high")
        await lenient.promote("fraud-risk", version, Stage.LIVE, by="a", reason="x")
