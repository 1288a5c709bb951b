"""Two people are two people: who gives a key to themselves is no second one, wherever two are asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from opsrail import Queue
from opsrail.app import App
from opsrail.values.reviews import ReviewRow
from tests.unit.web.conftest import app_of
from tests.unit.web.signed import browser, signed_in, token_of, user

PLAN = {
    "point": "fraud-risk",
    "kind": "deadline",
    "content": {"deadline_ms": 321},
    "reason": "it is slow",
}


@pytest.fixture
async def app() -> AsyncIterator[App]:
    made = app_of(queues={"claims-desk": Queue("claims-desk", eyes=2, blind=True)})
    async with made.running():
        for name in ("anna", "ben", "cat"):
            await user(made, name, ("*", "admin"))
        yield made


async def given(app: App, by: str) -> dict[str, str]:
    """Return the header of a key that somebody gave out."""
    secret, _ = await app.access.keys.add("a program", [("*", "admin")], by=by)
    return {"authorization": f"Bearer {secret}"}


async def test_nobody_approves_their_own_change_by_a_key_that_they_gave_out(app: App) -> None:
    own = await given(app, "user:anna")
    of_own = await given(app, f"key:{(await app.access.keys.list())[0].row.id}")
    bens = await given(app, "user:ben")
    async with browser(app) as program, signed_in(app, "anna") as anna:
        token = {"x-csrf": await token_of(anna)}
        by_anna = (await anna.post("/v1/changes", json=PLAN, headers=token)).json()["id"]
        by_key = (await program.post("/v1/changes", json=PLAN, headers=own)).json()["id"]

        async def approve(client: httpx.AsyncClient, one: str, headers: dict[str, str]) -> int:
            answer = await client.post(f"/v1/changes/{one}/approve", json={}, headers=headers)
            return answer.status_code

        refused = [
            await approve(program, by_anna, own),
            await approve(program, by_anna, of_own),
            await approve(anna, by_key, token),
            await approve(program, by_key, of_own),
        ]
        taken = [await approve(program, one, bens) for one in (by_anna, by_key)]

    assert [status in (403, 409) for status in refused] == [True] * 4
    assert taken == [200, 200]


@pytest.mark.parametrize("first", ["user:anna", "the command line"])
async def test_a_key_that_gives_out_a_key_that_gives_out_a_key_is_still_one_persons(
    app: App, first: str
) -> None:
    heads = [await given(app, first)]
    for _ in range(12):
        newest = (await app.access.keys.list(limit=1))[0].row.id
        heads.append(await given(app, f"key:{newest}"))
    async with browser(app) as program:
        planned = await program.post("/v1/changes", json=PLAN, headers=heads[0])
        path = f"/v1/changes/{planned.json()['id']}/approve"
        answers = [await program.post(path, json={}, headers=one) for one in heads]
        other = await program.post(path, json={}, headers=await given(app, "user:ben"))

    assert {answer.status_code for answer in answers} <= {403, 409}
    assert other.status_code == 200


async def test_nobody_is_both_pairs_of_eyes_by_a_key_nor_rules_by_one_on_what_they_handed_in(
    app: App,
) -> None:
    keys = {f"{name}'s key": await given(app, f"user:{name}") for name in ("anna", "ben", "cat")}
    async with browser(app) as program, signed_in(app, "anna") as anna:
        token = {"x-csrf": await token_of(anna)}

        async def posted(who: str, path: str, body: Any) -> httpx.Response:
            if who == "anna":
                return await anna.post(path, json=body, headers=token)
            return await program.post(path, json=body, headers=keys[who])

        async def review_of(who: str) -> str:
            claim = {"claim_id": "c-2", "amount": 5000}
            case = await posted(who, "/v1/cases/claims-intake", claim)
            await app.runner.ending_of(case.json()["id"])
            return f"/v1/reviews/{case.json()['id']}-1"

        for first, second in (("anna", "anna's key"), ("anna's key", "anna")):
            one = await review_of("cat's key")
            said = await posted(second, f"{one}/say", {"verdict": "approve"})
            back = await posted(second, f"{one}/release", {})
            ruled = await posted(first, f"{one}/rule", {"verdict": "approve"})
            both = await posted(second, f"{one}/rule", {"verdict": "approve"})
            other = await posted("ben's key", f"{one}/rule", {"verdict": "approve"})
            assert [each.status_code for each in (said, back, ruled, both)] == [200, 200, 200, 403]
            assert other.status_code == 200
        handed_in = await review_of("anna")
        asked = [
            await posted(
                "anna's key",
                f"{handed_in}/{verb}",
                body,
            )
            for verb, body in {
                "claim": {},
                "say": {"verdict": "approve"},
                "rule": {"verdict": "approve"},
                "pass": {"person": "user:ben"},
                "escalate": {},
                "release": {},
            }.items()
        ]

    assert [answer.status_code for answer in asked] == [403] * 6
    assert (await app.store.select(ReviewRow))[-1].ruling is None
