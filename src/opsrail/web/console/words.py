"""How pages write values: moments, spans, shares, money, numbers. Pure; templates use them as filters."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from opsrail.clock import epoch_ms, rfc3339

ABSENT = "–"  # noqa: RUF001 - a dash
SPANS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def utc(at_ms: int | None) -> str:
    """Return a moment for people, UTC, to the second: `2026-05-03 14:03:07 UTC`."""
    if at_ms is None:
        return ABSENT
    text = rfc3339(at_ms)
    return f"{text[:10]} {text[11:19]} UTC"


def span(length_ms: float | None) -> str:
    """Return how long something took, in the largest unit that leaves a number above 1: `3.2 h`, `250 ms`."""
    if length_ms is None:
        return ABSENT
    if length_ms < 0:
        return f"-{span(-length_ms)}"
    for unit_ms, name in SPANS:
        if length_ms >= unit_ms:
            return f"{_short(length_ms / unit_ms)} {name}"
    return f"{_short(length_ms)} ms"


def share(ratio: float | None) -> str:
    """Return a ratio in percent: `62.0%`."""
    return ABSENT if ratio is None else f"{100 * ratio:.1f}%"


def number(value: float | None) -> str:
    """Return a number for people: `1,234,567`, `0.0312`."""
    if value is None:
        return ABSENT
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.0f}" if 1_000 <= abs(value) < 1e15 else f"{value:,.4g}"


def usd(value: float | None) -> str:
    """Return an amount of money."""
    if value is None:
        return ABSENT
    return f"${value:,.2f}" if abs(value) >= 0.1 or value == 0 else f"${value:.3g}"


def text(value: Any) -> str:
    """Return any plain value as a person reads it: text as it is, the rest as JSON."""
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def pretty(value: Any) -> str:
    """Return plain values as indented JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")


def who(name: str | None) -> str:
    """Return whom a record names, as people call them: `anna` for `user:anna`."""
    return ABSENT if name is None else name.removeprefix("user:")


def field(at_ms: int | None) -> str:
    """Return a moment as a field of type `datetime-local` holds it, UTC; empty where there is none."""
    return "" if at_ms is None else rfc3339(at_ms)[:19]


FILTERS: Mapping[str, Callable[..., str | int]] = {
    "iso": lambda at_ms: "" if at_ms is None else rfc3339(at_ms),
    "ms": epoch_ms,
    "utc": utc,
    "field": field,
    "who": who,
    "span": span,
    "share": share,
    "number": number,
    "usd": usd,
    "text": text,
    "pretty": pretty,
}
