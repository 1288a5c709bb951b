"""What would have had to be otherwise, over HTTP."""

from __future__ import annotations

from tests.unit.web.conftest import CLAIM, Caller

DECIDE = "/v1/decisions/fraud-risk"


async def asked(live: Caller, **claim: object) -> str:
    answer = await live.post(DECIDE, {**CLAIM, **claim})
    return str(answer.json()["id"])


async def test_the_smallest_change_is_told_with_its_verdict(live: Caller) -> None:
    decision = await asked(live, amount=1500)

    told = (await live.get(f"/v1/decisions/{decision}/nearest?towards=approve")).json()
    (change,) = told["change"]["changes"]

    assert (told["id"], told["verdict"], told["towards"]) == (decision, "review", "approve")
    assert (change["fact"], change["before"]) == ("amount", 1500.0)
    assert 970 < change["after"] < 1000
    assert told["change"]["verdict"] == "approve"
    assert told["absent"] is None
    assert told["sentences"][0].startswith("The verdict would be 'approve'")


async def test_a_change_that_is_told_turns_the_verdict_when_it_is_asked(live: Caller) -> None:
    decision = await asked(live, amount=1500)
    told = (await live.get(f"/v1/decisions/{decision}/nearest")).json()
    changed = {change["fact"]: change["after"] for change in told["change"]["changes"]}

    again = (await live.post(DECIDE, {**CLAIM, "amount": 1500, **changed})).json()

    assert again["verdict"] == told["change"]["verdict"] != "review"


async def test_a_rule_above_the_score_is_told(live: Caller) -> None:
    decision = await asked(live, is_insured=False)

    told = (await live.get(f"/v1/decisions/{decision}/nearest?towards=approve")).json()

    assert told["ruled"] == {"rule": "uninsured", "text": "Nobody insured it."}
    assert [change["fact"] for change in told["change"]["changes"]] == ["is_insured"]


async def test_a_decision_without_a_score_says_why_nothing_is_told(door: Caller) -> None:
    decision = await asked(door)

    told = (await door.get(f"/v1/decisions/{decision}/nearest")).json()

    assert told["change"] is None
    assert told["absent"]["code"] == "not-explainable"


async def test_a_verdict_that_nobody_gives_is_a_wrong_query(live: Caller) -> None:
    decision = await asked(live)

    answer = await live.get(f"/v1/decisions/{decision}/nearest?towards=maybe")

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


async def test_of_an_unknown_decision_nothing_is_told(live: Caller) -> None:
    answer = await live.get("/v1/decisions/01ARZ3NDEKTSV4RRFFQ69G5FAV/nearest")

    assert answer.status_code == 404
