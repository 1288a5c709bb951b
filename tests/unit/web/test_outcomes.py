"""Outcomes over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.web.conftest import CLAIM, Caller

UNKNOWN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


async def decided(door: Caller) -> str:
    """Return where the outcomes of a fresh decision are told."""
    answer = await door.post("/v1/decisions/fraud-risk", CLAIM)
    return f"{answer.headers['content-location']}/outcomes"


async def test_what_is_told_is_found_again(door: Caller) -> None:
    path = await decided(door)
    first = await door.post(path, {"name": "fraud", "value": True})
    told: dict[str, Any] = {
        "name": "fraud",
        "value": 0,
        "source": "audit",
        "ratio": 0.05,
        "by": "ann",
        "known_at": first.json()["known_at"].replace("Z", "+00:00"),
    }
    second = await door.post(path, told)
    listed = (await door.get(path)).json()["outcomes"]

    assert [first.status_code, second.status_code] == [201, 201]
    assert listed == [first.json(), second.json()]
    assert (listed[0]["value"], listed[0]["source"], listed[0]["by"]) == (1.0, "late", "http:local")
    assert (listed[1]["ratio"], listed[1]["by"]) == (0.05, "ann")
    assert listed[1]["known_at"] == first.json()["known_at"]


async def test_the_same_key_tells_once(door: Caller) -> None:
    path = await decided(door)
    told = {"name": "fraud", "value": 1}
    key = {"Idempotency-Key": "k-1"}
    first = await door.post(path, told, headers=key)
    again = await door.post(path, told, headers=key)
    other = await door.post(path, {"name": "fraud", "value": 0}, headers=key)

    assert [first.status_code, again.status_code, other.status_code] == [201, 200, 422]
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    assert len((await door.get(path)).json()["outcomes"]) == 1


async def test_of_an_unknown_decision_nothing_is_told(door: Caller) -> None:
    for decision_id in (UNKNOWN, "fraud-risk", "%00"):
        path = f"/v1/decisions/{decision_id}/outcomes"
        assert (await door.get(path)).status_code == 404
        assert (await door.post(path, {"name": "fraud", "value": 1})).status_code == 404


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"value": "1"}, "value"),
        ({"name": "Fraud"}, "name"),
        ({"ratio": 0}, "ratio"),
        ({"source": "rumour"}, "source"),
        ({"known_at": "2026-05-03T14:03:00"}, "known_at"),
        ({"by": ""}, "by"),
        ({"more": 1}, "more"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_is_written(
    door: Caller, wrong: dict[str, Any], place: str
) -> None:
    path = await decided(door)
    answer = await door.post(path, {"name": "fraud", "value": 1} | wrong)

    assert answer.status_code == 422
    assert place in answer.text
    assert (await door.get(path)).json() == {"outcomes": []}


@pytest.mark.parametrize("known_at", ["2999-05-03T14:03:00Z", "1999-05-03T14:03:00Z"])
async def test_a_moment_that_contradicts_what_is_recorded_is_a_conflict(
    door: Caller, known_at: str
) -> None:
    path = await decided(door)
    answer = await door.post(path, {"name": "fraud", "value": 1, "known_at": known_at})

    assert (answer.status_code, answer.json()["code"]) == (409, "out-of-time")
    assert answer.json()["faults"][0]["place"] == "known_at_ms"
    assert (await door.get(path)).json() == {"outcomes": []}
