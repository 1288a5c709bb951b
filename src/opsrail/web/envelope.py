"""Around every request: its trace, its admission, the headers of every answer, and problems instead of exceptions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from opsrail.access.keys import SAFE_METHODS, Gate
from opsrail.clock import Clock
from opsrail.decide.admission import full as overloaded
from opsrail.errors import Denied, Fault, Overloaded, ReadOnly
from opsrail.telemetry import CORRELATION, Trace, next_trace, parse_traceparent
from opsrail.web.connection import ANSWER_WHOLE, Refusal, lines_of
from opsrail.web.door import CSRF, SESSION, Rendered
from opsrail.web.headers import PLACE, Headers
from opsrail.web.problems import Malformed, respond, status_of
from opsrail.web.routing import Paths

log = logging.getLogger("opsrail.web")
SECURITY_HEADERS: Mapping[str, str] = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""On every answer that does not say them itself. Source: OWASP REST Security Cheat Sheet, section Security Headers."""


RAW_HEADERS = tuple((name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items())
RAW_LINES = lines_of(RAW_HEADERS)
WHOLE = frozenset((Response, Rendered))
"""Kinds of answers whose body is there when they are made."""
HELD = "the ledger was rolled back or rewritten, and nobody acknowledged it"
CONSOLE = "/console"
"""Where pages are; errors are pages there too."""


class Envelope:
    """The ASGI app around all operations.

    Args:
        open_paths: Paths that need no key.
        is_held: Whether nothing may be written now.
        unheard: Answers a whole request that is refused unheard; see `opsrail.web.unheard`.
        problem_page: Makes a page of an error of a page.

    Attributes:
        unheard: As given.
    """

    def __init__(
        self,
        paths: Paths,
        gate: Gate,
        clock: Clock,
        open_paths: frozenset[str],
        is_held: Callable[[], bool],
        unheard: Callable[[bytes], bytes | None],
        problem_page: Callable[[Request, Exception], Response],
    ) -> None:
        self.unheard = unheard
        self._paths = paths
        self._is_held = is_held
        self._gate = gate
        self._clock = clock
        self._open_paths = open_paths
        self._problem_page = problem_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; nothing it raises leaves here."""
        headers = scope[PLACE] = Headers(scope)
        traces = headers.every("traceparent")
        trace = next_trace(parse_traceparent(traces[0]) if len(traces) == 1 else None, self._clock)
        token = CORRELATION.set(trace.trace_id)
        try:
            try:
                if not self._admit(scope, headers):
                    await self._look_up(scope, headers)
                if self._is_held() and scope["method"] not in SAFE_METHODS:
                    raise ReadOnly(HELD)
                response = await self._paths.answer(scope, receive)
            except Exception as error:
                response = self._problem(scope, error)
            if type(response) not in WHOLE or scope["path"].startswith(CONSOLE):
                await _send_parts(scope, receive, send, response, trace)
            else:
                for message in _left_to_send(scope, response, trace):
                    await send(message)
        finally:
            CORRELATION.reset(token)

    def refusal(self, scope: Scope) -> Refusal | None:
        """Return the answer to a request that is refused unheard, as the process is full; no task is made of it."""
        if not self._paths.is_full(scope):
            return None
        trace = next_trace(None, self._clock)
        token = CORRELATION.set(trace.trace_id)
        try:
            response = respond(overloaded(), scope["path"])
        finally:
            CORRELATION.reset(token)
        headers = [*response.raw_headers, (b"traceparent", trace.traceparent().encode())]
        return Refusal(response.status_code, headers, RAW_LINES, bytes(response.body))

    def _admit(self, scope: Scope, headers: Headers) -> bool:
        """Note who asks, and return whether that is settled: else the store is asked, which most requests need not wait for.

        Raises what is wrong with a request before anybody looks at what it asks for.
        """
        if doubled := headers.doubled():
            found = [Fault(name, "stands more than once") for name in doubled]
            raise Malformed("a header is wrong", found)
        if b"%" in scope["raw_path"] and b"%2f" in scope["raw_path"].lower():
            raise HTTPException(
                404
            )  # a proxy before opsrail saw another path than this would lead to
        try:
            scope["opsrail.principal"] = principal = self._gate.admit(scope["method"], headers)
        except Denied:
            if scope["path"] not in self._open_paths:
                raise
            return True
        return principal is not None

    async def _look_up(self, scope: Scope, headers: Headers) -> None:
        is_page = scope["path"].startswith(CONSOLE)
        try:
            found = await self._gate.look_up(scope["method"], headers, is_page=is_page)
        except Denied:
            if scope["path"] not in self._open_paths:
                raise
            return
        scope["opsrail.principal"], scope[CSRF], scope[SESSION] = found

    def _problem(self, scope: Scope, error: Exception) -> Response:
        """Return the answer to an error: problem details, or a page where a page was asked for."""
        problem = _problem(scope, error)
        if not scope["path"].startswith(CONSOLE):
            return problem
        return self._problem_page(Request(scope), error)


def _problem(scope: Scope, error: Exception) -> Response:
    """Return the answer to an error; what is a fault of ours goes into the log."""
    is_told = isinstance(error, HTTPException | Overloaded | ReadOnly)
    if not is_told and status_of(type(error)) >= 500:
        log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
    return respond(error, scope["path"])


def _left_to_send(scope: Scope, response: Response, trace: Trace) -> Sequence[Message]:
    """Return the messages of an answer whose body is at hand; none if opsrail's own connection wrote it in one piece."""
    body = bytes(response.body)
    headers = [*response.raw_headers, (b"traceparent", trace.traceparent().encode())]
    write: Callable[..., bool] | None = scope.get(ANSWER_WHOLE)
    if write is not None and write(scope, response.status_code, headers, RAW_LINES, body):
        return ()
    headers += RAW_HEADERS
    if scope["method"] == "HEAD":
        body = b""
    return (
        {"type": "http.response.start", "status": response.status_code, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


async def _send_parts(
    scope: Scope, receive: Receive, send: Send, response: Response, trace: Trace
) -> None:
    """Send an answer that is made while it is sent."""
    reply = _Reply(send, trace.traceparent(), is_head=scope["method"] == "HEAD")
    try:
        await response(scope, receive, reply)
    except Exception as error:
        problem = _problem(scope, error)
        if not reply.has_begun:
            await problem(scope, receive, reply)


class _Reply:
    """Sends an answer with the headers that all have, and without a body for HEAD."""

    def __init__(self, send: Send, traceparent: str, *, is_head: bool) -> None:
        self._send = send
        self._traceparent = traceparent
        self._is_head = is_head
        self.has_begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            given = list(message.get("headers", ()))
            said = {name for name, _ in given}
            own = [pair for pair in RAW_HEADERS if pair[0] not in said]
            trace = (b"traceparent", self._traceparent.encode())
            message = {**message, "headers": [*given, *own, trace]}
        elif self._is_head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)
