"""Signing in and out over the door: sessions, their cookies and ends, throttling, CSRF, what nobody may learn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from opsrail.access.keys import cookie_of
from opsrail.access.passwords import matches
from opsrail.access.signing_in import Begun, SignInRefused
from opsrail.access.tokens import digest_of
from opsrail.app import App
from opsrail.clock import SystemClock
from opsrail.config import WebConfig
from opsrail.values.access import SessionRow, SignInLinkRow, UserRow
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.rows import Update
from opsrail.web.asgi import gate_of
from opsrail.web.console.places import place_of
from tests.unit.web.conftest import app_of
from tests.unit.web.signed import HOST, PASSWORD, browser, send, signed_in, token_of, user


@pytest.fixture
async def app() -> AsyncIterator[App]:
    made = app_of()
    async with made.running():
        yield made


async def test_while_there_are_no_users_this_machine_is_trusted_and_with_the_first_no_longer(
    app: App,
) -> None:
    async with browser(app) as client:
        before = await client.get("/v1/cases")
        await user(app, "anna", ("*", "admin"))
        after = await client.get("/v1/cases")
        page = await client.get("/console/people?after=b")

    assert before.status_code == 200
    assert after.status_code == 401
    assert page.status_code == 303
    assert page.headers["location"] == "/console/sign-in?to=/console/people%3Fafter%3Db"


@pytest.mark.parametrize(
    ("referer", "to"),
    [
        (f"{HOST}/console/cases/c1?x=a%26b", "?to=/console/cases/c1%3Fx%3Da%2526b"),
        (f"{HOST}/console/cases/c1/cancel", "?to=/console/cases/c1"),
        ("https://elsewhere.example/deed", ""),
        ("https://elsewhere.example//elsewhere.example", ""),
        ("http://[", ""),
        ("", ""),
    ],
)
async def test_who_sends_a_form_without_a_session_comes_back_to_its_page(
    app: App, referer: str, to: str
) -> None:
    await user(app, "anna", ("*", "admin"))
    async with browser(app) as client:
        answer = await client.post(
            "/console/cases/c1/cancel", data={"csrf": ""}, headers={"referer": referer}
        )

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/console/sign-in{to}"


async def test_a_link_signs_its_owner_in_once(app: App) -> None:
    await user(app, "anna", ("*", "admin"))
    token, _ = await app.access.users.link("anna", by="test")
    async with browser(app) as client, browser(app) as thief:
        page = await client.get(f"/console/sign-in?link={token}")
        looked = await app.store.get(SignInLinkRow, digest_of(token))
        answer = await client.post(
            "/console/sign-in", data={"link": token, "to": "/console/people", "csrf": ""}
        )
        people = await client.get("/console/people")
        again = await thief.post("/console/sign-in", data={"link": token, "csrf": ""})

    assert page.status_code == 200
    assert token in page.text
    assert looked is not None
    assert looked.used_at_ms is None
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/people")
    assert people.status_code == 200
    assert again.status_code == 403
    assert "used" in again.text


async def test_a_reviewer_who_signs_in_lands_where_they_may_be_and_other_pages_stay_shut(
    app: App,
) -> None:
    await user(app, "ann", ("claims-intake", "reviewer"))
    await user(app, "ben")
    async with signed_in(app, "ann") as reviewer, signed_in(app, "ben") as nobody:
        home = await reviewer.get("/console")
        shut = await reviewer.get("/console/models")
        nowhere = await nobody.get("/console")

    assert (home.status_code, home.headers["location"]) == (303, "/console/reviews")
    assert (shut.status_code, nowhere.status_code) == (403, 403)


async def test_a_password_signs_in_and_the_cookie_is_kept_from_scripts_and_other_sites(
    app: App,
) -> None:
    await user(app, "anna", password=PASSWORD)
    async with browser(app) as client:
        answer = await client.post(
            "/console/sign-in", data={"name": "anna", "password": PASSWORD, "csrf": ""}
        )
        account = await client.get("/console/account")

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("opsrail=")
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= set(cookie.split("; "))
    assert len(cookie.split("=")[1].split(";")[0]) >= 22
    assert "anna" in account.text


async def test_over_https_the_cookie_has_the_host_prefix_and_elsewhere_nobody_signs_in() -> None:
    app = app_of(WebConfig(public_url="https://opsrail.example", api_key="k" * 20))
    async with app.running():
        await user(app, "anna", password=PASSWORD)
        wish = {"name": "anna", "password": PASSWORD, "csrf": ""}
        async with browser(app) as client:
            secure = await client.post(
                "/console/sign-in", data=wish, headers={"host": "opsrail.example"}
            )
            plain = await client.post("/console/sign-in", data=wish, headers={"host": "10.0.0.5"})

    cookie = secure.headers["set-cookie"]
    assert cookie.startswith("__Host-opsrail=")
    assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert plain.status_code == 403
    assert "set-cookie" not in plain.headers


@pytest.mark.parametrize(
    ("url", "told"), [("https://opsrail.example", "max-age=31536000"), ("", None)]
)
async def test_a_browser_that_came_over_https_keeps_to_it(url: str, told: str | None) -> None:
    app = app_of(WebConfig(public_url=url))
    async with app.running(), browser(app) as client:
        pages = [await client.get(path) for path in ("/console/sign-in", "/console", "/console/no")]

    assert [page.status_code for page in pages] == [200, 200, 404]
    assert [page.headers.get("strict-transport-security") for page in pages] == [told] * 3


async def test_a_sign_in_makes_a_fresh_session_and_ends_the_one_it_came_with(app: App) -> None:
    await user(app, "anna", password=PASSWORD)
    async with signed_in(app, "anna") as client:
        first = client.cookies["opsrail"]
        csrf = await token_of(client)
        await client.post(
            "/console/sign-in", data={"name": "anna", "password": PASSWORD, "csrf": csrf}
        )
        second = client.cookies["opsrail"]

    assert first != second
    assert await app.store.get(SessionRow, digest_of(first)) is None
    assert await app.store.get(SessionRow, digest_of(second)) is not None


async def test_a_session_that_a_stranger_planted_signs_nobody_in(app: App) -> None:
    await user(app, "anna", password=PASSWORD)
    async with browser(app) as client:
        client.cookies.set("opsrail", "planted")
        answer = await client.post(
            "/console/sign-in", data={"name": "anna", "password": PASSWORD, "csrf": ""}
        )
        planted = await client.get("/console/account", headers={"cookie": "opsrail=planted"})

    assert answer.status_code == 303
    assert await app.store.get(SessionRow, digest_of("planted")) is None
    assert planted.status_code == 303


async def test_the_database_holds_no_secret_that_signs_anybody_in(app: App) -> None:
    await user(app, "anna", password=PASSWORD)
    async with signed_in(app, "anna") as client:
        cookie = client.cookies["opsrail"]
        rows = [*await app.store.select(SessionRow), *await app.store.select(SignInLinkRow)]
        users = await app.store.select(UserRow)

    assert cookie not in str(rows)
    assert PASSWORD not in str(users)
    assert str(users[0].password).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize("ends", ["seen_at_ms", "ends_at_ms"])
async def test_a_session_ends_when_nobody_uses_it_and_at_the_latest_at_its_end(
    app: App, ends: str
) -> None:
    await user(app, "anna")
    async with signed_in(app, "anna") as client:
        digest = digest_of(client.cookies["opsrail"])
        alive = await client.get("/console/account")
        past_ms = app.clock.now_ms() - (3_600_000 if ends == "seen_at_ms" else 0)
        await app.store.commit([Update(SessionRow, (digest,), {ends: past_ms})])
        app.access.directory.forget()
        ended = await client.get("/console/account")

    assert alive.status_code == 200
    assert ended.status_code == 303


async def test_use_keeps_a_session_alive_but_not_past_its_end(app: App) -> None:
    await user(app, "anna")
    async with signed_in(app, "anna") as client:
        digest = digest_of(client.cookies["opsrail"])
        seen_ms = app.clock.now_ms() - 120_000
        await app.store.commit([Update(SessionRow, (digest,), {"seen_at_ms": seen_ms})])
        before = await app.store.get(SessionRow, digest)
        app.access.directory.forget()
        await client.get("/console/account")
        after = await app.store.get(SessionRow, digest)

    assert before is not None
    assert after is not None
    assert after.seen_at_ms > before.seen_at_ms
    assert after.ends_at_ms == before.ends_at_ms


async def test_a_page_that_is_left_open_keeps_no_session_alive_by_what_it_asks_of_itself(
    app: App,
) -> None:
    await user(app, "anna", ("*", "admin"))
    async with signed_in(app, "anna") as client:
        digest = digest_of(client.cookies["opsrail"])
        csrf = await token_of(client)
        seen_ms = app.clock.now_ms() - 120_000
        await app.store.commit([Update(SessionRow, (digest,), {"seen_at_ms": seen_ms})])
        app.access.directory.forget()
        alone = {"x-opsrail-unattended": "1"}
        beat = await client.post(
            "/console/reviews/01K8ZC2V7N3T9D4M6Q0RWXYABC-1/heartbeat", data={"csrf": csrf}, headers=alone
        )  # fmt: skip
        part = await client.get("/console/overview/part", headers=alone)
        after = await app.store.get(SessionRow, digest)
        scripts = [
            (await client.get(f"/console/static/{name}.js")).text for name in ("review", "console")
        ]

    assert (beat.status_code, part.status_code) == (404, 200)
    assert after is not None
    assert after.seen_at_ms == seen_ms
    assert "isAttended ? {} : window.opsrail.unattended" in scripts[0]
    assert "...unattended" in scripts[1]


async def test_who_is_disabled_is_out_at_once_in_this_process(app: App) -> None:
    await user(app, "anna")
    await user(app, "ben", ("*", "admin"))
    async with signed_in(app, "anna") as client, signed_in(app, "ben") as admin:
        before = await client.get("/console/account")
        await send(admin, "/console/people/anna/disable")
        after = await client.get("/console/account")

    assert (before.status_code, after.status_code) == (200, 303)
    assert [row.user for row in await app.store.select(SessionRow)] == ["ben"]


async def test_another_process_heeds_the_end_of_a_session_within_two_seconds(app: App) -> None:
    await user(app, "anna")
    async with signed_in(app, "anna") as client:
        await client.get("/console/account")
        await app.access.users.disable("anna", by="another process")
        still = await client.get("/console/account")
        await asyncio.sleep(1.1)
        after = await client.get("/console/account")

    assert still.status_code in (200, 303)
    assert after.status_code == 303


async def test_a_new_password_ends_the_other_sessions_and_needs_the_old_one(app: App) -> None:
    await user(app, "anna", password=PASSWORD)
    new = "nine loud pelicans eat"
    async with signed_in(app, "anna") as client, signed_in(app, "anna") as other:
        wrong = await send(
            client, "/console/account/password", [("old", "no"), ("new", new), ("again", new)]
        )
        weak = await send(
            client,
            "/console/account/password",
            [("old", PASSWORD), ("new", "short"), ("again", "short")],
        )
        right = await send(
            client, "/console/account/password", [("old", PASSWORD), ("new", new), ("again", new)]
        )
        here = await client.get("/console/account")
        there = await other.get("/console/account")

    assert (wrong.status_code, weak.status_code, right.status_code) == (403, 422, 303)
    assert (here.status_code, there.status_code) == (200, 303)


@pytest.mark.parametrize("change", ["set_password", "disable"])
async def test_no_session_begins_by_a_password_that_was_taken_away_while_it_was_looked_at(
    app: App, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    await user(app, "anna", password=PASSWORD)
    await user(app, "ben", ("*", "admin"))
    users, signing_in = app.access.users, app.access.signing_in
    begin = signing_in._begin

    async def later(*what: Any) -> Begun:
        new = ("nine loud pelicans eat",) if change == "set_password" else ()
        await getattr(users, change)("anna", *new, by="test")
        return await begin(*what)

    monkeypatch.setattr(signing_in, "_begin", later)
    with pytest.raises(SignInRefused):
        await signing_in.by_password("anna", PASSWORD, address="a")

    assert await app.store.select(SessionRow) == []


async def test_signing_out_ends_the_session_and_takes_the_cookie(app: App) -> None:
    await user(app, "anna")
    async with signed_in(app, "anna") as client:
        cookie = client.cookies["opsrail"]
        answer = await send(client, "/console/sign-out")
        after = await client.get("/console/account", headers={"cookie": f"opsrail={cookie}"})

    assert answer.headers["location"] == "/console/sign-in"
    assert 'opsrail=""' in answer.headers["set-cookie"]
    assert after.status_code == 303
    assert await app.store.select(SessionRow) == []


class Waits(SystemClock):
    """Time passes only as it is told to."""

    at_s = 0.0

    def monotonic_s(self) -> float:
        return self.at_s

    async def sleep(self, seconds: float) -> None:
        self.at_s += seconds


async def test_a_refusal_says_and_takes_the_same_whoever_is_unknown_wrong_locked_or_disabled(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time passes where a password is looked at, and where the refusal waits for the rest."""
    clock, looks_s = Waits(), iter((0.0, 0.07, 0.15, 0.31, 0.02))
    monkeypatch.setattr(app.access.signing_in, "_clock", clock)

    def looked_at(*what: Any) -> bool:
        clock.at_s += next(looks_s)
        return matches(*what)

    monkeypatch.setattr("opsrail.access.signing_in.matches", looked_at)
    await user(app, "anna", password=PASSWORD)
    await user(app, "bare")
    await user(app, "gone", password=PASSWORD)
    await app.access.users.disable("gone", by="test")
    tries = {"anna": "wrong", "nobody": "wrong", "bare": "wrong", "gone": PASSWORD, "NO NAME": "x"}
    took_s: dict[str, float] = {}
    said: set[tuple[int, str]] = set()
    async with browser(app) as client:
        for name, password in tries.items():
            begun_s = clock.at_s
            answer = await client.post(
                "/console/sign-in", data={"name": name, "password": password, "csrf": ""}
            )
            took_s[name] = round(clock.at_s - begun_s, 6)
            told = answer.text.split('role="alert">')[1].split("<")[0]
            said.add((answer.status_code, told))

    assert len(said) == 1
    assert next(iter(said))[0] == 403
    assert took_s == dict.fromkeys(tries, 0.4)


