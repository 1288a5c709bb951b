"""What stands at the end of a long list is found all the same."""

from __future__ import annotations

import asyncio
import re

import httpx

from opsrail.web.console.review_search import MOST_MINE
from tests.unit.web.conftest import app_of, client_of
from tests.unit.web.signed import signed_in, user


async def test_what_a_person_holds_is_shown_however_many_of_their_leases_lapsed() -> None:
    app = app_of()
    async with app.running():
        async with client_of(app) as client:
            cases = [await opened(client, number) for number in range(MOST_MINE + 2)]
        await user(app, "anna", ("*", "reviewer"))
        for case_id in cases[:-1]:
            await app.desk.claim(f"{case_id}-1", "user:anna", lease_ms=1)
        await asyncio.sleep(0.005)
        await app.desk.claim(f"{cases[-1]}-1", "user:anna")
        async with signed_in(app, "anna") as anna:
            page = await anna.get("/console/reviews")

    links = set(re.findall(r"/console/reviews/([0-9A-Z]{26}-\d+)", page.text))
    assert links == {f"{cases[-1]}-1"}


async def opened(client: httpx.AsyncClient, number: int) -> str:
    """Let a claim in that people must look at; return its case's id."""
    claim = {"claim_id": f"c-{number}", "amount": 5000}
    answer = await client.post("/v1/cases/claims-intake", json=claim, headers={"prefer": "wait=20"})
    assert answer.json()["state"] == "waiting"
    return str(answer.json()["id"])


async def test_every_key_is_reached_page_by_page() -> None:
    app = app_of()
    async with app.running():
        await user(app, "root", ("*", "admin"))
        made = {
            (await app.access.keys.add(f"key {number}", [("*", "viewer")], by="tests"))[1].row.id
            for number in range(52)
        }
        async with signed_in(app, "root") as root:
            first = (await root.get("/console/people")).text
            (way,) = re.findall(r'href="(/console/people\?keys_after=[0-9A-Z]{26})"', first)
            second = (await root.get(way)).text

    found = [
        set(re.findall(r"/console/keys/([0-9A-Z]{26})/revoke", page)) for page in (first, second)
    ]
    assert [len(keys) for keys in found] == [50, 2]
    assert found[0] | found[1] == made
    assert 'href="/console/people"' in second
