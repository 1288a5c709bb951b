"""What a stranger may send before there is a request to refuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from opsrail.web import connection
from opsrail.web.connection import LARGEST_HEAD_BYTES, Connection

ASK = b"GET / HTTP/1.1\r\nhost: localhost\r\n"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    start = {"type": "http.response.start", "status": 204, "headers": []}
    await send(start)
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    config = uvicorn.Config(answer, http=Connection, log_config=None, lifespan="off")
    config.load()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(config, ServerState(), {}), "127.0.0.1", 0
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


async def told(port: int, *parts: bytes) -> bytes:
    """Send the parts; return all that comes until the server closes, or its first answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(10):
            return await reader.read(4096)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_plain_request_is_answered(port: int) -> None:
    assert (await told(port, ASK, b"\r\n")).startswith(b"HTTP/1.1 204")


@pytest.mark.parametrize("is_ended", [False, True])
async def test_a_head_that_grows_too_large_is_refused_whether_or_not_it_ends(
    port: int, is_ended: bool
) -> None:
    parts = [ASK, b"x: ", *[b"a" * LARGEST_HEAD_BYTES] * 20, b"\r\n\r\n" if is_ended else b""]

    assert (await told(port, *parts)).startswith(b"HTTP/1.1 431")


async def test_many_small_headers_are_refused_by_their_size_together(port: int) -> None:
    lines = [b"x-%d: %s\r\n" % (number, b"a" * 1_000) for number in range(100)]

    assert (await told(port, ASK, *lines)).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("begun", [b"", ASK])
async def test_a_head_that_does_not_come_ends_the_connection(
    begun: bytes, monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 0.1)

    assert await told(port, begun) == b""


async def test_the_head_of_the_next_request_is_waited_for_no_longer_than_the_first(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    monkeypatch.setattr(connection, "HEAD_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(ASK + b"\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
    writer.write(ASK)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


CHUNKED = b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n"


@pytest.mark.parametrize("frame", [b"0\r\nx: ", b"1;"])
async def test_trailers_and_extensions_of_chunks_do_not_grow_without_end(
    port: int, frame: bytes
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(CHUNKED + frame)
    sent = 0

    async def send_on() -> None:
        nonlocal sent
        while sent < 50_000_000:
            writer.write(b"a" * LARGEST_HEAD_BYTES)
            await writer.drain()
            sent += LARGEST_HEAD_BYTES

    with pytest.raises(ConnectionError):
        await send_on()
    writer.close()

    assert sent < 20_000_000  # what the buffers of both ends hold


async def test_a_body_in_chunks_of_one_byte_is_taken(port: int) -> None:
    parts = [CHUNKED, b"1\r\n{\r\n" * 100_000, b"0\r\n\r\n"]

    assert (await told(port, *parts)).startswith(b"HTTP/1.1 204")


async def test_a_body_that_goes_on_after_its_answer_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    monkeypatch.setattr(connection, "LINGER_S", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(CHUNKED)
    async with asyncio.timeout(10):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        assert await reader.read() == b""
    writer.close()


async def test_a_connection_goes_on_after_a_body_that_ended_late(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    monkeypatch.setattr(connection, "LINGER_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(CHUNKED)
    async with asyncio.timeout(10):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        writer.write(b"0\r\n\r\n")
        await asyncio.sleep(0.3)
        writer.write(ASK + b"\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
    writer.close()
