"""What people do with reviews over HTTP, in a queue that asks much of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel, Field

from opsrail import Escalation, Queue
from opsrail.access.roles import grants_of
from opsrail.cases.office import Office
from tests.unit.web.conftest import Caller, app_of, running
from tests.unit.web.signed import key, send, signed_in, token_of, user

LARGE = {"claim_id": "c-2", "amount": 5000}


class Correction(BaseModel):
    amount: float = Field(ge=0, default=0)


STRICT = Queue(
    "claims-desk",
    title="Claims desk",
    verdicts=("approve", "decline"),
    form=Correction,
    blind=True,
    undo="200ms",
    escalate=[Escalation("2h", "seniors")],
)


@pytest.fixture
async def strict() -> AsyncIterator[Caller]:
    app = app_of(queues={STRICT.name: STRICT, "quiet": Queue("quiet")})
    async with running(app) as client:
        yield Caller(app, client)


async def did(door: Caller, review_id: str, verb: str, by: str, **body: Any) -> dict[str, Any]:
    answer = await door.post(f"/v1/reviews/{review_id}/{verb}", {"by": by, **body})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_reviewers_day(strict: Caller) -> None:
    case_id = await strict.settled(LARGE)
    ending = strict.app.runner.ending_of(case_id)
    before = (await strict.get("/v1/queues")).json()["queues"]
    got = (await strict.post("/v1/reviews/next", {"by": "ann"})).json()["review"]
    none = (await strict.post("/v1/reviews/next", {"by": "bob"})).json()
    beat = await did(strict, got["id"], "heartbeat", "ann")
    said = await did(strict, got["id"], "say", "ann", verdict="approve")
    ruled = await did(strict, got["id"], "rule", "ann", verdict="approve", fields={"amount": 7})
    undone = await did(strict, got["id"], "undo", "ann")
    again = await did(strict, got["id"], "rule", "ann", verdict="decline", reason="a copy")
    other = await did(strict, got["id"], "reconsider", "ann", verdict="approve", reason="no copy")
    case = await asyncio.wait_for(ending, 20)
    events = (await strict.get(f"/v1/reviews/{got['id']}/events")).json()["events"]
    done = (await strict.get("/v1/reviews?state=ruled&mine=ann")).json()["reviews"]

    assert [(one["queue"], one["title"], one["waiting"]) for one in before] == [
        ("claims-desk", "Claims desk", 1),
        ("quiet", "quiet", 0),
    ]
    assert (got["standing"], got["is_shown"], got["verdict"]) == ("claimed", False, None)
    assert none == {"review": None}
    assert beat["lease_until"] >= got["lease_until"]
    assert (said["is_shown"], said["verdict"]) == (True, "review")
    assert (ruled["standing"], ruled["fields"]) == ("held", {"amount": 7})
    assert ruled["may_undo_until"] is not None
    assert (undone["standing"], undone["ruling"]) == ("claimed", None)
    assert (again["ruling"], other["ruling"], case.state) == ("decline", "approve", "settled")
    assert [event["kind"] for event in events] == [
        *("opened", "claimed", "said", "ruled", "undone", "ruled", "reconsidered", "delivered")
    ]
    assert [one["id"] for one in done] == [got["id"]]


async def test_a_question_a_pass_and_the_chain(strict: Caller) -> None:
    review_id = f"{await strict.settled(LARGE)}-1"
    asked = await did(strict, review_id, "ask", "ann", question="page 2?", to="bob")
    refused = await strict.post(
        f"/v1/reviews/{review_id}/rule", {"by": "ann", "verdict": "decline"}
    )
    answered = await did(strict, review_id, "answer", "bob", answer="there")
    nowhere = await strict.post(f"/v1/reviews/{review_id}/pass", {"by": "ann", "queue": "senior"})
    nothing = await strict.post("/v1/reviews/next", {"by": "dee", "queues": ["senior"]})
    passed = await did(strict, review_id, "pass", "ann", person="cy", reason="yours")
    up = await did(strict, review_id, "escalate", "cy", reason="too large")
    end = await strict.post(f"/v1/reviews/{review_id}/escalate", {"by": "cy"})

    assert (asked["state"], asked["assignee"], refused.status_code) == ("asked", "bob", 409)
    assert (answered["assignee"], passed["assignee"]) == ("ann", "cy")
    for refused in (nowhere, nothing):
        assert (refused.status_code, refused.json()["code"]) == (409, "contradictory")
        (fault,) = refused.json()["faults"]
        assert fault["message"] == "no queue 'senior'; there are: claims-desk, quiet, seniors"
    assert (up["queue"], up["level"], end.status_code) == ("seniors", 1, 409)


async def test_what_a_form_refuses_is_told_field_by_field(strict: Caller) -> None:
    review_id = f"{await strict.settled(LARGE)}-1"
    body = {"by": "ann", "verdict": "burn", "fields": {"amount": -1, "x": 0}}
    unknown = await strict.post(f"/v1/reviews/{review_id}/rule", body)
    fields = await strict.post(f"/v1/reviews/{review_id}/rule", {**body, "verdict": "decline"})

    assert [fault["place"] for fault in unknown.json()["faults"]] == ["verdict"]
    assert [fault["place"] for fault in fields.json()["faults"]] == ["fields.amount", "fields.x"]
    assert (unknown.status_code, fields.status_code) == (422, 422)


async def test_alike_reviews_are_ruled_at_once_and_pages_adjoin(door: Caller) -> None:
    ids = [f"{await door.settled({**LARGE, 'claim_id': f'c-{n}'})}-1" for n in range(5)]
    seen: list[str] = []
    path: str | None = "/v1/reviews?limit=2"
    while path:
        page = (await door.get(path)).json()
        seen += [one["id"] for one in page["reviews"]]
        path = page["next"]
    await door.post(f"/v1/reviews/{ids[1]}/claim", {"by": "bob"})
    body = {"by": "ann", "ids": ids[:3], "verdict": "approve", "reason": "all seen"}
    answer = (await door.post("/v1/reviews/rule", body)).json()
    unknown = [f"{'0' * 26}-{number}" for number in (1, 2)]
    strangers = await door.post(
        "/v1/reviews/rule", {**body, "ids": [unknown[0], ids[3], unknown[1]]}
    )
    twice = await door.post("/v1/reviews/rule", {**body, "ids": [ids[3], ids[3]]})

    assert seen == ids
    assert [one["id"] for one in answer["ruled"]] == [ids[0], ids[2]]
    assert [(one["id"], one["code"]) for one in answer["failed"]] == [(ids[1], "already-ruled")]
    assert (strangers.status_code, twice.status_code) == (409, 422)
    assert [(one["place"], one["message"]) for one in strangers.json()["faults"]] == [
        (f"ids.{at}", f"no review {one}") for at, one in zip((0, 2), unknown, strict=True)
    ]
    assert [fault["place"] for fault in twice.json()["faults"]] == ["ids"]


async def test_what_no_database_keeps_and_no_reader_understands_is_refused_where_it_stands(
    strict: Caller,
) -> None:
    review_id = f"{await strict.settled(LARGE)}-1"
    body = {"by": "ann", "verdict": "decline", "reason": "seen"}
    answers = [
        await strict.post(path, {**body, **wrong})
        for path, wrong in (
            (f"/v1/reviews/{review_id}/rule", {"reason": "se\0en"}),
            (f"/v1/reviews/{review_id}/rule", {"verdict": "decl\0ine"}),
            (f"/v1/reviews/{review_id}/rule", {"by": "an\0n"}),
            ("/v1/reviews/rule", {"ids": [f"{review_id}\0"]}),
        )
    ]

    large = await strict.post(
        f"/v1/reviews/{review_id}/rule", {**body, "fields": {"amount": 2**53}}
    )

    places = [[fault["place"].split("[")[0] for fault in one.json()["faults"]] for one in answers]
    assert {one.status_code for one in answers} == {422}
    assert [place[0].split(".")[0] for place in places] == ["reason", "verdict", "by", "ids"]
    assert large.status_code == 400


async def test_a_page_after_a_review_that_is_not_there_is_not_found(door: Caller) -> None:
    assert (await door.get("/v1/reviews?after=NOTHING-1")).status_code == 404


async def test_a_case_does_not_tell_a_reviewer_what_its_blind_review_hides(strict: Caller) -> None:
    case_id = await strict.settled(LARGE)
    view = await Office(strict.app.store, strict.app.clock).view(case_id)
    hidden, whole = view.record(hides=True), view.record()
    await did(strict, f"{case_id}-1", "rule", "ann", verdict="approve")
    held = (await Office(strict.app.store, strict.app.clock).view(case_id)).record(hides=True)

    assert [(one["verdict"], one["score"]) for one in hidden["decisions"]] == [(None, None)]
    assert whole["decisions"][0]["verdict"] == "review"
    assert held["reviews"][0]["ruling"] is None
    assert not grants_of([("*", "reviewer")]).may("decisions.read", "claims-intake")


async def test_who_manages_reviews_answers_what_a_reviewer_asks_and_who_asked_does_not(
    strict: Caller,
) -> None:
    review_id = f"{await strict.settled(LARGE)}-1"
    path = f"/v1/reviews/{review_id}"
    ann = await key(strict.app, ("claims-intake", "reviewer"))
    viewer, foreign = [
        await key(strict.app, grant) for grant in (("*", "viewer"), ("loans", "operator"))
    ]
    await user(strict.app, "otto", ("claims-intake", "operator"))
    async with signed_in(strict.app, "otto") as otto:
        question = {"question": "page 2?", "to": "user:otto"}
        asked = await strict.client.post(f"{path}/ask", json=question, headers=ann)
        refused = [
            await strict.client.post(f"{path}/answer", json={"answer": "?"}, headers=headers)
            for headers in (ann, viewer, foreign)
        ]
        page = await otto.get(f"/console/reviews/{review_id}")
        answered = await send(otto, f"/console/reviews/{review_id}/answer", [("answer", "there")])
        ruled = await otto.post(
            f"{path}/rule", json={"verdict": "approve"}, headers={"x-csrf": await token_of(otto)}
        )
    row = await strict.app.desk.get(review_id)

    assert asked.status_code == 200, asked.text
    assert [one.status_code for one in refused] == [403, 403, 403]
    assert "page 2?" in page.text
    assert 'name="answer"' in page.text
    assert 'name="verdict"' not in page.text
    assert (answered.status_code, row.state) == (303, "claimed")
    assert str(row.assignee).startswith("key:")
    assert ruled.status_code == 403
