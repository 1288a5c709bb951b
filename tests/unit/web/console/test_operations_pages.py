"""The overview, cases and automations as pages, over an app whose real part is all but the database."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from opsrail.access.keys import Principal
from opsrail.access.roles import NO_GRANTS, Grants, grants_of
from opsrail.app import App
from opsrail.errors import StoreUnavailable
from opsrail.values.access import GrantRow, SessionRow, UserRow
from opsrail.values.cases import CaseRow, CaseState
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.reviews import ReviewRow
from opsrail.values.rollouts import AlarmRow
from opsrail.values.rows import Insert, Update, Value, Where
from opsrail.web.console import board, overview, streams
from opsrail.web.console.overview_view import overview_of
from tests.unit.web import claims
from tests.unit.web.conftest import CLAIM, Caller, app_of, running
from tests.unit.web.signed import signed_in, user

GATE = (UserRow, SessionRow, GrantRow)
"""What is asked to know who asks, before any page."""
FORM = {"content-type": "application/x-www-form-urlencoded"}
DUBIOUS: Mapping[str, Any] = {**CLAIM, "claim_id": "c-dubious", "amount": 1_900}
PAGES = ("/console", "/console/cases", "/console/automations", "/console/automations/claims-intake")


def text_of(page: str) -> str:
    """Return what a person reads of a page's main part."""
    main = page[page.index("<main") : page.index("</main>")]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main))


def as_role(monkeypatch: pytest.MonkeyPatch, app: App, grants: Grants) -> None:
    """Let everybody who asks be somebody with these grants."""
    who = Principal("user:anna", grants=grants)
    monkeypatch.setattr("opsrail.access.keys.Gate.admit", lambda *_: who)


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_of_an_installation_where_nothing_happened_yet_says_so(
    door: Caller, path: str
) -> None:
    answer = await door.get(path)

    assert answer.status_code == 200
    assert "<h1>" in answer.text
    assert re.search(
        "no case|No case|None of the latest|Nobody is waited for", text_of(answer.text)
    )


async def test_the_overview_counts_cases_decisions_and_what_waits(live: Caller) -> None:
    await live.settled()
    await live.settled(DUBIOUS)
    await live.app.decider.drain()

    said = text_of((await live.get("/console")).text)

    assert "waiting 1" in said
    assert "Waiting for people: 1" in said
    assert "claims-desk claims-intake 1 0 0" in said
    assert re.search(r"minute 2 [\d.]+/(s|min) 50.0% 0.0%", said)
    assert "Deadline kept 100.0% last hour" in said


async def test_the_overview_shows_alarms_and_says_what_was_not_read_yet(
    live: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "FRESH_MS", 1)
    row = AlarmRow(
        "01K0000000000000000000000A",
        "fraud-risk",
        "guarantee-broken",
        "m/1",
        "It <b>broke</b>.",
        "{}",
        1,
        None,
        None,
    )
    await live.app.store.commit([Insert(row)])

    first = text_of((await live.get("/console")).text)
    await asyncio.sleep(0.01)
    second = await live.get("/console/overview/part")

    assert "Open alarms: 1" in first
    assert "It &lt;b&gt;broke&lt;/b&gt;." in second.text
    assert "not read yet" in first
    assert "not read yet" not in text_of(f"<main>{second.text}</main>")


async def test_no_look_asks_more_than_five_queries_and_many_readers_share_one(
    live: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "FRESH_MS", 60_000)  # none of them comes a second later
    asked = count_queries(monkeypatch, live.app)
    made: list[str] = []

    def counted(*args: Any) -> Any:
        made.append("overview")
        return overview_of(*args)

    monkeypatch.setattr(overview, "overview_of", counted)
    await asyncio.gather(*(live.get("/console") for _ in range(20)))

    assert 1 <= len(asked) <= 5
    assert len(made) == 1


