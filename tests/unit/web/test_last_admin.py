"""Whoever would lock everybody out is refused at the door."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from opsrail.app import App
from tests.unit.web.conftest import app_of
from tests.unit.web.signed import send, signed_in, token_of, user


@pytest.fixture
async def app() -> AsyncIterator[App]:
    made = app_of()
    async with made.running():
        yield made


async def test_nobody_ends_the_last_admin_whichever_way_they_ask(app: App) -> None:
    await user(app, "anna", ("*", "admin"))
    async with signed_in(app, "anna") as client:
        headers = {"x-csrf": await token_of(client)}
        answers = [
            await client.post("/v1/users/anna/disable", json={}, headers=headers),
            await client.post("/v1/users/anna/revoke", json={"role": "admin"}, headers=headers),
            await send(client, "/console/people/anna/disable"),
            await send(client, "/console/people/anna/revoke", [("scope", "*"), ("role", "admin")]),
        ]
        still = await client.get("/console/people/anna")

    assert [one.status_code for one in answers] == [409] * 4
    assert all("the last active admin" in one.text for one in answers)
    assert "opsrail users grant NAME --role admin" in answers[0].json()["detail"]
    assert still.status_code == 200
