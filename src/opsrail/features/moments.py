"""Moments as people and files write them, in epoch milliseconds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, the last that RFC 3339 can write."""
MILLISECOND = timedelta(milliseconds=1)


def moment_ms(moment: object, *, rounds_up: bool = False) -> int:
    """Return a moment in epoch milliseconds.

    Args:
        moment: RFC 3339 text or a datetime (UTC unless it names an offset), a date (its first moment), or a whole number of
            milliseconds, also as text.
        rounds_up: A moment between two milliseconds counts as the later one: for values, which were not known before. Else
            as the earlier one: for whoever asks what was known.

    Raises:
        ValueError: it is none, or lies outside the years 1 to 9999. Says what is wrong.

    Example:
        >>> moment_ms("2026-01-31T09:00:00.0005Z"), moment_ms("2026-01-31T09:00:00.0005Z", rounds_up=True)
        (1769850000000, 1769850000001)
    """
    if isinstance(moment, str):
        moment = int(moment) if moment.strip().lstrip("-").isdecimal() else _read(moment.strip())
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if isinstance(moment, datetime):
        whole = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        count, rest = divmod(whole - EPOCH, MILLISECOND)
        moment = count + 1 if rounds_up and rest else count
    if not isinstance(moment, int) or isinstance(moment, bool):
        raise ValueError(f"is no moment: {moment!r}; write e.g. 2026-01-31T09:00:00Z")
    if abs(moment) > LATEST_MS:
        raise ValueError(f"is no moment: {moment} ms lies beyond the year 9999")
    return moment


def _read(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"is no moment: {text[:40]!r}; write e.g. 2026-01-31T09:00:00Z") from None