@pytest.mark.parametrize(
    "path", [*PAGES, "/console/cases?source=nowhere", "/console/cases?waiting=person"]
)
async def test_no_page_asks_more_than_five_queries(
    live: Caller, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_id = await live.settled(DUBIOUS)
    asked = count_queries(monkeypatch, live.app)

    for each in (path, f"/console/cases/{case_id}"):
        del asked[:]
        assert (await live.get(each)).status_code == 200
        assert len(asked) <= 5, (each, asked)


async def ended(live: Caller, case_id: str) -> CaseRow:
    """Return a case's row once it is settled."""
    async with asyncio.timeout(20):
        while True:
            row = await live.app.store.get(CaseRow, case_id)
            assert row is not None
            if row.state == CaseState.SETTLED:
                return row
            await asyncio.sleep(0.02)


def count_queries(monkeypatch: pytest.MonkeyPatch, app: App) -> list[str]:
    """Return the list that names each query from now on; those of the app's own loops are not the page's."""
    asked: list[str] = []
    for name in ("get", "select", "columns", "count"):
        plain = getattr(app.store, name)

        def counting(*args: Any, name: str = name, plain: Any = plain, **how: Any) -> Any:
            task = asyncio.current_task()
            ours = task is not None and not task.get_name().startswith("opsrail:")
            if args[0] in GATE:
                return plain(*args, **how)
            if ours or (task is not None and task.get_name() == "opsrail:overview"):
                asked.append(f"{name} {args[0].__name__}")
            return plain(*args, **how)

        monkeypatch.setattr(app.store, name, counting)
    return asked


async def test_a_database_that_is_away_leaves_the_overview_standing_with_what_was_known(
    live: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    await live.settled(DUBIOUS)
    await live.get("/console")
    monkeypatch.setattr(board, "FRESH_MS", 1)
    monkeypatch.setattr(board, "AGES_MS", dict.fromkeys(board.AGES_MS, 1))

    async def away(*_: object, **__: object) -> Any:
        raise StoreUnavailable("it is away")

    for name in ("select", "columns", "count"):
        monkeypatch.setattr(live.app.store, name, away)
    await asyncio.sleep(0.01)
    answer = await live.get("/console")

    assert answer.status_code == 200
    assert "The database did not answer" in answer.text
    assert "Waiting for people: 1" in text_of(answer.text)


def first_figures(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Return what is set once a stream has figures to send."""
    told, plain = asyncio.Event(), streams._written

    def written(event: str, *what: Any) -> bytes:
        told.set()
        return plain(event, *what)

    monkeypatch.setattr(streams, "_written", written)
    return told


async def test_the_stream_tells_the_figures_and_ends_with_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "EVERY_S", 0.05)
    told = first_figures(monkeypatch)
    is_closing = False
    app = app_of()
    async with running(app, is_closing=lambda: is_closing) as client:
        asked = asyncio.create_task(client.get("/console/overview/live"))
        await asyncio.wait_for(told.wait(), 20)
        is_closing = True
        answer = await asked

    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert "event: figures\ndata: {" in answer.text
    assert answer.text.startswith("retry: ")


@pytest.mark.parametrize("deed", ["signs out", "is disabled", "loses their role", "stays"])
async def test_the_stream_ends_soon_after_its_reader(
    deed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest_s = 0.5 if deed == "stays" else 60.0
    for name, value in (("EVERY_S", 0.02), ("CHECK_S", 0.0), ("LONGEST_S", longest_s)):
        monkeypatch.setattr(streams, name, value)
    told = first_figures(monkeypatch)
    app = app_of()
    async with app.running():
        await user(app, "anna", ("*", "viewer"))
        async with signed_in(app, "anna") as client:
            asked = asyncio.create_task(client.get("/console/overview/live"))
            await asyncio.wait_for(told.wait(), 20)
            row = (await app.store.select(SessionRow))[0]
            if deed == "signs out":
                await app.access.signing_in.end(row.digest)
            elif deed == "is disabled":
                await app.access.users.disable("anna", by="test")
            elif deed == "loses their role":
                await app.access.users.revoke("anna", "*", "viewer", by="test")
            said = (await asyncio.wait_for(asked, 20)).text

    assert said.count("event: figures") >= 1
    assert ("event: end\ndata: signed-out" in said) == (deed != "stays")


async def test_one_person_with_their_keys_does_not_take_the_streams_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "EVERY_S", 0.05)
    is_closing = False
    app = app_of()
    async with running(app, is_closing=lambda: is_closing) as client:
        for name in ("anna", "ben"):
            await user(app, name, ("*", "viewer"))
        keys = [
            (await app.access.keys.add("a wall", [("*", "viewer")], by=f"user:{name}"))[0]
            for name in ("anna", "anna", "ben")
        ]
        heads = [{"authorization": f"Bearer {key}"} for key in keys]
        live = "/console/overview/live"
        asked = [
            asyncio.create_task(client.get(live, headers=heads[number % 2]))
            for number in range(streams.MOST_OF_ONE + 1)
        ]
        done, watching = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        (refused,) = done
        bens = asyncio.create_task(client.get(live, headers=heads[2]))
        is_closing = True
        answers = [(await one).status_code for one in (*watching, bens)]

    assert (refused.result().status_code, refused.result().headers["retry-after"]) == (503, "5")
    assert answers == [200] * (streams.MOST_OF_ONE + 1)


async def test_cases_are_found_by_filters_that_stand_in_the_address(live: Caller) -> None:
    settled = await live.settled()
    waiting = await live.settled(DUBIOUS)

    found = (await live.get("/console/cases?state=waiting&waiting=person&source=http")).text
    exact = await live.get(f"/console/cases?q={settled.lower()}")
    wrong = await live.get("/console/cases?state=asleep&q=anna")
    times = "since=2026-05-03T14:03:07%2B02:00&until=9999999"
    moment = (await live.get(f"/console/cases?{times}")).text

    assert waiting in found
    assert settled not in found
    assert '<option value="waiting" selected>' in found
    assert (exact.status_code, exact.headers["location"]) == (303, f"/console/cases/{settled}")
    assert 'value="2026-05-03T12:03"' in moment
    assert 'name="until" type="datetime-local" value=""' in moment
    assert wrong.status_code == 422
    assert "is none of ready" in wrong.text
    assert "neither a case" in wrong.text


async def test_a_list_leads_on_page_by_page(live: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opsrail.web.console.case_search.PAGE_COUNT", 2)
    ids = [await live.settled({**CLAIM, "claim_id": f"c-{number}"}) for number in range(5)]
    seen: list[str] = []
    path = "/console/cases?state=settled"
    for _ in range(3):
        page = (await live.get(path)).text
        seen += re.findall(r'<a data-row href="/console/cases/(\w{26})"', page)
        following = re.search(r'href="([^"]+)" class="button" rel="next"', page)
        path = "" if following is None else following[1].replace("&amp;", "&")

    assert seen == ids[::-1]
    assert path == ""


async def test_a_case_shows_what_it_did_and_leads_to_its_trace_and_back(live: Caller) -> None:
    case_id = await live.settled(DUBIOUS)
    await live.app.desk.rule(f"{case_id}-1", "approve", by="anna", reason="papers <i>seen</i>")
    row = await ended(live, case_id)

    page = (await live.get(f"/console/cases/{case_id}")).text
    traced = (await live.get(f"/console/cases?trace={row.correlation_id}")).text

    said = text_of(page)
    assert "review, score 0.95" in said
    assert "approve by anna (papers &lt;i&gt;seen&lt;/i&gt;)" in said
    assert f"/console/cases?trace={row.correlation_id}" in page
    assert f"/console/ledger?subject={case_id}" in page
    assert case_id in traced
    assert "<i>seen" not in page
    assert "Cancel the case" not in page


async def test_a_case_is_cancelled_with_a_reason_that_names_who_gave_it(live: Caller) -> None:
    case_id = await live.settled(DUBIOUS)

    empty = await live.client.post(
        f"/console/cases/{case_id}/cancel", content="reason=+", headers=FORM
    )
    done = await live.client.post(
        f"/console/cases/{case_id}/cancel", content="reason=twice", headers=FORM
    )
    row = await live.app.store.get(CaseRow, case_id)

    assert (empty.status_code, "say why" in empty.text) == (422, True)
    assert (done.status_code, done.headers["location"]) == (303, f"/console/cases/{case_id}")
    assert row is not None
    assert (row.state, row.reason) == ("cancelled", "by http:local: twice")


async def test_a_case_that_was_set_aside_is_sent_on_with_a_reason(
    live: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "IS_BROKEN", True)
    answer = await live.post("/v1/cases/broken", CLAIM, headers={"Prefer": "wait=20"})
    case_id = answer.json()["id"]
    page = (await live.get(f"/console/cases/{case_id}")).text
    monkeypatch.setattr(claims, "IS_BROKEN", False)

    done = await live.client.post(
        f"/console/cases/{case_id}/retry", content="reason=mended", headers=FORM
    )
    noted = await live.app.store.select(LedgerEntryRow, Where("kind", "=", "case.retried"))

    assert "Send it on" in page
    assert done.status_code == 303
    assert "commitment" in noted[0].body
    assert "mended" not in noted[0].body


async def test_an_automation_shows_how_its_cases_ran_and_what_decides_in_it(live: Caller) -> None:
    for number in range(3):
        await live.settled({**CLAIM, "claim_id": f"c-{number}"})
    await live.settled(DUBIOUS)

    answer = await live.get("/console/automations/claims-intake")
    said = text_of(answer.text)

    assert "fraud-risk decide 4 100.0% 4" in said
    assert "fraud-risk waiting now 1" in said
    assert "fraud-risk pay 3" in said
    assert "live fraud-risk/1" in said
    assert "approve below 0.5, review below 1.01" in said
    assert answer.text.count('class="tile of-') == 5
    assert (await live.get("/console/automations/nothing")).status_code == 404


async def test_who_must_rule_before_they_know_reads_no_score_on_the_case(
    live: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_id = await live.settled({**CLAIM, "amount": 1863.4})
    assert "score 0.9317" in text_of((await live.get(f"/console/cases/{case_id}")).text)
    as_role(monkeypatch, live.app, grants_of([("claims-intake", "reviewer")]))

    page = await live.get(f"/console/cases/{case_id}")

    assert page.status_code == 200
    assert "0.9317" not in page.text
    assert "score" not in text_of(page.text)
    assert "Cancel the case" not in page.text


async def test_who_holds_a_blind_review_of_the_case_reads_no_score_until_they_ruled(
    live: Caller,
) -> None:
    case_id = await live.settled(DUBIOUS)
    held: dict[str, Value] = {"blind": True, "state": "claimed", "assignee": "http:local"}
    await live.app.store.commit([Update(ReviewRow, (f"{case_id}-1",), held)])

    during = text_of((await live.get(f"/console/cases/{case_id}")).text)
    await live.app.store.commit([Update(ReviewRow, (f"{case_id}-1",), {"state": "ruled"})])
    after = text_of((await live.get(f"/console/cases/{case_id}")).text)

    assert "score" not in during
    assert "score 0.95" in after


async def test_only_what_lies_in_a_readers_scopes_is_shown(
    live: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_id = await live.settled(DUBIOUS)
    as_role(monkeypatch, live.app, grants_of([("slow", "viewer")]))

    overview, cases, listed = [await live.get(path) for path in PAGES[:3]]
    answers = [
        await live.get(path)
        for path in (
            f"/console/cases/{case_id}",
            "/console/cases?automation=claims-intake",
            PAGES[3],
        )
    ]
    change = await live.client.post(
        f"/console/cases/{case_id}/cancel", content="reason=x", headers=FORM
    )

    assert "claims-desk" not in overview.text
    assert "minute 0" in text_of(overview.text)
    assert case_id not in cases.text
    assert "claims-intake" not in text_of(listed.text)
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert change.status_code == 403


async def test_who_may_see_nothing_is_refused(
    live: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_role(monkeypatch, live.app, NO_GRANTS)

    for path in (*PAGES, "/console/overview/live", "/console/overview/part"):
        assert (await live.get(path)).status_code == 403


HOSTILE = "<script>alert(1)</script>'\"{{7*7}}"


async def test_whatever_stands_in_the_rows_is_text_on_the_pages(live: Caller) -> None:
    case_id = await live.settled({**DUBIOUS, "claim_id": "x'\"<img src=x onerror=alert(1)>"})
    review = (await live.app.store.select(ReviewRow, limit=1))[0]
    case = await live.app.store.get(CaseRow, case_id)
    assert case is not None
    await live.app.store.commit(
        [
            Insert(review._replace(id=f"{case_id}-9", queue=HOSTILE, automation=HOSTILE)),
            Insert(
                case._replace(
                    id="01K0000000000000000000000B", source=HOSTILE, definition=HOSTILE, state="set_aside",
                    reason=HOSTILE, automation="claims-intake", waiting_for=None,
                )
            ),
        ]
    )  # fmt: skip

    pages = [
        (await live.get(path)).text
        for path in (
            *PAGES,
            f"/console/cases/{case_id}",
            "/console/cases/01K0000000000000000000000B",
        )
    ]

    assert all("<script>alert" not in page and "<img src=x" not in page for page in pages)
    assert not any(
        "49" in re.findall(r"\{\{.*?\}\}|49\b", page) for page in pages if HOSTILE in page
    )
    assert sum("&lt;script&gt;alert(1)" in page for page in pages) >= 3


@pytest.fixture(autouse=True)
async def quiet() -> AsyncIterator[None]:
    """Let nothing be broken for the next test."""
    yield
    claims.IS_BROKEN = False
