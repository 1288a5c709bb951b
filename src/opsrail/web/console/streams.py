"""Server-sent events: figures that change, to whoever watches, as fast as each of them reads and no faster.

A stream holds nothing but what it sent last. Each second it asks for the figures, which are computed once for all, and sends
those that changed; a reader who is slower than that misses what was in between, never what holds. One who takes nothing for
`SLOW_S` is let go. Streams end when the server is stopped, when who watches may no longer, and after `LONGEST_S`: a browser
comes back by itself and says what it saw last.

Source:
    WHATWG HTML, section 9.2 "Server-sent events".
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from opsrail.clock import Clock
from opsrail.errors import Overloaded

EVERY_S = 1.0
BEAT_S = 15.0
"""Silence after which a comment is sent, so that proxies keep the connection. Source: WHATWG HTML, section 9.2.7."""
SLOW_S = 20.0
CHECK_S = 5.0
LONGEST_S = 3_600.0
MOST = 64
"""Streams of one process. Ours: 64 readers took 1.4% of a core, 200 bytes a second each."""
MOST_OF_ONE = 8
"""Of those, for one person with the keys that they gave out: nobody locks others out. Ours: more than one looks at."""
AFTER_S = 5
RETRY_MS = 2_000
HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)


class Figures(NamedTuple):
    """What there is to see.

    Attributes:
        id: Of this state: the same id, the same texts.
        shape: Which rows tables have: where it changes the page is fetched again, not only its figures.
        texts: By name.
    """

    id: str
    shape: str
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Watch:
    """What a stream needs to know.

    Attributes:
        figures: Returns what this reader may see now.
        may_watch: Whether the reader still may.
        is_closing: Whether the server is being stopped.
    """

    figures: Callable[[], Awaitable[Figures]]
    may_watch: Callable[[], Awaitable[bool]]
    is_closing: Callable[[], bool]


class Streams:
    """Counts streams. One a process.

    Args:
        most: How many there may be.
        most_of_one: How many of them one person may have.
    """

    def __init__(self, clock: Clock, most: int = MOST, most_of_one: int = MOST_OF_ONE) -> None:
        self._clock = clock
        self._most = most
        self._most_of_one = most_of_one
        self.open = 0
        self._open_of: Counter[str] = Counter()
        self._newest: dict[str, Stream] = {}

    def begin(self, watch: Watch, last_id: str, holder: str, reader: str = "") -> Stream:
        """Return a stream to answer with.

        Args:
            last_id: What the reader saw last; empty: nothing.
            holder: Who watches; empty: whoever is on this machine while there are no users, whom nobody tells apart.
            reader: Whose browser it is; of one browser the newest stream goes on and the one before ends. Empty: not known.

        Raises:
            Overloaded: there are too many, or too many of theirs.
        """
        before = self._newest.get(reader)
        if holder and self._open_of[holder] - (before is not None) >= self._most_of_one:
            raise Overloaded(
                f"{holder} watches {self._most_of_one} times already, the most for one; close another",
                after_s=AFTER_S,
            )
        if self.open - (before is not None) >= self._most:
            raise Overloaded(
                f"{self._most} readers watch already; the page itself can be loaded again",
                after_s=AFTER_S,
            )
        if before is not None:
            before.is_replaced = True
        stream = Stream(self, self._clock, watch, last_id, holder, reader)
        if reader:
            self._newest[reader] = stream
        self.open += 1
        self._open_of[holder] += 1
        return stream

    def ended(self, stream: Stream) -> None:
        """Note that a stream is over."""
        self.open -= 1
        self._open_of[stream.holder] -= 1
        if not self._open_of[stream.holder]:
            del self._open_of[stream.holder]
        if self._newest.get(stream.reader) is stream:
            del self._newest[stream.reader]


class Stream(Response):
    """An answer that goes on until its reader leaves, or one of the ends above.

    Attributes:
        holder: Who watches.
        is_replaced: Whether the same browser opened a newer one.
    """

    def __init__(
        self, streams: Streams, clock: Clock, watch: Watch, last_id: str, holder: str, reader: str
    ) -> None:
        super().__init__(status_code=200)
        self.raw_headers = list(HEADERS)
        self.holder = holder
        self.reader = reader
        self.is_replaced = False
        self._streams = streams
        self._clock = clock
        self._watch = watch
        self._last_id = last_id
        self._sent: Figures | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the end; an error of ours ends it, too."""
        left = asyncio.ensure_future(_left(receive))
        try:
            async with asyncio.timeout(SLOW_S):
                await send(
                    {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
                )
            if scope["method"] != "HEAD":
                await self._go_on(send, left)
            await self._write(send, b"", more=False)
        except TimeoutError:
            pass  # it reads nothing: nothing more is kept for it, and the server drops the connection
        finally:
            left.cancel()
            with suppress(asyncio.CancelledError):
                await left
            self._streams.ended(self)

    async def _go_on(self, send: Send, left: asyncio.Future[None]) -> None:
        began_s = written_s = checked_s = self._clock.monotonic_s()
        await self._write(send, b"retry: %d\n\n" % RETRY_MS)
        while not left.done() and not self._watch.is_closing():
            now_s = self._clock.monotonic_s()
            if now_s - began_s >= LONGEST_S:
                return
            if now_s - checked_s >= CHECK_S:
                checked_s = now_s
                if not await self._watch.may_watch():
                    return await self._write(send, b"event: end\ndata: signed-out\n\n")
            if self.is_replaced:
                return await self._write(send, b"event: end\ndata: replaced\n\n")
            if event := self._event(await self._watch.figures()):
                await self._write(send, event)
                written_s = now_s
            elif now_s - written_s >= BEAT_S:
                await self._write(send, b": beat\n\n")
                written_s = now_s
            await self._pause(left)

    def _event(self, now: Figures) -> bytes:
        """Return what to send of what there is now; empty where the reader knows it."""
        before, self._sent = self._sent, now
        if before is None:
            if now.id == self._last_id:
                return b""
            return _written("figures", now.id, now.texts)
        if before.shape != now.shape:
            return _written("refresh", now.id, {})
        changed = {name: text for name, text in now.texts.items() if before.texts.get(name) != text}
        return _written("figures", now.id, changed) if changed else b""

    async def _pause(self, left: asyncio.Future[None]) -> None:
        pause = asyncio.ensure_future(self._clock.sleep(EVERY_S))
        try:
            await asyncio.wait((pause, left), return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()

    async def _write(self, send: Send, body: bytes, *, more: bool = True) -> None:
        """Send a piece. Raises TimeoutError: the reader takes nothing."""
        async with asyncio.timeout(SLOW_S):
            await send({"type": "http.response.body", "body": body, "more_body": more})


async def _left(receive: Receive) -> None:
    """Return when the reader is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _written(event: str, one: str, data: Mapping[str, str]) -> bytes:
    """Return an event; JSON has no line break, so its data is one line."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (one.encode(), event.encode(), to_json(data))