async def test_wrong_passwords_lock_a_name_also_against_the_right_one_and_the_ledger_tells(
    app: App,
) -> None:
    await user(app, "anna", password=PASSWORD)
    signing_in, wrong = app.access.signing_in, []
    for _ in range(3):
        answers = await asyncio.gather(
            *(signing_in.by_password("anna", "wrong", address=f"a{n}") for n in range(2)),
            return_exceptions=True,
        )
        wrong += answers
    locked = await app.store.get(UserRow, "anna")
    async with browser(app) as client:
        right = await client.post(
            "/console/sign-in", data={"name": "anna", "password": PASSWORD, "csrf": ""}
        )
    token, _ = await app.access.users.link("anna", by="test")
    begun = await signing_in.by_link(token, address="b")
    entries = [row for row in await app.store.select(LedgerEntryRow) if row.kind == "user.locked"]

    assert all(isinstance(one, Exception) for one in wrong)
    assert locked is not None
    assert locked.failures == 5
    assert locked.locked_until_ms is not None
    assert right.status_code == 403
    assert begun.row.user == "anna"
    assert [row.subject_id for row in entries] == ["user:anna"]


async def test_an_address_that_tries_many_names_has_to_wait(app: App) -> None:
    for n in range(30):
        app.access.signing_in._addresses.failed("127.0.0.1", app.clock.monotonic_s() - n / 10)
    async with browser(app) as client:
        answer = await client.post(
            "/console/sign-in", data={"name": "anna", "password": "x", "csrf": ""}
        )

    assert answer.status_code == 429


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "null"},
    ],
)
async def test_another_sites_page_signs_nobody_in(app: App, headers: dict[str, str]) -> None:
    await user(app, "anna", password=PASSWORD)
    async with browser(app) as client:
        answer = await client.post(
            "/console/sign-in",
            data={"name": "anna", "password": PASSWORD, "csrf": ""},
            headers=headers,
        )

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "to",
    [
        "//evil.example",
        "https://evil.example",
        "/console\\evil",
        "/v1/cases",
        "/consolex",
        "",
        "/console/../x\n",
    ],
)
def test_a_sign_in_leads_to_pages_of_ours_alone(to: str) -> None:
    assert place_of(to) == "/console"


