"""What settings hold for a point instead of its code, and how much is left to the machine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from opsrail.decide.explainer import Explainer
from opsrail.decide.policy import Band, Policy
from opsrail.values.canonical import canonical
from opsrail.values.changes import SettingsRow
from opsrail.values.reasons import Reason
from opsrail.values.rows import Delete, Insert, Write
from tests.support.changing import Changing
from tests.support.decisions import Claim, fraud_point, fraud_policy

NARROW = [{"verdict": "approve", "below": 0.1}, {"verdict": "review", "below": 1.01}]


@pytest.fixture
async def road() -> AsyncIterator[Changing]:
    async with Changing().opened() as road:
        yield road


async def set_to(road: Changing, revision: int, **settings: object) -> None:
    gone: list[Write] = [Delete(SettingsRow, {"point": "fraud-risk"})]
    content = canonical(settings).decode()
    row = SettingsRow("fraud-risk", revision, content, road.clock.now_ms())
    await road.store.commit([*gone, Insert(row)])


async def test_other_bands_hold_from_the_next_request_on_under_a_policy_version_of_their_own(
    road: Changing,
) -> None:
    before = await road.asked()
    await set_to(road, 1, bands=NARROW)
    under = await road.asked()
    await set_to(road, 2)
    after = await road.asked()

    own = fraud_policy().with_bands([Band("approve", 0.1), Band("review", 1.01)]).version
    assert [one.verdict for one in (before, under, after)] == ["approve", "review", "approve"]
    assert under.policy_version == own != before.policy_version == after.policy_version


async def test_bands_that_are_those_of_the_code_have_its_policy_version(road: Changing) -> None:
    await set_to(road, 1, bands=[band._asdict() for band in road.point.policy.bands])

    assert (await road.asked()).policy_version == road.point.policy_version


async def test_another_deadline_holds_unless_the_caller_gives_a_time(road: Changing) -> None:
    gate = threading.Event()
    road.runtime.hanging[(await road.registry.version("fraud", 1)).digest] = gate
    await set_to(road, 1, deadline_ms=30)
    late = await road.asked()
    asking = asyncio.create_task(road.asked(Claim(age=42), budget_ms=60_000))
    await asyncio.sleep(0.05)
    gate.set()

    assert (late.degraded_why, (await asking).degraded) == ("deadline-passed", False)


@pytest.mark.parametrize("level", ["observe", "assist"])
async def test_people_decide_where_settings_say_so_and_what_policy_said_is_kept(
    road: Changing, level: str
) -> None:
    await set_to(
        road,
        1,
        autonomy=[{"where": {"make": "Honda"}, "level": level}, {"where": {}, "level": "automate"}],
    )
    honda, other = await road.asked(), await road.asked(Claim(make="Saab"))

    assert (honda.autonomy, honda.verdict, honda.proposed) == (level, "review", "approve")
    assert [reason.source for reason in honda.reasons] == ["autonomy", "band"]
    assert (other.autonomy, other.verdict, other.proposed) == ("automate", "approve", None)


async def test_the_policy_names_the_verdict_that_sends_to_a_person() -> None:
    bands = [Band("pay", below=0.5), Band("desk", below=1.01)]
    policy = Policy[Claim](bands, on_error="desk", without_score="desk", review="desk")
    async with Changing(fraud_point(policy=policy)).opened() as road:
        await set_to(road, 1, autonomy=[{"where": {}, "level": "assist"}])
        decision = await road.asked()

    assert (decision.verdict, decision.proposed) == ("desk", "pay")
    assert policy.version != Policy[Claim](bands, on_error="desk", without_score="desk").version


async def test_a_fallback_is_told_as_such_where_people_decide(road: Changing) -> None:
    road.point.fallback = lambda facts: ("approve", "Small.")
    road.runtime.failing.add((await road.registry.version("fraud", 1)).digest)
    await set_to(road, 1, autonomy=[{"where": {}, "level": "assist"}])

    decision = await road.asked()

    assert [step.what for step in decision.fallback] == ["fallback"]
    assert (decision.verdict, decision.proposed) == ("review", "approve")
    assert decision.reasons[1] == Reason("fallback", "Small.", "fallback")


async def test_settings_that_cannot_be_read_leave_standing_what_held_before(
    road: Changing, caplog: pytest.LogCaptureFixture
) -> None:
    await set_to(road, 1, bands=NARROW)
    assert (await road.asked()).verdict == "review"
    await set_to(road, 2, bands=[{"verdict": "approve", "below": 0.5}])

    assert (await road.asked()).verdict == "review"
    assert "scores from 0.5 to 1 have no band" in caplog.text


async def test_what_would_have_to_be_otherwise_is_asked_of_the_bands_that_hold_now(
    road: Changing,
) -> None:
    explainer = Explainer(road.registry, road.clock, road.features)
    decision = await road.asked()
    before = await explainer.nearest(decision, road.point, "review")
    await set_to(road, 1, bands=NARROW)
    under = await explainer.nearest(decision, road.point, "review")
    explainer.close()

    assert before.changes or before.absent is not None
    assert (under.verdict, under.changes, under.absent) == ("review", (), None)
