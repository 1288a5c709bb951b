"""One HTTP connection: uvicorn's on httptools, with limits on what a stranger may send before anybody can refuse it.

Source:
    Limits are ours: heads that browsers and proxies send take a few kB; other servers allow 8 to 64 kB.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from starlette.types import Scope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from opsrail.clock import SystemClock

LARGEST_HEAD_BYTES = 65_536
HEAD_S = 20.0
"""Time in which a request's head must be whole, from the moment the connection stands or the head began."""
MOST_FRAME_RATIO = 16
"""Bytes of chunk sizes, their extensions and trailers for each byte of body. Ours: chunks of one byte need 5."""
LINGER_S = 2.0
"""Time that a body may go on arriving after its request was answered. Ours: an answer that closed at once would be lost to
a caller who is still sending."""
ANSWER_WHOLE = "opsrail.answer_whole"
"""Where a request's scope holds `Connection.answer_whole`; other servers have none."""
UNHEARD_S = 5.0
"""How long requests may be refused unheard on one connection before one is read again, which winds its clocks up. Ours: well
under the time after which an idle connection is closed."""
ARRIVED_S = "opsrail.arrived_s"
"""Where a request's scope holds when it began to be read, monotonic seconds: it may wait for its turn after that."""
REFUSED = STATUS_LINE[503]
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Refusal(NamedTuple):
    """What is answered without looking at a request's body, as `Connection.answer_whole` takes it."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    fixed: bytes
    body: bytes


class Connection(HttpToolsProtocol):
    """Closes a connection whose request's head is too large (431) or does not come in time, or whose body never ends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._is_in_head = True
        self._is_whole = False
        self._all_body_bytes = self._earlier_body_bytes = self._frame_bytes = 0
        self._too_slow: asyncio.TimerHandle | None = None
        self._server_headers: tuple[object, bytes] = (None, b"")
        self._unheard_until_s = 0.0
        self._unheard: Callable[[bytes], bytes | None] | None = getattr(self.app, "unheard", None)
        self._refusal: Callable[[Scope], Refusal | None] | None = getattr(self.app, "refusal", None)
        self._answered_s: float | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_waiting()
        if self._idle is not None:
            self._idle.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came; a head that was whole at once costs nothing more."""
        if self._unheard is not None and self._is_between():
            refusal = self._unheard(data)
            if refusal is not None:
                self.transport.write(b"".join((REFUSED, self._lines_of_server(), refusal)))
                return
        body_bytes, self._answered_s = self._all_body_bytes, None
        super().data_received(data)
        if self._is_whole or self.transport.is_closing():
            return
        if not self._is_in_head:
            self._frame_bytes += len(data) - (self._all_body_bytes - body_bytes)
            of_this = self._all_body_bytes - self._earlier_body_bytes
            if self._frame_bytes > LARGEST_HEAD_BYTES * 4 + MOST_FRAME_RATIO * of_this:
                self.transport.close()
            return
        self._head_bytes += len(
            data
        )  # the parser gathers a header's value until it ends, however long
        if self._head_bytes > LARGEST_HEAD_BYTES:
            self.transport.write(TOO_LARGE)
            self.transport.close()
        elif self._too_slow is None:
            self._await_head()

    def on_response_complete(self) -> None:
        """Wait for the next request, and a little for the rest of a body that nobody reads.

        uvicorn's way sets a timer for each answer and cancels it with the next request; here one timer goes on.
        """
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        if self.cycle.more_body:
            self._stop_waiting()
            self._too_slow = self.loop.call_later(LINGER_S, lambda: self.transport.close())
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._answered_s = self.loop.time()
        if self._idle is None:
            self._idle = self.loop.call_later(self.timeout_keep_alive, self._close_idle)

    def _close_idle(self) -> None:
        """Close if nothing came since the last answer for as long as a connection may be idle; else look again then."""
        self._idle = None
        if self._answered_s is None:
            return
        left_s = self._answered_s + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._idle = self.loop.call_later(left_s, self._close_idle)
        else:
            self.transport.close()

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        self._is_whole = True
        self._unheard_until_s = self.loop.time() + UNHEARD_S
        if self._too_slow is not None:
            self._stop_waiting()
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    def on_message_begin(self) -> None:
        """Note that a head begins."""
        self._head_bytes, self._is_in_head, self._is_whole = 0, True, False
        self._earlier_body_bytes, self._frame_bytes = self._all_body_bytes, 0
        super().on_message_begin()
        scope: Any = self.scope
        scope[ANSWER_WHOLE] = self.answer_whole
        scope[ARRIVED_S] = SystemClock.monotonic_s()

    def answer_whole(
        self,
        scope: Scope,
        status: int,
        headers: Sequence[tuple[bytes, bytes]],
        fixed: bytes,
        body: bytes,
    ) -> bool:
        """Write an answer in one piece; False: it has to be sent by ASGI's messages, nothing was written.

        uvicorn's way for any app looks at each header with two regular expressions, wakes the task twice and writes twice:
        20 of the 60 us that a request's transport took (bench serve, echo).

        Args:
            headers: Names in lower case, with `content-length`. One whose value would begin another line is not written so.
            fixed: Lines of more headers, as `lines_of` made them.
        """
        cycle = self.cycle
        is_plain = scope["method"] != "HEAD" and cycle.scope is scope and cycle.keep_alive
        if not is_plain or cycle.response_started or cycle.disconnected or self.flow.write_paused:
            return False
        lines = lines_of(headers)
        if lines.count(b"\n") != len(headers):
            return False
        cycle.waiting_for_100_continue = False
        cycle.response_started = cycle.response_complete = True
        parts = (STATUS_LINE[status], self._lines_of_server(), lines, fixed, b"\r\n", body)
        self.transport.write(b"".join(parts))
        cycle.message_event.set()
        cycle.on_response()
        return True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Begin a request; one that the app would refuse at once gets its answer here, at a fifth of the cost of a task."""
        scope: Any = cycle.scope
        refusal = None if self.pipeline or self._refusal is None else self._refusal(scope)
        if refusal is None or not self.answer_whole(scope, *refusal):
            super()._start_asgi_task(cycle, app)

    def _is_between(self) -> bool:
        """Return whether the next bytes begin a request, after one that was read, and may be looked at as a whole."""
        return (
            self._is_whole
            and self.cycle.response_complete
            and not self.pipeline
            and not self.flow.write_paused
            and self.loop.time() < self._unheard_until_s
        )

    def _lines_of_server(self) -> bytes:
        of_server = self.server_state.default_headers
        if self._server_headers[0] is not of_server:  # renewed each second, with its date
            self._server_headers = (of_server, lines_of(of_server))
        return self._server_headers[1]

    def on_headers_complete(self) -> None:
        """Note that it is whole."""
        self._is_in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header of the head; one behind the body is none that a proxy looked at (RFC 9110, section 6.5.1)."""
        if self._is_in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        """Keep what belongs to the body, and count it."""
        self._all_body_bytes += len(body)
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def _await_head(self) -> None:
        self._too_slow = self.loop.call_later(HEAD_S, lambda: self.transport.close())

    def _stop_waiting(self) -> None:
        if self._too_slow is not None:
            self._too_slow.cancel()
            self._too_slow = None


def lines_of(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return headers as the lines of a head."""
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])
