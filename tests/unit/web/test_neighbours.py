"""What people who hold a role in one scope find out about others, on pages that show more than their own object."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from opsrail.app import App
from opsrail.values.access import SignInLinkRow
from opsrail.values.cases import WorkerRow
from opsrail.values.rollouts import AlarmRow, GuaranteeRow
from opsrail.values.rows import Insert
from opsrail.web.console import board
from tests.unit.web.conftest import app_of, client_of
from tests.unit.web.signed import browser, key, signed_in, user

ELSEWHERE = "loans"
MARK = "zzmarkzz"


@pytest.fixture
async def app() -> AsyncIterator[App]:
    made = app_of()
    async with made.running():
        async with client_of(made) as client:
            claim = {"claim_id": MARK, "amount": 5000}
            await client.post("/v1/cases/claims-intake", json=claim, headers={"prefer": "wait=20"})
        yield made


async def test_a_review_that_is_passed_to_somebody_who_may_not_see_it_is_not_listed_as_theirs(
    app: App,
) -> None:
    (row,) = await app.desk.page()
    await app.desk.claim(row.id, "user:ann")
    await app.desk.pass_on(row.id, by="user:ann", person="user:bob")
    await user(app, "bob", (ELSEWHERE, "reviewer"))
    async with signed_in(app, "bob") as bob:
        before = await bob.get("/console/reviews")
        await app.access.users.grant("bob", "claims-intake", "reviewer", by="test")
        app.access.directory.forget()
        after = await bob.get("/console/reviews")

    assert MARK not in before.text
    assert row.id not in before.text
    assert MARK in after.text


async def test_processes_and_their_machines_are_shown_to_those_alone_who_see_everything(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "FRESH_MS", 1)
    (worker,) = await app.store.select(WorkerRow)
    machine = f"{worker.host}, process {worker.pid}"
    await user(app, "bob", (ELSEWHERE, "viewer"))
    await user(app, "cat", ("*", "viewer"))
    async with signed_in(app, "bob") as bob, signed_in(app, "cat") as cat:
        await asyncio.gather(cat.get("/console"), bob.get("/console"))
        await asyncio.sleep(0.01)
        everywhere = await cat.get("/console/overview/part")
        elsewhere = await bob.get("/console/overview/part")

    assert machine in everywhere.text
    assert "Last checkpoint" in elsewhere.text
    assert machine not in elsewhere.text
    assert "Workers" not in elsewhere.text


async def test_keys_that_somebody_gave_out_elsewhere_are_not_named_to_an_admin_of_one_scope(
    app: App,
) -> None:
    await user(app, "root", ("*", "admin"))
    await user(app, "bob", (ELSEWHERE, "admin"))
    _, given = await app.access.keys.add(MARK, [("claims-intake", "caller")], by="user:root")
    async with signed_in(app, "bob") as bob, signed_in(app, "root") as root:
        elsewhere = await bob.get("/console/people/root")
        everywhere = await root.get("/console/people/root")

    assert MARK in everywhere.text
    assert MARK not in elsewhere.text
    assert given.row.id not in elsewhere.text


async def test_where_somebody_gets_their_mail_is_told_to_themselves_and_to_admins_of_everything(
    app: App,
) -> None:
    bobs, cats = "bob@mail.example", "cat@mail.example"
    await app.access.users.add("bob", by="t", address=bobs, grants=[(ELSEWHERE, "admin")])
    await app.access.users.add("cat", by="t", address=cats)
    await user(app, "root", ("*", "admin"))
    headers = await key(app, (ELSEWHERE, "admin"))
    paths = [
        f"/{part}/{name}" for part in ("v1/users", "console/people") for name in ("bob", "cat")
    ]
    async with signed_in(app, "bob") as bob, signed_in(app, "root") as root:
        seen = [(await bob.get(path)).text for path in (*paths, "/v1/users", "/console/people")]
        all_ = [(await root.get(path)).text for path in (*paths, "/v1/users")]
    async with browser(app) as program:
        made = {"name": "new", "address": cats, "grants": [{"scope": ELSEWHERE, "role": "viewer"}]}
        told = (await program.post("/v1/users", json=made, headers=headers)).json()
        listed = (await program.get("/v1/users", headers=headers)).json()["users"]

    assert [bobs in text for text in seen] == [True, False, True, False, True, False]
    assert [cats in text for text in seen] == [False] * 6
    assert [(bobs in text, cats in text) for text in all_] == [
        (True, False),
        (False, True),
        (True, False),
        (False, True),
        (True, True),
    ]
    assert told["name"] == "new"
    assert [one["address"] for one in (told, *listed)] == [None] * 5


async def test_a_key_of_one_scope_makes_a_user_there_and_no_link_that_signs_them_in(
    app: App,
) -> None:
    await user(app, "root", ("*", "admin"))
    headers = await key(app, (ELSEWHERE, "admin"))
    async with browser(app) as program:
        wish = {"name": "new", "scope": ELSEWHERE, "role": "reviewer", "csrf": ""}
        made = await program.post("/console/people", data=wish, headers=headers)
        asked = await program.post("/v1/users/new/link", json={}, headers=headers)

    assert await app.access.users.get("new")
    assert (made.status_code, asked.status_code) == (303, 403)
    assert await app.store.select(SignInLinkRow) == []


async def test_the_page_of_an_automation_tells_what_stands_at_its_points_to_who_may_know_it(
    app: App,
) -> None:
    await user(app, "bob", ("claims-intake", "viewer"))
    await user(app, "eve", ("*", "reviewer"))
    await user(app, "cat", ("*", "viewer"))
    promise = GuaranteeRow(app.clock.new_id(), "fraud-risk", "{}", "{}", "", 1, None, None, 0)
    await app.store.commit([Insert(promise)])
    version = re.compile("fraud-risk/1|Deadline|guarantee")
    async with (
        signed_in(app, "bob") as bob,
        signed_in(app, "cat") as cat,
        signed_in(app, "eve") as eve,
    ):
        pages = [
            (await one.get("/console/automations/claims-intake")).text for one in (bob, eve, cat)
        ]

    points = [page[page.index('id="a-points"') : page.index('id="a-versions"')] for page in pages]
    assert [bool(version.search(one)) for one in points] == [False, False, True]
    assert all("fraud-risk" in one for one in points)


async def test_an_alarm_of_ones_own_point_is_shown_however_many_ring_elsewhere(app: App) -> None:
    def alarm(point: str, text: str) -> Insert:
        ringing = (point, "guard", "m/1", text, "{}", 1, None, None)
        return Insert(AlarmRow(app.clock.new_id(), *ringing))

    own = alarm("fraud-risk", MARK)
    await app.store.commit([own, *(alarm("loan-risk", "another") for _ in range(60))])
    await user(app, "bob", ("fraud-risk", "viewer"))
    async with signed_in(app, "bob") as bob:
        page = (await bob.get("/console")).text

    assert MARK in page
    assert "another" not in page
    assert 'data-figure="alarms">1<' in page


async def test_a_link_leads_to_where_it_was_asked_for_unless_settings_say_another_place(
    app: App,
) -> None:
    await user(app, "root", ("*", "admin"))
    await user(app, "bob", ("*", "viewer"))
    headers = await key(app, ("*", "admin"))
    async with browser(app) as program:
        asked = await program.post("/v1/users/bob/link", json={}, headers=headers)

    own = f"{program.base_url.scheme}://{program.base_url.netloc.decode()}"
    assert asked.json()["link"].startswith(f"{own}/console/sign-in?link=")
