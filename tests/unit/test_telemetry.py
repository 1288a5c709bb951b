"""Log lines and trace context."""

from __future__ import annotations

import io
import json
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsrail.clock import SystemClock
from opsrail.telemetry import (
    CORRELATION,
    JsonLines,
    Trace,
    next_trace,
    parse_traceparent,
    redacted,
)

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def line(formatter: logging.Formatter, message: str, *args: object, **extra: object) -> str:
    record = logging.getLogger("opsrail.test").makeRecord(
        "opsrail.test", logging.WARNING, __file__, 1, message, args, None, extra=extra
    )
    return formatter.format(record)


@given(
    st.from_regex("[0-9a-f]{32}", fullmatch=True),
    st.from_regex("[0-9a-f]{16}", fullmatch=True),
    st.booleans(),
)
def test_what_is_written_is_read_back(trace_id: str, span_id: str, is_sampled: bool) -> None:
    trace = Trace(trace_id, span_id, is_sampled)
    is_valid = bool(trace_id.strip("0") and span_id.strip("0"))

    assert parse_traceparent(trace.traceparent()) == (trace if is_valid else None)


@pytest.mark.parametrize(
    ("text", "trace"),
    [
        (f"00-{TRACE}-{SPAN}-00", Trace(TRACE, SPAN, False)),
        (f"00-{TRACE}-{SPAN}-03", Trace(TRACE, SPAN, True)),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", Trace(TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}-{SPAN}-01\n", None),
        ("", None),
    ],
)
def test_a_traceparent_says(text: str, trace: Trace | None) -> None:
    assert parse_traceparent(text) == trace


def test_a_span_of_ours_stays_in_the_callers_trace() -> None:
    ours = next_trace(Trace(TRACE, SPAN, True), SystemClock())

    assert (ours.trace_id, ours.is_sampled) == (TRACE, True)
    assert ours.span_id != SPAN


@given(st.text(max_size=50))
def test_no_text_breaks_the_reading_of_a_trace(text: str) -> None:
    trace = parse_traceparent(text)

    assert trace is None or re.fullmatch("[0-9a-f]{32}", trace.trace_id)


def test_a_line_for_machines_is_json_with_its_fields() -> None:
    token = CORRELATION.set(TRACE)
    try:
        told = json.loads(
            line(JsonLines(), "case %s waits", "c-1", automation="claims", figure=float("nan"))
        )
    finally:
        CORRELATION.reset(token)

    assert told.pop("at").endswith("Z")
    assert told == {
        "level": "warning",
        "logger": "opsrail.test",
        "message": "case c-1 waits",
        "automation": "claims",
        "figure": "NaN",
        "correlation_id": TRACE,
    }


def test_a_line_for_people_is_one_line() -> None:
    fields = {
        "api_key": "abc",
        "nested": {"password": "abc", "rows": ["Authorization: Bearer abc.def", 3]},
        "url": "postgresql://me:hunter2@host/db",
        "automation": "claims",
    }

    told = redacted(fields)
    assert told["automation"] == "claims"
    assert told["nested"]["rows"][1] == 3
    assert not re.search("abc|hunter2", repr(told))


def test_a_stack_is_told_and_cleaned() -> None:
    out = io.StringIO()
    speaker = logging.StreamHandler(out)
    speaker.setFormatter(JsonLines())
    logger = logging.Logger("opsrail.test")
    logger.addHandler(speaker)
    try:
        raise ValueError("postgresql://me:hunter2@host is gone")
    except ValueError:
        logger.exception("it failed")

    told = json.loads(out.getvalue())
    assert "ValueError" in told["stack"]
    assert "hunter2" not in told["stack"]
