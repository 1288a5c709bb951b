"""Cases over HTTP."""

from __future__ import annotations

import asyncio
import re

import pytest

from opsrail.values.cases import CaseRow
from opsrail.values.rows import Insert
from tests.unit.web import claims
from tests.unit.web.conftest import CLAIM, Caller, app_of, running
from tests.unit.web.console.rows import OUTBOX_ROW

ACCEPT = "/v1/cases/claims-intake"
LARGE = {"claim_id": "c-2", "amount": 5000}
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
UNKNOWN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


async def test_a_case_is_accepted_and_found(door: Caller) -> None:
    answer = await door.post(ACCEPT, CLAIM)
    found = await door.get(answer.headers["location"])

    assert answer.status_code == 202
    assert (found.json()["id"], found.json()["input"]["claim_id"]) == (answer.json()["id"], "c-1")
    assert "preference-applied" not in answer.headers


async def test_a_case_that_settles_in_time_answers_with_its_outcome(door: Caller) -> None:
    answer = await door.post(ACCEPT, CLAIM, headers={"Prefer": "respond-async, wait=20"})

    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=20")
    assert answer.json()["outcome"] == {"paid": True, "why": "as the papers say"}
    assert re.fullmatch(MOMENT, answer.json()["settled_at"])


async def test_a_case_that_parks_answers_at_once(door: Caller) -> None:
    answer = await door.post(ACCEPT, LARGE, headers={"Prefer": "wait=20"})
    case = answer.json()

    assert (answer.status_code, case["state"]) == (202, "waiting")
    assert case["waiting_for"] == f"review:{case['id']}-1"


async def test_a_case_that_takes_longer_answers_when_the_wait_is_over(
    door: Caller, closed_gate: None
) -> None:
    answer = await door.post("/v1/cases/slow", CLAIM, headers={"Prefer": "wait=1"})
    claims.GATE.set()

    assert (answer.status_code, answer.json()["state"]) == (202, "running")


async def test_a_server_that_closes_lets_nobody_wait(closed_gate: None) -> None:
    app = app_of()
    async with running(app, is_closing=lambda: claims.ASKED.is_set()) as client:
        answer = await client.post("/v1/cases/slow", json=CLAIM, headers={"Prefer": "wait=20"})
        claims.GATE.set()

    assert (answer.status_code, answer.json()["state"]) == (202, "running")


async def test_a_case_that_has_to_queue_is_waited_for_too() -> None:
    app = app_of(at_once=1)
    async with running(app) as client:
        answers = await asyncio.gather(
            *(client.post(ACCEPT, json=CLAIM, headers={"Prefer": "wait=20"}) for _ in range(5))
        )

    assert [answer.status_code for answer in answers] == [200] * 5


@pytest.mark.parametrize(
    "wish", ["wait=0", "wait", "wait=soon", "wait=-1", "return=minimal", "x=wait=2", ""]
)
async def test_a_wish_that_is_not_understood_is_ignored(door: Caller, wish: str) -> None:
    answer = await door.post(ACCEPT, CLAIM, headers={"Prefer": wish})

    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers


async def test_nobody_waits_longer_than_thirty_seconds(door: Caller) -> None:
    answer = await door.post(ACCEPT, CLAIM, headers={"Prefer": "wait=3600; foo=bar"})

    assert answer.headers["preference-applied"] == "wait=30"


async def test_the_same_key_and_body_are_the_same_case(door: Caller) -> None:
    headers = {"Idempotency-Key": "k", "Prefer": "wait=20"}
    first, second = [await door.post(ACCEPT, CLAIM, headers=headers) for _ in range(2)]
    other = await door.post(ACCEPT, LARGE, headers=headers)

    assert (second.status_code, second.json()) == (200, first.json())
    assert second.headers["location"] == first.headers["location"]
    assert [answer.headers.get("idempotent-replayed") for answer in (first, second)] == [
        None,
        "true",
    ]
    assert (other.status_code, other.json()["code"]) == (422, "key-reused")
    assert await door.app.store.count(CaseRow) == {(): 1}


