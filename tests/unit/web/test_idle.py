"""A connection that nobody uses any more ends; one that is used goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from opsrail.testing import JumpingLoop
from opsrail.web.connection import Connection

ASK = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
IDLE_S = 30


class Wire(asyncio.Transport):
    """Holds what a connection did."""

    def __init__(self) -> None:
        super().__init__()
        self.answers, self.is_closed = 0, False

    def write(self, data: Any) -> None:
        self.answers += bytes(data).startswith(b"HTTP/1.1 204")

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(1)
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def connected() -> tuple[Connection, Wire]:
    config = uvicorn.Config(
        answer, http=Connection, ws="none", log_config=None, timeout_keep_alive=IDLE_S
    )
    config.load()
    made, wire = Connection(config, ServerState(), {}), Wire()
    made.connection_made(wire)
    return made, wire


def jumping(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(work)


def test_a_connection_ends_when_nothing_came_for_long_after_the_last_answer() -> None:
    async def idle() -> None:
        made, wire = connected()
        for asked in range(3):
            made.data_received(ASK)
            await asyncio.sleep(IDLE_S - 5)
            assert (wire.answers, wire.is_closed) == (asked + 1, False)
        await asyncio.sleep(5)
        assert not wire.is_closed, "its last answer came a second after its question"
        await asyncio.sleep(2)
        assert wire.is_closed

    jumping(idle())


def test_a_connection_whose_request_takes_long_is_not_idle() -> None:
    async def slow() -> None:
        made, wire = connected()
        made.data_received(ASK)
        await asyncio.sleep(IDLE_S)
        made.data_received(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{")
        await asyncio.sleep(0.5)
        assert not wire.is_closed
        made.data_received(b"}")
        await asyncio.sleep(IDLE_S)
        assert (wire.answers, wire.is_closed) == (2, False)

    jumping(slow())
