"""Decision points over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from opsrail.decide.admission import FIRST
from opsrail.decide.asks import HIGH
from opsrail.values.cases import KeyRow
from opsrail.values.decisions import DecisionRow
from tests.unit.web import claims
from tests.unit.web.conftest import CLAIM, Caller

DECIDE = "/v1/decisions/fraud-risk"
KEYED: Mapping[str, str] = {"Idempotency-Key": "k-1"}
UNKNOWN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


async def test_an_answer_carries_all_that_a_decision_is(live: Caller) -> None:
    answer = await live.post(DECIDE, CLAIM)
    decision = answer.json()

    assert answer.status_code == 200
    assert (decision["verdict"], decision["score"], decision["model"]["number"]) == (
        "approve",
        0.06025,
        1,
    )
    assert decision["features"][0]["values"]["claim_id"] == "c-1"
    assert set(decision["latency_ms"]) == {"route", "features", "score", "verdict", "total"}
    assert answer.headers["content-location"] == f"/v1/decisions/{decision['id']}"


async def test_a_decision_is_found_again_byte_for_byte(live: Caller) -> None:
    answer = await live.post(DECIDE, CLAIM)
    again = await live.get(answer.headers["content-location"])

    assert again.content == answer.content


async def test_without_a_live_model_the_fallback_answers(door: Caller) -> None:
    decision = (await door.post(DECIDE, CLAIM)).json()

    assert (decision["degraded_why"], decision["score"], decision["verdict"]) == (
        "model-unavailable",
        None,
        "approve",
    )


async def test_a_decision_is_explained_in_sentences(live: Caller) -> None:
    answer = await live.post(DECIDE, {**CLAIM, "amount": 1500})
    explained = await live.get(f"{answer.headers['content-location']}/explanation")

    assert explained.json()["verdict"] == "review"
    assert explained.json()["sentences"][0] == "Decision point fraud-risk says 'review'."


async def test_a_record_keeps_its_bytes_and_its_explanation_tells_documents_by_their_names(
    live: Caller,
) -> None:
    answer = await live.post(DECIDE, {**CLAIM, "claim_id": "/srv/claims/7.pdf"})
    place = answer.headers["content-location"]
    record = (await live.get(place)).text
    sentences = " ".join((await live.get(f"{place}/explanation")).json()["sentences"])

    assert "/srv/claims/7.pdf" in record
    assert "7.pdf" in sentences
    assert "/srv" not in sentences


async def test_a_repeated_answer_says_so_and_is_else_the_same(live: Caller) -> None:
    first, again = [await live.post(DECIDE, CLAIM, headers=KEYED) for _ in range(2)]
    of_others = {"traceparent", "idempotent-replayed"}

    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert {name: value for name, value in again.headers.items() if name not in of_others} == {
        name: value for name, value in first.headers.items() if name not in of_others
    }


async def test_a_refused_request_leaves_its_key_free(live: Caller) -> None:
    wrong = await live.post(DECIDE, {**CLAIM, "age": 1000}, headers=KEYED)
    right = await live.post(DECIDE, CLAIM, headers=KEYED)

    assert (wrong.status_code, right.status_code) == (422, 200)
    assert "idempotent-replayed" not in right.headers


@pytest.mark.parametrize("written", ["k-1", '"k-1"'])
async def test_the_same_key_and_body_give_the_same_answer(live: Caller, written: str) -> None:
    first = await live.post(DECIDE, CLAIM, headers=KEYED)
    second = await live.post(
        DECIDE, dict(reversed([*CLAIM.items()])), headers={"Idempotency-Key": written}
    )

    assert second.content == first.content
    assert await live.app.store.count(DecisionRow) == {(): 1}


async def test_the_same_key_with_another_body_is_refused(live: Caller) -> None:
    await live.post(DECIDE, CLAIM, headers=KEYED)
    answer = await live.post(DECIDE, {**CLAIM, "amount": 1}, headers=KEYED)

    assert (answer.status_code, answer.json()["code"]) == (422, "key-reused")


async def test_a_twin_in_flight_is_told_so(live: Caller, closed_gate: None) -> None:
    headers = {**KEYED, "X-Opsrail-Deadline-Ms": "20000"}
    first = asyncio.create_task(live.post(DECIDE, CLAIM, headers=headers))
    assert await asyncio.to_thread(claims.ASKED.wait, 10)
    twin = await live.post(DECIDE, CLAIM, headers=headers)
    other = await live.post(DECIDE, {**CLAIM, "amount": 1}, headers=headers)
    claims.GATE.set()
    answer = await first
    again = await live.post(DECIDE, CLAIM, headers=headers)

    assert (twin.status_code, twin.json()["code"]) == (409, "in-flight")
    assert twin.headers["retry-after"] == "1"
    assert other.status_code == 422
    assert (answer.status_code, again.content) == (200, answer.content)


async def test_past_the_callers_deadline_the_fallback_answers(
    live: Caller, closed_gate: None
) -> None:
    answer = await live.post(DECIDE, CLAIM, headers={"X-Opsrail-Deadline-Ms": "30"})
    claims.GATE.set()

    assert answer.status_code == 200
    assert answer.json()["degraded_why"] == "deadline-passed"


@pytest.mark.parametrize("deadline", ["0", "-1", "1.5", "600001", "soon", "", "9" * 40])
async def test_a_deadline_is_whole_milliseconds(door: Caller, deadline: str) -> None:
    answer = await door.post(DECIDE, CLAIM, headers={"X-Opsrail-Deadline-Ms": deadline})

    assert answer.status_code == 400
    assert answer.json()["faults"][0]["place"] == "X-Opsrail-Deadline-Ms"


@pytest.mark.parametrize("criticality", ["high", "normal", "low"])
async def test_a_request_may_say_how_critical_it_is(live: Caller, criticality: str) -> None:
    answer = await live.post(DECIDE, CLAIM, headers={"X-Opsrail-Criticality": criticality})

    assert (answer.status_code, answer.json()["degraded"]) == (200, False)


@pytest.mark.parametrize("criticality", ["HIGH", "urgent", "", "high, low"])
async def test_a_criticality_is_one_of_three_words(door: Caller, criticality: str) -> None:
    answer = await door.post(DECIDE, CLAIM, headers={"X-Opsrail-Criticality": criticality})

    assert answer.status_code == 400
    assert answer.json()["faults"][0]["place"] == "X-Opsrail-Criticality"


@pytest.mark.parametrize(
    "key",
    [
        "",
        '""',
        "a b",
        '"a b"',
        "k" * 256,
        '"' + "k" * 256 + '"',
        "kéy",
        'a"b',
        '"a',
        '"a\\b"',
        '"a";b=1',
        '"a","b"',
    ],
)
async def test_a_key_is_visible_ascii_of_at_most_255_characters(door: Caller, key: str) -> None:
    answer = await door.post(DECIDE, CLAIM, headers={"Idempotency-Key": key.encode("latin-1")})

    assert answer.status_code == 400
    assert answer.json()["code"] == "malformed"
    assert await door.app.store.count(KeyRow) == {(): 0}


@pytest.mark.parametrize("key", ["k" * 255, '"' + "k" * 255 + '"', '"' + '\\"' * 255 + '"', "a,b"])
async def test_the_longest_key_is_taken(door: Caller, key: str) -> None:
    assert (await door.post(DECIDE, CLAIM, headers={"Idempotency-Key": key})).status_code == 200


async def test_two_keys_are_no_key(door: Caller) -> None:
    answer = await door.client.post(
        DECIDE, json=CLAIM, headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    )

    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({}, ["claim_id", "amount"]),
        ({**CLAIM, "age": 131, "channel": "fax"}, ["age", "channel"]),
        ({**CLAIM, "parts": [{"name": "x", "price": -1}]}, ["parts.0.price"]),
        ([], [""]),
        ("text", [""]),
        (None, [""]),
    ],
)
async def test_every_fault_of_a_request_is_told(door: Caller, body: Any, places: list[str]) -> None:
    answer = (
        await door.client.post(DECIDE, json=body)
        if body is not None
        else await door.client.post(
            DECIDE, content="null", headers={"Content-Type": "application/json"}
        )
    )

    assert answer.status_code == 422
    assert [fault["place"] for fault in answer.json()["faults"]] == places
    assert await door.app.store.count(DecisionRow) == {(): 0}


async def test_an_unknown_point_is_told_which_there_are(door: Caller) -> None:
    answer = await door.post("/v1/decisions/fraud-riks", CLAIM)

    assert answer.status_code == 404
    assert "fraud-risk" in answer.json()["detail"]


@pytest.mark.parametrize("path", [UNKNOWN, f"{UNKNOWN}/explanation", "x", "x/explanation"])
async def test_an_unknown_decision_is_not_found(door: Caller, path: str) -> None:
    answer = await door.get(f"/v1/decisions/{path}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_a_model_that_hangs_makes_no_place_of_the_process_unusable(
    live: Caller, closed_gate: None
) -> None:
    hurried = {"X-Opsrail-Deadline-Ms": "60"}
    asked = (live.post(DECIDE, {**CLAIM, "amount": n}, headers=hurried) for n in range(40))
    answers = await asyncio.gather(*asked)

    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json()["degraded"] for answer in answers)
    assert live.app.decider.admission.limit >= FIRST
    assert live.app.decider.admission.under_way == 0


async def test_a_full_process_refuses_and_says_when_to_come_again(live: Caller) -> None:
    admission = live.app.decider.admission
    while admission.enter(HIGH):
        pass
    answer = await live.post(DECIDE, CLAIM)

    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert answer.headers["retry-after"] == "1"