async def test_twins_at_the_same_moment_are_one_case(door: Caller) -> None:
    headers = {"Idempotency-Key": "k", "Prefer": "wait=20"}
    answers = await asyncio.gather(*(door.post(ACCEPT, CLAIM, headers=headers) for _ in range(8)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_an_input_that_does_not_fit_makes_no_case(door: Caller) -> None:
    answer = await door.post(ACCEPT, {"claim_id": "", "amount": -1})

    assert answer.status_code == 422
    assert [fault["place"] for fault in answer.json()["faults"]] == ["claim_id", "amount"]
    assert await door.app.store.count(CaseRow) == {(): 0}


async def test_a_full_house_says_when_to_come_back(closed_gate: None) -> None:
    app = app_of(backlog=1, at_once=1)
    async with running(app) as client:
        statuses = [(await client.post("/v1/cases/slow", json=CLAIM)).status_code for _ in range(2)]
        refused = await client.post("/v1/cases/slow", json=CLAIM)
        claims.GATE.set()

    assert statuses == [202, 202]
    assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (
        503,
        "overloaded",
        "2",
    )


async def test_a_case_shows_what_it_did(door: Caller) -> None:
    case = (await door.get(f"/v1/cases/{await door.settled()}")).json()

    assert [(entry["kind"], entry["name"]) for entry in case["journal"]] == [
        ("decide", "fraud-risk"),
        ("act", "pay"),
    ]
    assert case["decisions"][0]["verdict"] == "approve"
    assert case["actions"][0]["key"] == f"{case['id']}-1"


async def test_cases_are_listed_a_page_at_a_time_newest_first(door: Caller) -> None:
    ids = [await door.settled() for _ in range(5)]
    await door.post("/v1/cases/slow", CLAIM, headers={"Prefer": "wait=20"})
    path, seen, sizes = "/v1/cases?automation=claims-intake&state=settled&limit=2", [], []
    while path:
        page = (await door.get(path)).json()
        seen += [case["id"] for case in page["cases"]]
        sizes.append(len(page["cases"]))
        path = page["next"]

    assert (seen, sizes) == (ids[::-1], [2, 2, 1])


async def test_a_parked_case_is_cancelled_and_its_review_withdrawn(door: Caller) -> None:
    case_id = await door.settled(LARGE)
    answer = await door.post(f"/v1/cases/{case_id}/cancel", {"reason": "sent twice"})
    again = await door.post(f"/v1/cases/{case_id}/cancel", {"reason": "sent twice"})
    review = await door.get(f"/v1/reviews/{case_id}-1")

    assert (answer.status_code, answer.json()["state"], answer.json()["reason"]) == (
        200,
        "cancelled",
        "sent twice",
    )
    assert again.json() == answer.json()
    assert review.json()["state"] == "withdrawn"


async def test_a_settled_case_cannot_be_cancelled_or_retried(door: Caller) -> None:
    case_id = await door.settled()
    answers = [
        await door.post(f"/v1/cases/{case_id}/cancel", {"reason": "too late"}),
        await door.post(f"/v1/cases/{case_id}/retry"),
    ]

    assert [answer.status_code for answer in answers] == [409, 409]


async def test_a_case_that_was_set_aside_is_sent_on(
    door: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "IS_BROKEN", True)
    case = (await door.post("/v1/cases/broken", CLAIM, headers={"Prefer": "wait=20"})).json()
    monkeypatch.setattr(claims, "IS_BROKEN", False)
    ending = door.app.runner.ending_of(case["id"])
    answer = await door.post(f"/v1/cases/{case['id']}/retry")
    settled = await asyncio.wait_for(ending, 20)

    assert (case["state"], case["failures"]) == ("set_aside", 1)
    assert (answer.status_code, answer.json()["state"], answer.json()["failures"]) == (
        200,
        "ready",
        0,
    )
    assert settled.state == "settled"


@pytest.mark.parametrize(
    "reason",
    [{"reason": ""}, {"reason": " \n"}, {}, {"reason": "x" * 4001}, {"reason": "x", "by": "y"}],
)
async def test_a_cancellation_says_why(door: Caller, reason: dict[str, str]) -> None:
    answer = await door.post(f"/v1/cases/{await door.settled(LARGE)}/cancel", reason)

    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/v1/cases/{UNKNOWN}"),
        ("GET", "/v1/cases/..%2f"),
        ("POST", f"/v1/cases/{UNKNOWN}/cancel"),
        ("POST", f"/v1/cases/{UNKNOWN}/retry"),
        ("POST", "/v1/cases/unheard-of"),
    ],
)
async def test_what_is_not_there_is_not_found(door: Caller, method: str, path: str) -> None:
    answer = await door.client.request(method, path, json={"reason": "x"})

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_actions_are_listed_by_state(door: Caller) -> None:
    case_id = await door.settled()
    await door.app.outbox.drain()
    shown = (await door.get("/v1/actions?limit=1")).json()
    dead = (await door.get("/v1/actions?state=dead")).json()
    wrong = await door.get("/v1/actions?state=lost")

    assert [(action["key"], action["action"]) for action in shown["actions"]] == [
        (f"{case_id}-1", "pay")
    ]
    assert dead == {"actions": [], "next": None}
    assert wrong.status_code == 400


async def test_why_an_action_failed_tells_documents_by_their_names(door: Caller) -> None:
    answer = await door.post(ACCEPT, {**CLAIM, "claim_id": "/srv/claims/7.pdf"})
    case_id = answer.json()["id"]
    why = "the far side cannot read /srv/claims/7.pdf"
    failed = OUTBOX_ROW._replace(key=f"{case_id}-9", case_id=case_id, state="dead", last_error=why)
    lost = failed._replace(key=f"{UNKNOWN}-1", case_id=UNKNOWN, last_error="no case any more")
    await door.app.store.commit([Insert(failed), Insert(lost)])
    shown = (await door.get("/v1/actions?state=dead")).json()["actions"]
    case = (await door.get(f"/v1/cases/{case_id}")).json()
    told = [one["last_error"] for one in case["actions"] if one["state"] == "dead"]

    assert {one["key"]: one["last_error"] for one in shown} == {
        failed.key: "the far side cannot read 7.pdf",
        lost.key: "no case any more",
    }
    assert told == ["the far side cannot read 7.pdf"]
