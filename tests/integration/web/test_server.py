"""The door on a real socket, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from opsrail.app import App, build
from opsrail.cases.loader import collect
from opsrail.config import Config, WebConfig
from opsrail.errors import ConfigInvalid
from opsrail.values.cases import CaseRow, CaseState
from opsrail.web.server import listen, serve, serve_running
from tests.integration.web.conftest import Served
from tests.unit.web import claims

CLAIM = {"claim_id": "c-1", "amount": 120.5}
KEY = "a-key-of-sixteen-or-more"


@asynccontextmanager
async def served(app: App) -> AsyncIterator[httpx.AsyncClient]:
    """Serve an app that runs on a free port while the block runs."""
    told: asyncio.Queue[str] = asyncio.Queue()
    task = asyncio.create_task(serve_running(app, port=0, announce=told.put_nowait))
    async with httpx.AsyncClient(
        base_url=await asyncio.wait_for(told.get(), 20), timeout=60
    ) as client:
        yield client
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(task, 20)


async def case_in(folder: Path, case_id: str) -> CaseRow | None:
    """Return a case of an installation that nobody serves now."""
    async with build(Config(), folder).opened() as app:
        return await app.store.get(CaseRow, case_id)


def app_in(folder: Path, web: WebConfig | None = None) -> App:
    return build(Config(web=web or WebConfig()), folder, collect(claims), runs=True)


async def test_a_case_goes_through_a_real_server_on_a_free_port(tmp_path: Path) -> None:
    async with app_in(tmp_path).running() as app, served(app) as client:
        answer = await client.post(
            "/v1/cases/claims-intake", json=CLAIM, headers={"Prefer": "wait=20"}
        )
        ready = await client.get("/readyz")

        assert (answer.status_code, answer.json()["state"], ready.status_code) == (
            200,
            "settled",
            200,
        )
        assert "server" not in answer.headers


def test_requests_under_way_are_answered_before_the_app_stops(
    serving: Callable[..., Served], tmp_path: Path
) -> None:
    served = serving("slow")
    with ThreadPoolExecutor(1) as pool:
        path, wish = f"{served.url}/v1/cases/slow", {"Prefer": "wait=25"}
        waiting = pool.submit(httpx.post, path, json=CLAIM, headers=wish, timeout=30)
        running = f"{served.url}/v1/cases?state=running"
        assert any(httpx.get(running, timeout=60).json()["cases"] for _ in range(200))
        status, said = served.stop()
        answer = waiting.result()
    left = asyncio.run(case_in(tmp_path / "installation", answer.json()["id"]))

    assert (answer.status_code, answer.json()["state"]) == (202, "running")
    assert (status, said) == (0, "")
    assert left is not None
    assert left.state == CaseState.READY


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(serving: Callable[..., Served], number: int) -> None:
    served = serving()
    httpx.post(f"{served.url}/v1/decisions/fraud-risk", json=CLAIM, timeout=60)

    assert served.stop(number) == (0, "")


async def test_an_address_that_is_taken_is_a_setting_that_is_wrong(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(ConfigInvalid) as refused:
        await serve(app_in(tmp_path), port=taken.getsockname()[1])

    assert refused.value.faults[0].place == "web.port"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104 - refused before anything listens
async def test_other_machines_are_not_let_in_without_a_key(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigInvalid, match="api_key"):
        await serve(app_in(tmp_path), host, 0)


async def test_with_a_key_other_addresses_are_served(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    web = WebConfig(host="0.0.0.0", api_key=f"file:{tmp_path / 'key'}")  # noqa: S104 - behind a key
    async with app_in(tmp_path / "installation", web).running() as app, served(app) as client:
        without = await client.get("/v1/cases")
        with_key = await client.get("/v1/cases", headers={"Authorization": f"Bearer {KEY}"})

        assert (without.status_code, with_key.status_code) == (401, 200)


def test_small_answers_are_not_held_back() -> None:
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


async def test_what_is_no_http_does_not_disturb_it(tmp_path: Path) -> None:
    async with app_in(tmp_path).running() as app, served(app) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        alive = await client.get("/healthz")

        assert answer.startswith(b"HTTP/1.1 400")
        assert alive.status_code == 200


async def test_a_body_that_is_cut_off_makes_no_case(tmp_path: Path) -> None:
    async with app_in(tmp_path).running() as app, served(app) as client:
        _, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        head = b"POST /v1/cases/claims-intake HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        writer.write(head + b'Content-Length: 400\r\n\r\n{"claim_id":')
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        cases = await client.get("/v1/cases")

        assert cases.json()["cases"] == []
