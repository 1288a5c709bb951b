"""Lengths of time as authors write them."""

from __future__ import annotations

import re
from datetime import timedelta

from opsrail.errors import InvalidInput

Span = str | int | float | timedelta
UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")


def span_ms(span: Span) -> int:
    """Return a span in whole milliseconds, >= 0.

    Args:
        span: `"90s"`, `"4h"`, `"1h 30m"`, a timedelta, or a number of seconds.

    Raises:
        InvalidInput: not a span, or negative. Terminal.

    Example:
        >>> span_ms("1h 30m")
        5400000
    """
    if isinstance(span, timedelta):
        length = span / timedelta(milliseconds=1)
    elif isinstance(span, str):
        parts = SPAN.findall(span)
        if not parts or SPAN.sub("", span).strip():
            raise InvalidInput(
                f"{span!r} is not a span of time; write e.g. '90s', '4h' or '1h 30m'"
            )
        length = sum(float(count) * UNITS_MS[unit] for count, unit in parts)
    else:
        length = span * 1000
    if not 0 <= length < 2**62:
        raise InvalidInput(f"{span!r} is not a span of time: it is negative or has no end")
    return round(length)
