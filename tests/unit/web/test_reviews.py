"""Reviews over HTTP."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.web.conftest import Caller

LARGE = {"claim_id": "c-2", "amount": 5000}
UNKNOWN = "01ARZ3NDEKTSV4RRFFQ69G5FAV-1"


async def test_a_person_claims_rules_and_the_case_goes_on(door: Caller) -> None:
    case_id = await door.settled(LARGE)
    waiting = (await door.get("/v1/reviews?queue=claims-desk")).json()["reviews"]
    path = f"/v1/reviews/{waiting[0]['id']}"
    claimed = await door.post(f"{path}/claim", {"by": "ann"})
    ending = door.app.runner.ending_of(case_id)
    ruled = await door.post(
        f"{path}/rule", {"by": "ann", "verdict": "approve", "reason": "seen it"}
    )
    case = await asyncio.wait_for(ending, 20)

    assert (len(waiting), waiting[0]["case_id"]) == (1, case_id)
    assert waiting[0]["subject"]["input"]["claim_id"] == "c-2"
    assert (claimed.json()["state"], claimed.json()["assignee"]) == ("claimed", "ann")
    assert (ruled.json()["state"], ruled.json()["ruling"]) == ("ruled", "approve")
    left = (await door.get("/v1/reviews")).json()
    assert (case.state, left) == ("settled", {"reviews": [], "next": None})


async def test_what_one_holds_another_cannot_take(door: Caller) -> None:
    path = f"/v1/reviews/{await door.settled(LARGE)}-1"
    await door.post(f"{path}/claim", {"by": "ann"})
    answers = [
        await door.post(f"{path}/claim", {"by": "bob"}),
        await door.post(f"{path}/release", {"by": "bob"}),
        await door.post(f"{path}/rule", {"by": "bob", "verdict": "approve"}),
    ]
    released = await door.post(f"{path}/release", {"by": "ann"})
    taken = await door.post(f"{path}/claim", {"by": "bob"})

    assert [answer.status_code for answer in answers] == [409, 409, 409]
    assert (released.json()["state"], taken.json()["assignee"]) == ("open", "bob")


async def test_a_review_is_ruled_once(door: Caller) -> None:
    path = f"/v1/reviews/{await door.settled(LARGE)}-1"
    first = await door.post(f"{path}/rule", {"by": "ann", "verdict": "approve"})
    second = await door.post(f"{path}/rule", {"by": "ann", "verdict": "decline"})

    assert (first.status_code, second.status_code) == (200, 409)
    assert (await door.get(path)).json()["ruling"] == "approve"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"by": " ", "verdict": "approve"}, "by"),
        ({"by": "ann"}, "verdict"),
        ({"by": "ann", "verdict": ""}, "verdict"),
        ({"by": "ann", "verdict": "review"}, "verdict"),
        ({"by": "ann", "verdict": "approve", "reason": "x" * 4001}, "reason"),
        ({"by": "ann", "verdict": "approve", "why": "x"}, "why"),
    ],
)
async def test_a_ruling_that_is_not_sound_is_refused(
    door: Caller, body: dict[str, str], place: str
) -> None:
    answer = await door.post(f"/v1/reviews/{await door.settled(LARGE)}-1/rule", body)

    assert (answer.status_code, answer.json()["faults"][0]["place"]) == (422, place)


@pytest.mark.parametrize("review_id", [UNKNOWN, "x", UNKNOWN + "0" * 12])
async def test_an_unknown_review_is_not_found(door: Caller, review_id: str) -> None:
    answers = [
        await door.get(f"/v1/reviews/{review_id}"),
        await door.post(f"/v1/reviews/{review_id}/claim", {"by": "ann"}),
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
