"""A server on a loopback port of this process, which ends in order whatever its connections are doing."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Self


class Loopback:
    """Listens while used as an async context; a subclass says what is talked."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._first_tls = tls
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._first_tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        ends = (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError)
        with suppress(*ends):
            await self.talk(reader, writer)
        writer.close()
        with suppress(*ends):
            await writer.wait_closed()
        self._open.discard(task)
