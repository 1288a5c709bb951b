"""A TCP proxy that a test can turn into a black hole: connections stay open, nothing passes, nobody is told.

What was sent into the hole arrives when it heals, as packets that a network delivers late.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress

CHUNK_BYTES = 65_536


class Proxy:
    """Passes bytes both ways between its own port and another one of this machine.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self._target_port = target_port
        self._passing = asyncio.Event()
        self._passing.set()
        self._tasks: set[asyncio.Task[None]] = set()

    def swallow(self) -> None:
        """Let nothing pass from now on, in either direction; new connections are taken and not served."""
        self._passing.clear()

    def heal(self) -> None:
        """Deliver what was held, and pass everything again."""
        self._passing.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if (task := asyncio.current_task()) is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with suppress(OSError), closing(writer):
            await self._passing.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            with closing(far_writer):
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump(reader, far_writer))
                    group.create_task(self._pump(far_reader, writer))

    async def end(self) -> None:
        """Drop every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                await self._passing.wait()
                writer.write(chunk)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def proxy(target_port: int) -> AsyncIterator[Proxy]:
    """Run a proxy in front of a port of this machine while the block lasts."""
    made = Proxy(target_port)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.end()
