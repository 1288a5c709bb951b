"""An HTTP server on a loopback port that takes posts, remembers them, and misbehaves as a test says."""

from __future__ import annotations

import asyncio

from tests.support.loopback import Loopback


class HookServer(Loopback):
    """Serves while used as an async context.

    Attributes:
        answers: What is answered to the next posts, e.g. `500`, `"hang"`, `"endless"`, `"redirect"`, `"cut"`; then 200.
        taken: Headers, by lower-case name, and body of each post.
    """

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[int | str] = []
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/a-secret"

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            first, *lines = head.decode().split("\r\n")
            pairs = [line.partition(": ")[::2] for line in lines if line]
            headers = {name.lower(): value for name, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.taken.append((headers, body))
            self.paths.append(first.split()[1])
            if not await self._answer(writer, self.answers.pop(0) if self.answers else 200):
                return

    async def _answer(self, writer: asyncio.StreamWriter, what: int | str) -> bool:
        if what == "cut":
            return False
        if what == "hang":
            await asyncio.sleep(30)
        if what == "redirect":
            writer.write(
                b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
            )
        elif what == "endless":
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in range(1_000):
                writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
                await writer.drain()
        else:
            writer.write(f"HTTP/1.1 {what} X\r\ncontent-length: 2\r\n\r\nok".encode())
        await writer.drain()
        return True
