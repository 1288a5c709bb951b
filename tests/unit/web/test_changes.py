"""Changes over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.web.conftest import CLAIM, Caller

UNKNOWN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
PATH = "/v1/changes"


def wish(kind: str = "autonomy", **content: Any) -> dict[str, Any]:
    return {
        "point": "fraud-risk",
        "kind": kind,
        "content": content or {"level": "assist"},
        "by": "ann",
        "reason": "people look first",
    }


async def planned(door: Caller) -> str:
    answer = await door.post(PATH, wish())
    assert answer.status_code == 201
    return str(answer.headers["location"])


async def test_a_change_is_planned_approved_applied_and_rolled_back(live: Caller) -> None:
    asked = "/v1/decisions/fraud-risk"
    before = (await live.post(asked, CLAIM)).json()
    one = await planned(live)
    approved = (await live.post(f"{one}/approve", {"by": "bob"})).json()
    while approved["missing"]:
        approved = (await live.post(f"{one}/approve", {"by": "cleo"})).json()
    applied = (await live.post(f"{one}/apply", {"by": "ann"})).json()
    under = (await live.post(asked, CLAIM)).json()
    back = await live.post(f"{one}/rollback", {"by": "bob", "reason": "too much work"})
    after = (await live.post(asked, CLAIM)).json()

    assert (approved["state"], applied["state"]) == ("approved", "applied")
    assert (before["autonomy"], before["proposed"]) == ("automate", None)
    assert (under["autonomy"], under["verdict"], under["proposed"]) == (
        "assist",
        "review",
        before["verdict"],
    )
    assert back.json()["state"] == "rolled-back"
    assert (after["autonomy"], after["verdict"]) == ("automate", before["verdict"])


async def test_a_plan_says_whom_it_touches_and_is_kept_unless_it_is_dry(live: Caller) -> None:
    await live.post("/v1/decisions/fraud-risk", CLAIM)
    dry = await live.post(PATH, {**wish(), "dry_run": True})
    listed = await live.get(PATH)

    assert dry.status_code == 200
    assert dry.json()["affected"]["moves"] == [{"from": "automate", "to": "assist", "count": 1}]
    assert dry.json()["explained"][0] == "fraud-risk: autonomy from automate to assist."
    assert listed.json() == {"changes": [], "next": None}


async def test_the_wrong_person_and_the_wrong_moment_are_told_apart(door: Caller) -> None:
    one = await planned(door)
    own = await door.post(f"{one}/approve", {"by": "Ann"})
    early = await door.post(f"{one}/apply", {"by": "ann"})
    await door.post(f"{one}/withdraw", {"by": "ann", "reason": "a mistake"})
    late = await door.post(f"{one}/reject", {"by": "bob", "reason": "no"})

    assert [answer.status_code for answer in (own, early, late)] == [403, 409, 409]


async def test_faults_come_at_once_and_unknown_ids_are_404(door: Caller) -> None:
    wrong = await door.post(
        PATH, wish("bands", bands=[{"verdict": "x", "below": -1}, {"verdict": "", "below": 0.5}])
    )
    faults = wrong.json()["faults"]
    missing = [
        await door.get(f"{PATH}/{UNKNOWN}"),
        await door.get(f"{PATH}/nothing"),
        await door.post(f"{PATH}/{UNKNOWN}/apply", {"by": "ann"}),
        await door.post(PATH, wish("promote", model="nothing/1")),
    ]

    assert wrong.status_code == 422
    assert [fault["place"] for fault in faults] == [
        "content.bands.0.below",
        "content.bands.1.verdict",
    ]
    assert [answer.status_code for answer in missing] == [404] * 4


@pytest.mark.parametrize("state", ["planned", "withdrawn"])
async def test_changes_are_listed_in_pages(door: Caller, state: str) -> None:
    ids = [(await planned(door)).rpartition("/")[2] for _ in range(3)]
    if state == "withdrawn":
        for each in ids:
            await door.post(f"{PATH}/{each}/withdraw", {"by": "ann", "reason": "x"})
    first = (await door.get(f"{PATH}?state={state}&limit=2")).json()
    second = (await door.get(first["next"])).json()

    assert [one["id"] for one in first["changes"] + second["changes"]] == ids[::-1]
    assert second["next"] is None


@pytest.mark.parametrize(
    ("kind", "content", "place"),
    [
        ("bands", {"bands": [{"verdict": "approve", "below": 0.5}]}, "bands"),
        ("bands", {"bands": [{"verdict": "perhaps", "below": 1.01}]}, "bands[0]"),
        ("autonomy", {"level": "assist", "where": {"nothing": 1}}, "where"),
        ("promote", {"model": "fraud-risk/1", "stage": "canary"}, "share"),
        ("promote", {"model": "fraud-risk/1", "guard": {"fallback": {}}}, "fallback"),
    ],
)
async def test_parts_that_contradict_each_other_or_the_code_are_409(
    live: Caller, kind: str, content: dict[str, Any], place: str
) -> None:
    answer = await live.post(PATH, {**wish(), "kind": kind, "content": content})

    assert (answer.status_code, answer.json()["code"]) == (409, "contradictory"), answer.text
    assert place in [fault["place"] for fault in answer.json()["faults"]]


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"content": {"level": "assist", "autonomy": []}},
        {"kind": "deadline", "content": {"deadline_ms": 0}},
        {"kind": "promote", "content": {"level": "assist"}},
        {"backtest": {"text": "x" * 250_000}},
    ],
)
async def test_a_body_that_does_not_fit_its_kind_is_422(
    door: Caller, change: dict[str, Any]
) -> None:
    answer = await door.post(PATH, {**wish(), **change})

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-input")


async def test_a_point_that_nobody_knows_is_404(door: Caller) -> None:
    answer = await door.post(PATH, {**wish(), "point": "nothing"})

    assert (answer.status_code, "fraud-risk" in answer.json()["detail"]) == (404, True)
