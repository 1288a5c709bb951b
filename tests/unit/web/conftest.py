"""The door over an app in memory: everything is the real part but the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from opsrail import Queue
from opsrail.app import App
from opsrail.cases.loader import collect
from opsrail.clock import SystemClock
from opsrail.config import CasesConfig, Config, DecideConfig, WebConfig
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.keys import Signer
from opsrail.ledger.notes import SigningKey
from opsrail.registry.rollout import Stage
from opsrail.store.memory import MemoryStore
from opsrail.testing.models import FunctionRuntime
from opsrail.web.asgi import create_asgi
from tests.unit.web import claims

HOST = "http://127.0.0.1:8321"
CLAIM: Mapping[str, Any] = {"claim_id": "c-1", "amount": 120.5}


class Caller:
    """Calls the door; `app` is behind it."""

    def __init__(self, app: App, client: httpx.AsyncClient) -> None:
        self.app = app
        self.client = client

    async def get(self, path: str, **how: Any) -> httpx.Response:
        return await self.client.get(path, **how)

    async def post(self, path: str, body: object = None, **how: Any) -> httpx.Response:
        return await self.client.post(path, json=body, **how)

    async def settled(self, claim: Mapping[str, Any] = CLAIM) -> str:
        """Let a claim in and return its case's id once it has come to rest."""
        answer = await self.post("/v1/cases/claims-intake", claim, headers={"Prefer": "wait=20"})
        assert answer.json()["state"] in ("settled", "waiting")
        return str(answer.json()["id"])


def app_of(
    web: WebConfig | None = None,
    *,
    backlog: int = 10_000,
    at_once: int = 64,
    queues: Mapping[str, Queue] | None = None,
) -> App:
    clock = SystemClock()
    return App(
        Config(
            web=web or WebConfig(),
            cases=CasesConfig(backlog=backlog, at_once=at_once),
            decide=DecideConfig(explain_ms=60_000),
        ),
        replace(collect(claims), queues=queues or {}),
        MemoryStore(WriterChain(clock), clock=clock),
        Signer([SigningKey("test.opsrail.local/ledger", b"k" * 32)]),
        clock,
        anchor=None,
        alone=True,
        runtimes={FunctionRuntime.name: FunctionRuntime({"fraud-risk": claims.score})},
    )


def client_of(
    app: App,
    headers: Mapping[str, str] | None = None,
    *,
    is_closing: Callable[[], bool] = lambda: False,
) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_asgi(app, is_closing=is_closing))
    return httpx.AsyncClient(transport=transport, base_url=HOST, headers=headers)


@asynccontextmanager
async def running(
    app: App,
    headers: Mapping[str, str] | None = None,
    *,
    is_closing: Callable[[], bool] = lambda: False,
) -> AsyncIterator[httpx.AsyncClient]:
    """Run an app while the block runs, and call its door."""
    async with app.running(), client_of(app, headers, is_closing=is_closing) as client:
        await asyncio.sleep(0)  # the app's loops begin
        yield client


@pytest.fixture
def closed_gate() -> Iterator[None]:
    """Whatever waits at the gate stays there until the test opens it."""
    claims.ASKED.clear()
    claims.GATE.clear()
    yield
    claims.GATE.set()


@pytest.fixture
async def door() -> AsyncIterator[Caller]:
    app = app_of()
    async with running(app) as client:
        yield Caller(app, client)


@pytest.fixture
async def live(door: Caller) -> Caller:
    """The door with a live model: scores are `claims.score`."""
    registry = door.app.registry
    version = await registry.register(
        "fraud-risk",
        b"fraud-risk",
        runtime="function",
        training_digest="sha256:" + "0" * 64,
        by="a-test",
    )
    await registry.promote("fraud-risk", version, Stage.LIVE, by="a-test", reason="rehearsal")
    return door
