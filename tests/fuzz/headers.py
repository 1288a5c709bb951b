"""Headers that carry something: `Idempotency-Key`, `traceparent`, the deadline and `Prefer`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import Scope

from opsrail.telemetry import parse_traceparent
from opsrail.web.headers import PLACE, Headers
from opsrail.web.problems import Malformed
from opsrail.web.reading import (
    LONGEST_DEADLINE_MS,
    LONGEST_WAIT_S,
    deadline_ms,
    idempotency_key,
    wait_s,
)

SAMPLES = (
    b"k-1",
    b'"a \\"quoted\\" key"',
    b'"' + b"x" * 255 + b'"',
    b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-is-new",
    b"600000",
    b'wait=20; foo, respond-async, wait = "3"',
    b"wait=" + b"9" * 5_000,
)


def run_one(data: bytes) -> None:
    """Read one header's value as each of them, as the server hands it on."""
    text = data.decode("latin-1")
    trace = parse_traceparent(text)
    if trace is not None:
        again = parse_traceparent(trace.traceparent())
        assert again == trace
        assert int(trace.trace_id, 16)
        assert int(trace.span_id, 16)
    assert 0 <= wait_s(_request(b"prefer", data)) <= LONGEST_WAIT_S
    _key(data)
    budget_ms = deadline_ms(_request(b"x-opsrail-deadline-ms", data))
    assert budget_ms is not None
    assert 1 <= budget_ms <= LONGEST_DEADLINE_MS


def _key(data: bytes) -> None:
    try:
        key = idempotency_key(_request(b"idempotency-key", data))
    except Malformed:
        return
    assert key is not None
    assert 1 <= len(key) <= 255
    assert all("!" <= character <= "~" for character in key)
    quoted = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert idempotency_key(_request(b"idempotency-key", quoted.encode())) == key


def _request(name: bytes, value: bytes) -> Request:
    scope: Scope = {"type": "http", "headers": [(name, value)]}
    scope[PLACE] = Headers(scope)
    return Request(scope)
