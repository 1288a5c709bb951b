"""What a reviewer of a blind queue cannot find out, wherever they look, before they have said what they think."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import BaseModel

from opsrail import Queue
from opsrail.app import App
from opsrail.values.decisions import DecisionRow
from opsrail.values.reviews import ReviewRow
from opsrail.values.rows import Update
from tests.unit.web.conftest import app_of, client_of
from tests.unit.web.signed import send, signed_in, user

LARGE = {"claim_id": "c-2", "amount": 5000}
WORD = "zzdeclinezz"
WHY = "zzbecausezz"
ASKED = "What is to become of it?"
BLIND = Queue("claims-desk", verdicts=("approve", WORD), blind=True, undo="1h", question=ASKED)
PAIR = Queue("claims-desk", verdicts=("approve", WORD), eyes=2, undo="1h", question=ASKED)


@pytest.fixture(params=[BLIND, PAIR], ids=["blind", "two pairs of eyes"])
async def app(request: pytest.FixtureRequest) -> AsyncIterator[App]:
    made = app_of(queues={"claims-desk": request.param})
    async with made.running():
        yield made


async def test_a_ruling_that_may_be_taken_back_is_told_to_nobody_who_may_have_to_judge_after_it(
    app: App,
) -> None:
    async with client_of(app) as client:
        wish = {"prefer": "wait=20"}
        case_id = (await client.post("/v1/cases/claims-intake", json=LARGE, headers=wish)).json()[
            "id"
        ]
    decision = (await app.store.select(DecisionRow))[0]
    for by in ("user:ann", "user:bob")[: 1 if app.definitions.queues["claims-desk"].blind else 2]:
        await app.desk.rule(f"{case_id}-1", WORD, by=by, reason=WHY)
    await user(app, "cat", ("*", "reviewer"), ("*", "viewer"))
    one = f"/console/reviews/{case_id}-1"
    pages = [
        f"/console/cases/{case_id}", f"/v1/cases/{case_id}", f"/console/decisions/{decision.id}", one,
        "/console/reviews?queue=claims-desk&state=ruled", f"/v1/reviews/{case_id}-1/events", f"/v1/reviews/{case_id}-1",
    ]  # fmt: skip
    async with signed_in(app, "cat") as cat:
        seen = {path: await cat.get(path) for path in pages}
        seen |= {verb: await send(cat, f"{one}/{verb}") for verb in ("claim", "heartbeat", "say", "escalate")}  # fmt: skip
        seen["rule"] = await send(cat, f"{one}/rule", [("verdict", "approve")])

    assert {path: seen[path].status_code for path in pages} == dict.fromkeys(pages, 200)
    assert seen["claim"].status_code == seen["rule"].status_code == 409
    told = {
        name: [
            word
            for word in (WORD, WHY)
            if word in answer.text.replace(f'"{WORD}"]', "").replace(f'verdict" value="{WORD}', "")
        ]
        for name, answer in seen.items()
    }
    assert {name: words for name, words in told.items() if words} == {}


class Correction(BaseModel):
    """A form of which one field is typed as JSON."""

    extra: dict[str, int] = {}


async def test_a_blind_ruling_that_cannot_be_read_tells_nothing_of_the_machines() -> None:
    desk = Queue("claims-desk", verdicts=("pay", "refuse"), blind=True, form=Correction)
    app = app_of(queues={"claims-desk": desk})
    async with app.running():
        async with client_of(app) as client:
            wish = {"prefer": "wait=20"}
            answer = await client.post("/v1/cases/claims-intake", json=LARGE, headers=wish)
        review_id = f"{answer.json()['id']}-1"
        await app.store.commit([Update(ReviewRow, (review_id,), {"verdict": "pay"})])
        await user(app, "cat", ("*", "reviewer"))
        async with signed_in(app, "cat") as cat:
            fields = [("verdict", "refuse"), ("fields.extra", "{no JSON")]
            refused = await send(cat, f"/console/reviews/{review_id}/rule", fields)
        said = await app.desk.rulings(review_id)

    assert refused.status_code == 422
    assert "policy said" not in refused.text
    assert said == []
