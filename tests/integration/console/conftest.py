"""The console over an app on SQLite, with everything that its pages show made by the real parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from opsrail.access.keys import Principal
from opsrail.access.roles import grants_of
from opsrail.app import App
from opsrail.cases.loader import collect
from opsrail.clock import Clock, SystemClock
from opsrail.config import Config, DecideConfig, StoreConfig
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.keys import Signer
from opsrail.ledger.notes import SigningKey
from opsrail.ports import Store
from opsrail.registry.rollout import Stage
from opsrail.store.sqlite import SqliteStore
from opsrail.testing.models import FunctionRuntime
from opsrail.values.models import ModelVersion
from opsrail.web.asgi import create_asgi
from tests.support.asking import asking, is_asking
from tests.unit.web import claims

HOST = "http://127.0.0.1:8321"
POINT = "fraud-risk"


class Counted(SqliteStore):
    """Counts what requests ask of it."""

    asked = 0

    async def _read(self, work: Callable[[Any], Any]) -> Any:
        self.asked += is_asking()
        return await super()._read(work)


class Console:
    """Opens pages of a running app, as who is let in.

    Attributes:
        asked: What the last page asked of the store.
    """

    def __init__(self, app: App, store: Store, client: httpx.AsyncClient) -> None:
        self.app = app
        self.client = client
        self.asked = 0
        self._store = store

    async def get(self, path: str, **how: Any) -> httpx.Response:
        before = getattr(self._store, "asked", 0)
        with asking():
            answer = await self.client.get(path, **how)
        self.asked = getattr(self._store, "asked", 0) - before
        return answer

    async def page(self, path: str) -> str:
        answer = await self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def send(self, path: str, **fields: str) -> httpx.Response:
        return await self.client.post(path, data={"csrf": "", **fields})

    async def decided(self, **facts: Any) -> str:
        """Return the id of a decision."""
        claim = {"claim_id": "c-1", "amount": 120.5, **facts}
        answer = await self.client.post(f"/v1/decisions/{POINT}", json=claim)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    async def version(self, content: bytes = b"fraud-risk", **how: Any) -> ModelVersion:
        """Return a registered version."""
        return await self.app.registry.register(
            POINT,
            content,
            runtime="function",
            training_digest="sha256:" + "0" * 64,
            by="a-test",
            **how,
        )

    async def live(self, version: ModelVersion, stage: Stage = Stage.LIVE) -> None:
        await self.app.registry.promote(POINT, version, stage, by="a-test", reason="rehearsal")


@asynccontextmanager
async def opened(store: Store, clock: Clock) -> AsyncIterator[Console]:
    """Open a console over a store; its point has a live version."""
    functions = {POINT: claims.score, "other": claims.score}
    app = App(
        Config(
            store=StoreConfig(allow_weak=True),  # a test's server does not flush
            decide=DecideConfig(explain_ms=60_000),
        ),
        collect(claims),
        store,
        Signer([SigningKey("test.opsrail.local/ledger", b"k" * 32)]),
        clock,
        anchor=None,
        alone=True,
        runtimes={FunctionRuntime.name: FunctionRuntime(functions)},
    )
    transport = httpx.ASGITransport(create_asgi(app))
    async with app.running(), httpx.AsyncClient(transport=transport, base_url=HOST) as client:
        found = Console(app, store, client)
        await found.live(await found.version(metrics={"auc": 0.75}))
        yield found


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Console]:
    clock = SystemClock()
    store = Counted(tmp_path / "opsrail.db", chain=WriterChain(clock), clock=clock)
    async with opened(store, clock) as found:
        yield found


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what has every request come from somebody with these grants, pairs of scope and role."""

    def let_in(name: str, *held: tuple[str, str]) -> None:
        who = Principal(name, grants=grants_of(held))
        monkeypatch.setattr("opsrail.access.keys.Gate.admit", lambda *_: who)

    return let_in