def test_a_sign_in_leads_back_to_the_page_that_was_wanted() -> None:
    assert (
        place_of("/console/cases?state=waiting&q=%22a%22")
        == "/console/cases?state=waiting&q=%22a%22"
    )


def test_other_cookies_are_no_session() -> None:
    def of(cookie: str) -> str | None:
        return cookie_of({"cookie": cookie}, is_secure=False)

    assert of("theme=dark; opsrail=abc") == "abc"
    assert of("__Host-opsrail=safe; opsrail=abc") == "safe"
    assert of("my-opsrail=abc") is None
    assert cookie_of({}, is_secure=False) is None


async def test_over_https_a_cookie_that_other_sites_of_the_domain_could_set_is_no_session() -> None:
    app = app_of(WebConfig(public_url="https://opsrail.example", api_key="k" * 20))
    async with app.running():
        await user(app, "mallory", ("*", "admin"), password=PASSWORD)
        async with browser(app) as client:
            wish = {"name": "mallory", "password": PASSWORD, "csrf": ""}
            host = {"host": "opsrail.example"}
            signed = await client.post("/console/sign-in", data=wish, headers=host)
            token = signed.headers["set-cookie"].partition("=")[2].partition(";")[0]
            client.cookies.clear()
            tossed = await client.get("/v1/cases", headers={**host, "cookie": f"opsrail={token}"})
            own = await client.get(
                "/v1/cases", headers={**host, "cookie": f"__Host-opsrail={token}"}
            )

    assert (tossed.status_code, own.status_code) == (401, 200)


async def test_who_makes_the_first_user_at_the_console_is_not_shut_out(app: App) -> None:
    async with browser(app) as client:
        wish = {"name": "anna", "scope": "*", "role": "admin", "csrf": ""}
        made = await client.post("/console/people", data=wish)
        shut = await client.get("/console/people")
        token = made.text.split("sign-in?link=")[1].split("<")[0]
        await client.post("/console/sign-in", data={"link": token, "csrf": ""})
        people = await client.get("/console/people")

    assert (made.status_code, shut.status_code, people.status_code) == (200, 303, 200)


async def test_where_there_are_no_users_a_request_asks_no_store(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.access.directory.look()
    gate = gate_of(app, "127.0.0.1")
    monkeypatch.setattr(app.store, "select", None)
    monkeypatch.setattr(app.store, "get", None)

    principal = gate.admit("POST", {"host": "127.0.0.1:8321"})

    assert principal is not None
    assert principal.name == "http:local"


async def test_the_one_key_of_the_settings_asks_no_store() -> None:
    app = app_of(WebConfig(api_key="k" * 20))
    gate = gate_of(app, "127.0.0.1")

    principal = gate.admit("POST", {"authorization": "Bearer " + "k" * 20})

    assert principal is not None
    assert principal.name == "http:key"
