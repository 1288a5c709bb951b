"""What a process says about itself: log lines with a correlation id, secrets struck out, and W3C trace context.

One line an event, as JSON for machines or as text for people. The correlation id is the trace id of the request
or case that is being worked on; it travels in a context variable, so that it reaches tasks without being passed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

from pydantic_core import to_json

from opsrail.clock import Clock, rfc3339

CORRELATION: ContextVar[str] = ContextVar("opsrail_correlation_id", default="")
"""Trace id of what this task works on; empty outside of a request or case."""

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SECRET_NAMES = re.compile(
    r"passw|secret|token|authori[sz]ation|api.?key|cookie|credential", re.IGNORECASE
)
_SECRET_TEXTS = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), r"\1 [struck out]"),
    (re.compile(r"(\w+://[^\s:/@]+):[^\s@]+@"), r"\1:[struck out]@"),
)
STRUCK_OUT = "[struck out]"
_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Trace(NamedTuple):
    """Where a request stands in a distributed trace.

    Attributes:
        trace_id: 32 hex digits, not all zero.
        span_id: 16 hex digits, not all zero: the caller's span when parsed, ours when made.
        is_sampled: Whether the caller records this trace.
    """

    trace_id: str
    span_id: str
    is_sampled: bool

    def traceparent(self) -> str:
        """Return the header's value."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.is_sampled else '00'}"


def parse_traceparent(text: str) -> Trace | None:
    """Return what a `traceparent` header says; None when it is malformed and a new trace has to begin.

    Source:
        W3C Trace Context, section 3.2; later versions are read by the rules of section 4.
    """
    match = _TRACEPARENT.fullmatch(text)
    if match is None or match[1] == "ff" or (match[1] == "00" and match[5]):
        return None
    if not match[2].strip("0") or not match[3].strip("0"):
        return None
    return Trace(match[2], match[3], bool(int(match[4], 16) & 1))


def next_trace(caller: Trace | None, clock: Clock) -> Trace:
    """Return a fresh span of the caller's trace, or of a new one."""
    if caller is not None:
        return caller._replace(span_id=clock.token(8).hex())
    drawn = clock.token(24).hex()
    return Trace(drawn[:32], drawn[32:], False)


def redacted(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return log fields with the values of secret-sounding names, and secrets inside texts, struck out."""
    return {
        name: STRUCK_OUT if _SECRET_NAMES.search(name) else _clean(value)
        for name, value in fields.items()
    }


def _clean(value: Any) -> Any:
    if isinstance(value, Mapping):
        return redacted({str(name): part for name, part in value.items()})
    if isinstance(value, list | tuple):
        return [_clean(part) for part in value]
    if isinstance(value, str):
        for pattern, instead in _SECRET_TEXTS:
            value = pattern.sub(instead, value)
    return value


def _fields_of(record: logging.LogRecord, formatter: logging.Formatter) -> dict[str, Any]:
    extra = {name: value for name, value in vars(record).items() if name not in _OWN_FIELDS}
    if correlation_id := CORRELATION.get():
        extra["correlation_id"] = correlation_id
    if record.exc_info:
        extra["stack"] = formatter.formatException(record.exc_info)
    return redacted(extra)


class JsonLines(logging.Formatter):
    """One JSON object a line: `at`, `level`, `logger`, `message`, then the fields given as `extra=`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": rfc3339(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _clean(record.getMessage()),
            **_fields_of(record, self),
        }
        return to_json(line, fallback=repr, inf_nan_mode="strings").decode()
