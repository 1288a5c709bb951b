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
    assert len(faults) == 3
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
