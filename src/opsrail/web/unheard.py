"""Requests that are refused unheard, as the process is full: what is looked at, and the answer. Pure but for the trace's id.

At several times its capacity a process that reads each request as if it would answer it has no time left to answer any. So a
request that came whole, in one piece, in a form that leaves no doubt where it ends, is known by a few patterns;
any other goes the usual way, where it is refused all the same, at three times the cost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from opsrail.clock import Clock
from opsrail.decide.admission import full
from opsrail.telemetry import CORRELATION
from opsrail.web.connection import lines_of
from opsrail.web.door import Operation
from opsrail.web.problems import respond

HEAD = re.compile(
    rb"POST (/[!-~]*) HTTP/1\.1(\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~]*\r\n)*+)\r\n"
)
"""A head in the plainest form that RFC 9112 allows: no folded lines, no bytes beyond ASCII, no lone line feeds."""
DOUBTFUL = re.compile(rb"\n(?:transfer-encoding|connection|expect|upgrade|trailer)[:\t ]")
"""Headers that may move a request's end, or say what becomes of the connection."""
LENGTH = re.compile(rb"\ncontent-length: ?([0-9]{1,9})\r")
CRITICALITY = re.compile(rb"\nx-opsrail-criticality: ?([a-z]*)\r")
TRACE, SPAN = b"11112222333344445555666677778888", b"aaaabbbbccccdddd"
"""Stand in an answer for its own ids: hex digits, of the same length."""


class Whole(NamedTuple):
    """What a request that came whole tells before anybody reads it.

    Attributes:
        criticality: As the caller named it; None: not at all.
    """

    path: bytes
    criticality: bytes | None


def whole(data: bytes) -> Whole | None:
    """Return what bytes tell that are one whole request beyond doubt; None: they have to be read."""
    head = HEAD.match(data)
    if head is None:
        return None
    lines = head[2].lower()
    lengths = LENGTH.findall(lines)
    if len(lengths) != 1 or lines.count(b"\ncontent-length") != 1:
        return None
    if int(lengths[0]) != len(data) - head.end() or DOUBTFUL.search(lines) is not None:
        return None
    named = CRITICALITY.findall(lines)
    if len(named) != lines.count(b"\nx-opsrail-criticality") or len(named) > 1:
        return None
    return Whole(head[1], named[0] if named else None)


class Unheard:
    """Answers to requests that are refused unheard.

    Args:
        operations: Those that may refuse so; others are never.
        fixed: Header lines that all answers carry.
        is_busy: Whether any request may have to be refused now.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        fixed: bytes,
        clock: Clock,
        is_busy: Callable[[], bool],
    ) -> None:
        self._clock = clock
        self._is_busy = is_busy
        self._full = {
            operation.path.encode(): operation.is_full
            for operation in operations
            if operation.method == "POST" and operation.is_full is not None
        }
        self._answers: Mapping[bytes, bytes] = {
            path: _answer(path.decode(), fixed) for path in self._full
        }

    def answer(self, data: bytes) -> bytes | None:
        """Return what to write behind a server's own headers; None: these bytes have to be read."""
        if not self._is_busy():
            return None
        asked = whole(data)
        if asked is None or (is_full := self._full.get(asked.path)) is None:
            return None
        named = asked.criticality
        if not is_full(() if named is None else ((b"x-opsrail-criticality", named),)):
            return None
        drawn = self._clock.token(24).hex().encode()
        return self._answers[asked.path].replace(TRACE, drawn[:32]).replace(SPAN, drawn[32:])


def _answer(path: str, fixed: bytes) -> bytes:
    token = CORRELATION.set(TRACE.decode())
    try:
        response = respond(full(), path)
    finally:
        CORRELATION.reset(token)
    headers = [*response.raw_headers, (b"traceparent", b"00-%b-%b-00" % (TRACE, SPAN))]
    return lines_of(headers) + fixed + b"\r\n" + bytes(response.body)
