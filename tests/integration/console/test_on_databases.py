"""The same pages over the same rows on both databases: everything they ask, through SQL."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from opsrail.app import App, build
from opsrail.cases.loader import collect
from opsrail.config import Config, StoreConfig
from opsrail.values.cases import CaseRow, CaseState
from opsrail.values.rows import Insert
from opsrail.web.asgi import create_asgi
from tests.support.postgres import fresh_database
from tests.unit.web import claims
from tests.unit.web.conftest import CLAIM, HOST
from tests.unit.web.console.rows import CASE_ROW, NOW_MS, case_id_at


@pytest.fixture
def fresh_url(postgres_url: str) -> Iterator[str]:
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
async def app(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[App]:
    url = request.getfixturevalue("fresh_url") if request.param == "postgres" else ""
    config = Config(store=StoreConfig(url=url, allow_weak=True))
    made = build(config, tmp_path / "installation", collect(claims), runs=True)
    async with made.running():
        yield made


async def let_in(client: httpx.AsyncClient, **claim: Any) -> str:
    """Return the id of a case that came to rest."""
    answer = await client.post(
        "/v1/cases/claims-intake", json={**CLAIM, **claim}, headers={"Prefer": "wait=20"}
    )
    assert answer.json()["state"] in ("settled", "waiting"), answer.text
    return str(answer.json()["id"])


async def test_pages_say_the_same_on_both(app: App) -> None:
    """Without a live version the fallback approves small claims; others go to people."""
    transport = httpx.ASGITransport(create_asgi(app))
    async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
        settled = await let_in(client, claim_id="small")
        waiting = await let_in(client, claim_id="large", amount=5_000)
        await app.decider.drain()
        overview = (await client.get("/console")).text
        person = (await client.get("/console/cases?waiting=person")).text
        state = (await client.get("/console/cases?state=settled&automation=claims-intake")).text
        case = (await client.get(f"/console/cases/{waiting}")).text
        automation = (await client.get("/console/automations/claims-intake")).text

    figures = dict(re.findall(r'data-figure="([^"]+)">([^<]*)<', overview))
    assert (figures["cases"], figures["cases.waiting"], figures["waiting"]) == ("1", "1", "1")
    assert (figures["minute.decisions"], figures["minute.automation"]) == ("2", "50.0%")
    assert figures["minute.fallback"] == "100.0%"
    assert waiting in person
    assert settled not in person
    assert settled in state
    assert waiting not in state
    assert "claims-desk" in case
    assert automation.count('class="tile of-') == 5


async def test_lists_lead_on_in_the_same_order_on_both(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opsrail.web.console.case_search.PAGE_COUNT", 7)
    monkeypatch.setattr("opsrail.web.console.case_search.LOOK_BACK", 16)
    rows: list[CaseRow] = [
        CASE_ROW._replace(
            id=case_id_at(NOW_MS + number, number),
            state=CaseState.SET_ASIDE if number % 3 else CaseState.SETTLED,
            source="http" if number % 5 else "file:a.csv",
        )
        for number in range(40)
    ]
    await app.store.commit([Insert(row) for row in rows])
    transport = httpx.ASGITransport(create_asgi(app))
    wanted = {
        "/console/cases": rows,
        "/console/cases?state=set_aside": [row for row in rows if row.state == "set_aside"],
        "/console/cases?source=file:a.csv": [row for row in rows if row.source == "file:a.csv"],
    }
    async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
        for first, expected in wanted.items():
            seen, path = [], first
            while path:
                page = (await client.get(path)).text
                seen += re.findall(r'data-row href="/console/cases/(\w{26})"', page)
                following = re.search(r'href="([^"]+)" class="button" rel="next"', page)
                path = "" if following is None else following[1].replace("&amp;", "&")

            assert seen == [row.id for row in reversed(expected)]
