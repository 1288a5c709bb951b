"""Control cases over HTTP."""

from __future__ import annotations

from tests.unit.web.conftest import Caller

PATH = "/v1/reviews/controls"
GOOD = {"queue": "claims-desk", "truth": "decline", "subject": {"input": {"amount": 950}}}


async def test_control_cases_are_added_listed_and_removed(door: Caller) -> None:
    added = await door.post(PATH, {"controls": [GOOD, {**GOOD, "truth": "approve"}]})
    again = await door.post(PATH, {"controls": [GOOD]})
    listed = (await door.get(f"{PATH}?queue=claims-desk&limit=1")).json()["controls"]
    rest = (await door.get(f"{PATH}?after={listed[0]['id']}")).json()["controls"]
    removed = await door.post(f"{PATH}/{listed[0]['id']}/remove")
    missing = await door.post(f"{PATH}/{listed[0]['id']}/remove")

    assert (len(added.json()["added"]), again.json()) == (2, {"added": [], "unchanged": 1})
    assert {listed[0]["truth"], rest[0]["truth"]} == {"approve", "decline"}
    assert (removed.status_code, removed.json()["used"], missing.status_code) == (200, 0, 404)


async def test_a_control_case_tells_documents_by_their_names(door: Caller) -> None:
    subject = {"input": {"receipt": "/srv/claims/7.pdf"}, "show": ["/srv/claims/8.png"]}
    await door.post(PATH, {"controls": [{**GOOD, "subject": subject}]})
    (listed,) = (await door.get(PATH)).json()["controls"]

    assert listed["subject"]["input"] == {"receipt": "7.pdf"}
    assert listed["subject"]["show"] == ["8.png"]


async def test_a_control_case_that_is_wrong_is_told_by_its_place(door: Caller) -> None:
    body = {"controls": [GOOD, {**GOOD, "truth": "review"}]}
    answer = await door.post(PATH, body)

    assert answer.status_code == 422
    assert "controls.1.truth" in answer.text


async def test_a_record_that_no_decision_has_is_no_control_case(door: Caller) -> None:
    subject = {"input": {}, "decision": {"verdict": "approve"}}
    answer = await door.post(PATH, {"controls": [{**GOOD, "subject": subject}]})

    assert answer.status_code == 409
    assert answer.json()["faults"][0]["place"] == "controls.0 subject.decision"
