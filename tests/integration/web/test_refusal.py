"""A process that is full refuses decisions before it reads them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import uvicorn
from uvicorn.server import ServerState

from opsrail.decide.asks import HIGH
from opsrail.web.asgi import create_asgi
from opsrail.web.connection import Connection
from tests.unit.web.conftest import app_of

BODY = b'{"claim_id": "c-1", "amount": 120.5}'


def asked(criticality: str = "", body: bytes = BODY) -> bytes:
    lines = [
        b"POST /v1/decisions/fraud-risk HTTP/1.1",
        b"host: 127.0.0.1",
        b"content-type: application/json",
        b"content-length: %d" % len(body),
    ]
    if criticality:
        lines.append(b"x-opsrail-criticality: " + criticality.encode())
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Door:
    """A server, and the admission of the app behind it."""

    def __init__(self, port: int, app: object) -> None:
        self.port = port
        self.admission = app.decider.admission  # type: ignore[attr-defined]

    def fill(self) -> None:
        """Take every place."""
        while self.admission.enter(HIGH):
            pass

    def empty(self) -> None:
        """Give them back."""
        while self.admission.under_way:
            self.admission.leave(None, 1.0)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    app = app_of()
    async with app.running():
        config = uvicorn.Config(
            create_asgi(app),
            http=Connection,
            log_config=None,
            lifespan="off",
            interface="asgi3",
            proxy_headers=False,
        )
        config.load()
        held: list[Connection] = []

        def connection() -> Connection:
            held.append(Connection(config, ServerState(), {}))
            return held[-1]

        server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", 0)
        async with server:
            yield Door(server.sockets[0].getsockname()[1], app)
            for one in held:
                one.transport.close()
            await asyncio.sleep(0.05)  # they close in the next turns of the loop


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def told(self, *parts: bytes) -> tuple[bytes, bytes]:
        """Send the parts; return the head and the body of the answer."""
        for part in parts:
            self._writer.write(part)
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            return head, await self._reader.readexactly(length)

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


async def caller(door: Door) -> Caller:
    return Caller(*await asyncio.open_connection("127.0.0.1", door.port))


async def test_a_full_process_refuses_at_once_and_says_when_to_come_again(door: Door) -> None:
    one = await caller(door)
    door.fill()
    head, body = await one.told(asked())
    door.empty()

    assert head.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1" in head
    assert b"traceparent: 00-" in head
    assert b'"code":"overloaded"' in body
    assert door.admission.refused[1] == 1
    assert (await one.told(asked()))[0].startswith(b"HTTP/1.1 200")  # the same connection goes on
    await one.close()


async def test_a_body_that_comes_after_the_refusal_is_passed_over(door: Door) -> None:
    one = await caller(door)
    door.fill()
    request = asked()
    head, _ = await one.told(request[:-5], request[-5:])
    door.empty()

    assert head.startswith(b"HTTP/1.1 503")
    assert (await one.told(asked()))[0].startswith(b"HTTP/1.1 200")
    await one.close()


async def test_the_lowest_class_is_refused_while_others_are_let_in(door: Door) -> None:
    one = await caller(door)
    while not door.admission.is_full(2):
        door.admission.enter(HIGH)

    assert (await one.told(asked("low")))[0].startswith(b"HTTP/1.1 503")
    assert (await one.told(asked()))[0].startswith(b"HTTP/1.1 200")
    door.empty()
    await one.close()


async def test_who_is_refused_again_and_again_is_answered_the_same_and_then_served(
    door: Door,
) -> None:
    one = await caller(door)
    door.fill()
    answers = [await one.told(asked()) for _ in range(20)]
    door.empty()
    heads = [head.split(b"\r\n") for head, _ in answers]
    bodies = [json.loads(body) for _, body in answers]

    assert {tuple(sorted(line.split(b":")[0] for line in head)) for head in heads} == {
        tuple(sorted(line.split(b":")[0] for line in heads[0]))
    }
    assert {body["code"] for body in bodies} == {"overloaded"}
    assert len({body["correlation_id"] for body in bodies}) == 20
    for head, body in answers:
        assert json.loads(body)["correlation_id"].encode() in head
    assert door.admission.refused[1] == 20
    assert (await one.told(asked()))[0].startswith(b"HTTP/1.1 200")
    await one.close()


async def test_a_class_that_still_has_places_is_heard_on_a_connection_that_was_refused(
    door: Door,
) -> None:
    one = await caller(door)
    while not door.admission.is_full(2):
        door.admission.enter(HIGH)

    for _ in range(3):
        assert (await one.told(asked("low")))[0].startswith(b"HTTP/1.1 503")
        assert (await one.told(asked()))[0].startswith(b"HTTP/1.1 200")
    door.empty()
    await one.close()


async def test_two_requests_in_one_piece_are_both_refused(door: Door) -> None:
    one = await caller(door)
    door.fill()
    await one.told(asked())
    first = (await one.told(asked() * 2))[0]
    second = (await one.told())[0]
    door.empty()

    assert first.startswith(b"HTTP/1.1 503")
    assert second.startswith(b"HTTP/1.1 503")
    assert (await one.told(asked()))[0].startswith(b"HTTP/1.1 200")
    await one.close()


async def test_what_is_no_decision_is_answered_all_the_same(door: Door) -> None:
    one = await caller(door)
    door.fill()
    head, _ = await one.told(b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
    door.empty()

    assert head.startswith(b"HTTP/1.1 200")
    await one.close()


async def test_pipelined_requests_of_a_full_process_are_each_answered_in_order(door: Door) -> None:
    one = await caller(door)
    door.fill()
    heads = [(await one.told(asked() * 300))[0]]
    for _ in range(299):
        heads.append((await one.told())[0])
    door.empty()

    assert {head[:12] for head in heads} == {b"HTTP/1.1 503"}
    await one.close()
