"""Feature views over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from opsrail.app import App
from opsrail.cases.loader import collect
from opsrail.clock import SystemClock
from opsrail.config import Config, WebConfig
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.keys import Signer
from opsrail.ledger.notes import SigningKey
from opsrail.store.memory import MemoryStore
from tests.support.views import policyholder, told
from tests.unit.web import claims
from tests.unit.web.conftest import Caller, running

VIEW = "/v1/features/policyholder/2"
PAST = "2026-01-31T09:00:00Z"


@pytest.fixture
async def viewed() -> AsyncIterator[Caller]:
    app = app_with(WebConfig())
    async with running(app) as client:
        yield Caller(app, client)


def app_with(web: WebConfig) -> App:
    clock = SystemClock()
    definitions = replace(collect(claims), views=(policyholder(2),))
    signer = Signer([SigningKey("test.opsrail.local/ledger", b"0" * 32)])
    store = MemoryStore(WriterChain(clock), clock=clock)
    return App(Config(web=web), definitions, store, signer, clock, anchor=None, alone=True)


def pushed(*values: tuple[str, int], event_at: str = PAST) -> dict[str, Any]:
    told_ = [{"entity": one, "event_at": event_at, "values": told(n)} for one, n in values]
    return {"values": told_}


async def test_a_view_that_is_served_is_listed_and_shown(viewed: Caller) -> None:
    listed = (await viewed.get("/v1/features")).json()
    shown = (await viewed.get(VIEW)).json()

    assert listed == {"views": [shown]}
    assert shown["definition"]["features"] == {"claims": "int", "premium": "float", "region": "str"}


async def test_what_is_pushed_is_read_and_what_was_not_known_then_is_not(viewed: Caller) -> None:
    taken = await viewed.post(VIEW, pushed(("p/1 ?", 2), ("q", 3)))
    now = await viewed.get(f"{VIEW}/values", params={"entity": "p/1 ?"})
    then = await viewed.get(f"{VIEW}/values", params={"entity": "p/1 ?", "at": PAST})

    assert taken.json() == {"kept": 2, "there": 0}
    assert now.json()["features"]["values"] == told(2)
    assert now.json()["features"]["as_of"]["is_expired"] is False
    assert now.json()["at"] is None
    assert then.json()["features"]["values"]["claims"] == 0
    assert then.json()["at"] == "2026-01-31T09:00:00.000Z"


async def test_a_push_may_be_repeated(viewed: Caller) -> None:
    taken = [(await viewed.post(VIEW, pushed(("p", 2)))).json() for _ in range(2)]
    keyed = [
        await viewed.post(VIEW, pushed(("p", n)), headers={"Idempotency-Key": "k"})
        for n in (5, 5, 6)
    ]

    assert taken == [{"kept": 1, "there": 0}, {"kept": 0, "there": 1}]
    assert [answer.status_code for answer in keyed] == [200, 200, 422]
    assert keyed[1].json() == {"kept": 0, "there": 1}
    assert keyed[2].json()["code"] == "key-reused"


async def test_a_wrong_push_names_every_fault(viewed: Caller) -> None:
    wrong = pushed(("p", 2), ("q", 3))
    wrong["values"][0]["values"] = {"claims": "two", "colour": 1}
    wrong["values"][1]["event_at"] = "2026-02-30T09:00:00Z"

    answer = await viewed.post(VIEW, wrong)

    assert answer.status_code == 422
    assert sorted(fault["place"] for fault in answer.json()["faults"]) == [
        "values[0].values.claims",
        "values[0].values.colour",
        "values[0].values.premium",
        "values[0].values.region",
        "values[1].event_at",
    ]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/features/policyholder/9", 404),
        ("/v1/features/none/1", 404),
        ("/v1/features/Policy/1", 404),
        ("/v1/features/policyholder/two", 404),
        (f"{VIEW}/values", 400),
        (f"{VIEW}/values?entity=", 400),
        (f"{VIEW}/values?entity=p&at=yesterday", 400),
        (f"{VIEW}/values?entity=p&at=2026-02-30T09:00:00Z", 400),
        (f"{VIEW}/values?entity=p&since=1", 400),
    ],
)
async def test_what_cannot_be_read_is_a_problem(viewed: Caller, path: str, status: int) -> None:
    answer = await viewed.get(path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"values": []},
        {"values": [{"entity": "p", "event_at": "today", "values": {}}]},
        {"values": [{"entity": "", "event_at": PAST, "values": {}}]},
        {"values": [{"entity": "p", "event_at": PAST, "values": {}, "written_at": PAST}]},
        {"values": [{"entity": "p", "event_at": PAST, "values": {"claims": [1]}}]},
    ],
)
async def test_a_push_of_another_shape_is_refused(viewed: Caller, body: object) -> None:
    assert (await viewed.post(VIEW, body)).status_code == 422


async def test_a_body_beyond_the_limit_is_refused() -> None:
    async with running(app_with(WebConfig(body_bytes=1_000))) as client:
        answer = await client.post(VIEW, json=pushed(*((f"p{n}", n) for n in range(50))))

    assert answer.status_code == 413


async def test_views_need_the_key_as_all_else_does() -> None:
    async with running(app_with(WebConfig(api_key="a-key-of-sixteen-or-more"))) as client:
        statuses = [
            (await client.get("/v1/features")).status_code,
            (await client.get(f"{VIEW}/values?entity=p")).status_code,
            (await client.post(VIEW, json=pushed(("p", 1)))).status_code,
        ]

    assert statuses == [401, 401, 401]
