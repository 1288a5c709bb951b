"""A TCP proxy that cuts a connection at a chosen word: before the server hears it, or after it has answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

Moment = Literal["before", "after"]


class Cutter:
    """Passes everything on until `cut` is set; then cuts the connection that says the word, once."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.cut: tuple[bytes, Moment] | None = None
        self.port = 0
        self._serving: set[asyncio.Future[Literal[True]]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Cutter]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await asyncio.gather(*self._serving)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        done = asyncio.Event()
        serving = asyncio.ensure_future(done.wait())
        self._serving.add(serving)
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        is_cut = asyncio.Event()

        async def ask() -> None:
            while spoken := await reader.read(65_536):
                word, moment = self.cut or (None, "before")
                if word is not None and word in spoken:
                    self.cut = None
                    is_cut.set()
                    if moment == "before":
                        return
                far_writer.write(spoken)

        async def answer() -> None:
            while (heard := await far_reader.read(65_536)) and not is_cut.is_set():
                writer.write(heard)

        passing = {asyncio.ensure_future(ask()), asyncio.ensure_future(answer())}
        await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        for end in (far_writer, writer):
            end.close()
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)
        await asyncio.gather(far_writer.wait_closed(), writer.wait_closed(), return_exceptions=True)
        done.set()
