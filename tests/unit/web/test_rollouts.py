"""Rollouts, alarms and guarantees over HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from opsrail.errors import Conflict, Denied
from opsrail.values.guards import StepPlan
from opsrail.values.registry import ModelVersionRow
from opsrail.values.rollouts import AlarmRow, GuaranteeRow
from opsrail.values.rows import Insert
from tests.unit.web.conftest import Caller

POINT = "fraud-risk"
STEPS = [{"share": 0.1, "hold_s": 60}, {"share": 0.5, "hold_s": 60}]
ANN = {"by": "ann", "reason": "I say so"}
ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


async def begun(live: Caller) -> httpx.Response:
    """Begin a rollout of a second version with the bytes of the first."""
    first = await live.app.store.get(ModelVersionRow, "fraud-risk", 1)
    assert first is not None
    await live.app.store.commit([Insert(first._replace(number=2))])
    guard = {"latency": {"p99_ms": 50}}
    wish = {
        "point": POINT,
        "name": "fraud-risk",
        "number": 2,
        "steps": STEPS,
        "guard": guard,
        **ANN,
    }
    return await live.post("/v1/rollouts", wish)


async def test_a_rollout_is_begun_shown_and_ended(live: Caller) -> None:
    answer = await begun(live)
    told = answer.json()
    one = f"/v1/rollouts/{told['id']}"

    assert (answer.status_code, answer.headers["location"]) == (201, one)
    assert (told["state"], told["share"], told["champion"]) == ("running", 0.1, "fraud-risk/1")
    assert {reading["signal"] for reading in told["readings"]} == {
        "no_score",
        "fallback",
        "latency",
    }
    assert (await live.get(one)).json()["candidate"] == "fraud-risk/2"
    assert (await live.post(f"{one}/pause", ANN)).json()["state"] == "paused"
    assert (await live.post(f"{one}/resume", ANN)).json()["state"] == "running"
    assert (await live.post(f"{one}/resume", ANN)).status_code == 409
    assert (await live.post(f"{one}/promote", ANN)).json()["is_live"] is True
    assert (await live.post(f"{one}/rollback", ANN)).json()["state"] == "rolled-back"
    assert (await live.post(f"{one}/stop", ANN)).status_code == 409
    listed = await live.get(
        "/v1/rollouts", params={"point": POINT, "state": "rolled-back", "limit": 5}
    )
    assert [row["id"] for row in listed.json()["rollouts"]] == [told["id"]]


@pytest.mark.parametrize("tier", ["impact", "card"])
async def test_where_a_change_needs_approvals_nobody_begins_a_rollout_without_them(
    live: Caller, tier: str
) -> None:
    first = await live.app.store.get(ModelVersionRow, "fraud-risk", 1)
    assert first is not None
    card = json.dumps({"risk_tier": "high"}) if tier == "card" else first.card
    await live.app.store.commit([Insert(first._replace(number=2, card=card))])
    if tier == "impact":
        direct = live.app.changes.direct
        direct._declared = {POINT: direct._declared[POINT]._replace(impact="high")}
    wish = {"point": POINT, "name": "fraud-risk", "number": 2, "steps": STEPS, **ANN}

    answer = await live.post("/v1/rollouts", wish)

    assert answer.status_code == 403
    assert "2 approvals" in answer.json()["detail"]
    with pytest.raises(Denied, match="--promote fraud-risk/2 --steps 10%:60s"):
        await live.app.rollouts.begin(
            POINT,
            await live.app.registry.version("fraud-risk", 2),
            [StepPlan(0.1, 60.0)],
            by="ann",
            reason="x",
        )
    assert (await live.get("/v1/rollouts")).json() == {"rollouts": []}


async def test_a_watch_that_others_agreed_to_is_not_ended_by_one_person_who_may_go_back(
    live: Caller,
) -> None:
    first = await live.app.store.get(ModelVersionRow, "fraud-risk", 1)
    assert first is not None
    await live.app.store.commit([Insert(first._replace(number=2))])
    wish = {"point": POINT, "name": "fraud-risk", "number": 2, "steps": STEPS, **ANN}
    one = f"/v1/rollouts/{(await live.post('/v1/rollouts', wish)).json()['id']}"
    direct = live.app.changes.direct
    direct._declared = {POINT: direct._declared[POINT]._replace(impact="high")}
    page = await live.get(one.replace("/v1", "/console"))

    stopped = await live.post(f"{one}/stop", ANN)
    back = await live.post(f"{one}/rollback", ANN)

    assert (stopped.status_code, "tier high" in stopped.json()["detail"]) == (403, True)
    assert (back.status_code, back.json()["state"]) == (200, "rolled-back")
    assert "Roll back" in page.text
    assert "Stop watching" not in page.text


async def test_a_rollout_that_nobody_began_is_not_found(live: Caller) -> None:
    assert (await live.get(f"/v1/rollouts/{ID}")).status_code == 404
    assert (await live.get("/v1/rollouts/none")).status_code == 404
    assert (await live.post(f"/v1/rollouts/{ID}/stop", ANN)).status_code == 404
    assert (await live.post(f"/v1/alarms/{ID}/close", ANN)).status_code == 404
    assert (await live.get("/v1/rollouts")).json() == {"rollouts": []}


async def test_a_version_that_does_not_exist_begins_nothing(live: Caller) -> None:
    wish = {
        "point": POINT,
        "name": "nobody",
        "number": 1,
        "steps": STEPS,
        **ANN,
        "guard": {"no_such": 1},
    }

    assert (await live.post("/v1/rollouts", wish)).status_code == 404


@pytest.mark.parametrize("changed", [{"steps": []}, {"reason": " "}, {"number": 0}, {"extra": 1}])
async def test_a_wish_of_the_wrong_shape_is_refused(live: Caller, changed: dict[str, Any]) -> None:
    wish = {"point": POINT, "name": "fraud-risk", "number": 1, "steps": STEPS, **ANN, **changed}

    assert (await live.post("/v1/rollouts", wish)).status_code == 422


async def test_a_guard_is_held_against_what_it_may_say(live: Caller) -> None:
    wish = {
        "point": POINT,
        "name": "fraud-risk",
        "number": 1,
        "steps": STEPS,
        **ANN,
        "guard": {"no_such": 1},
    }
    answer = await live.post("/v1/rollouts", wish)

    assert answer.status_code == 422
    assert [fault["place"] for fault in answer.json()["faults"]] == ["no_such"]


async def test_the_live_version_itself_cannot_be_its_own_canary(live: Caller) -> None:
    wish = {"point": POINT, "name": "fraud-risk", "number": 1, "steps": STEPS, **ANN}

    assert (await live.post("/v1/rollouts", wish)).status_code == 409


async def test_alarms_ring_until_somebody_closes_them(live: Caller) -> None:
    row = AlarmRow(ID, POINT, "drill", "x/1", "A drill.", '{"size":3}', 1_000, None, None)
    await live.app.store.commit([Insert(row)])

    (rung,) = (await live.get("/v1/alarms", params={"state": "ringing"})).json()["alarms"]
    closed = await live.post(f"/v1/alarms/{ID}/close", ANN)
    again = await live.post(f"/v1/alarms/{ID}/close", ANN)

    assert (rung["figures"], rung["at"]) == ({"size": 3}, "1970-01-01T00:00:01.000Z")
    assert (closed.status_code, closed.json()["ended_by"]) == (200, "ann")
    assert again.status_code == 409
    assert (await live.get("/v1/alarms", params={"state": "ringing"})).json() == {"alarms": []}
    assert len((await live.get("/v1/alarms", params={"state": "closed"})).json()["alarms"]) == 1


async def test_guarantees_are_told_with_what_labels_said_and_those_that_cannot_be_read_with_why(
    live: Caller,
) -> None:
    spec = '{"outcome":"fraud","among":"approve","limit":0.01}'
    rows = [
        GuaranteeRow(f"{ID[:-1]}{n}", POINT, text, "{}", "", 1, None, None, 0)
        for n, text in enumerate((spec, "{}"))
    ]
    await live.app.store.commit([Insert(row) for row in rows])

    broken, sound = (await live.get("/v1/guarantees", params={"point": POINT})).json()["guarantees"]

    assert "cannot be read" in broken["fault"]
    assert (sound["text"], sound["labels"], sound["estimate"]) == (
        "fraud among approve <= 0.01",
        0,
        None,
    )


async def test_what_keeps_the_guard_from_its_work_is_a_warning_and_a_figure(
    live: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live.app.guard, "_faults", {ID: "the guard of a rollout cannot be read"})
    ready = (await live.get("/readyz")).json()
    stats = (await live.get("/v1/stats")).json()

    assert ready["status"] == "degraded"
    assert {
        "name": f"guard.{ID}",
        "level": "warn",
        "message": "the guard of a rollout cannot be read",
    } in ready["findings"]
    assert stats["guard"]["faults"] == {ID: "the guard of a rollout cannot be read"}


async def test_a_rollout_is_begun_held_and_ended_in_python(live: Caller) -> None:
    app = live.app
    first = await app.store.get(ModelVersionRow, "fraud-risk", 1)
    assert first is not None
    await app.store.commit([Insert(first._replace(number=2))])
    candidate = await app.registry.version("fraud-risk", 2)
    steps = [StepPlan(0.1, 3_600.0), StepPlan(0.5, 3_600.0)]
    begun = await app.rollouts.begin(
        "fraud-risk", candidate, steps, by="ann", reason="it is better"
    )
    with pytest.raises(Conflict, match="under way"):
        await app.rollouts.begin("fraud-risk", candidate, steps, by="bob", reason="me too")
    paused = await app.rollouts.pause(begun.id, by="ann", reason="holidays")
    listed = [row.id for row in await app.rollouts.listed(point="fraud-risk", state="paused")]
    back = await app.rollouts.roll_back(begun.id, by="bob", reason="complaints")

    assert (paused.state, listed, back.state) == ("paused", [begun.id], "rolled-back")
    stages = {row.model_number: row.stage for row in await app.registry.rollout("fraud-risk")}
    assert (stages[1], stages[candidate.number]) == ("live", "retired")
    (alarm,) = await app.alarms.listed(is_ringing=True)
    closed = await app.alarms.close(alarm.id, by="bob", reason="seen to")
    assert (alarm.kind, closed.ended_by) == ("rollout-rolled-back", "bob")
    assert await app.alarms.listed(is_ringing=True) == []
    assert await app.guarantees.listed() == []
