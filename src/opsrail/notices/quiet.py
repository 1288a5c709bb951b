"""Quiet hours: until when nothing is sent. Pure.

They are told by the clock on the wall, so on a day when that is put forward or back they end when the wall says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from opsrail.errors import Fault, InvalidInput
from opsrail.review.hours import hours_of, zone_of

DAILY = re.compile(r"[0-2]\d:[0-5]\d-[0-2]\d:[0-5]\d(?:,[0-2]\d:[0-5]\d-[0-2]\d:[0-5]\d)*")
EXAMPLE = "22:00-07:00 Europe/Berlin"
MOST_STRETCHES = 30
"""Stretches that may follow one another without a break. Ours: quiet hours without an end would be silence."""


def quiet_until(text: str, now_ms: int, zone: str | None = None) -> int | None:
    """Return when the quiet that a moment lies in ends, epoch ms; None: it lies in none.

    Args:
        text: `22:00-07:00 Europe/Berlin` each day, or with days, as working hours: `Sat-Sun 00:00-24:00 Europe/Berlin`;
        several by
            commas. Empty: never quiet.
        zone: Stands in for one in the text.

    Raises:
        InvalidInput: the text tells no hours. Terminal.

    Example:
        >>> quiet_until("22:00-07:00", 1_767_220_200_000, "UTC") - 1_767_220_200_000  # 22:30 on New Year's eve
        30600000
    """
    if not text.strip():
        return None
    hours = hours_of(written(text, zone))
    until_ms = now_ms
    for _ in range(MOST_STRETCHES):
        closes_ms = hours.closes_ms(until_ms)
        if closes_ms is None:
            return None if until_ms == now_ms else until_ms
        until_ms = closes_ms
    return None


def person_faults(quiet: str, zone: str) -> Iterator[Fault]:
    """Yield what is wrong with a person's quiet hours and time zone; both are told at once."""
    try:
        zone_of(zone)
    except InvalidInput as wrong:
        yield Fault("zone", wrong.summary)
        zone = "UTC"
    try:
        quiet_until(quiet, 0, zone)
    except InvalidInput as wrong:
        yield Fault("quiet", wrong.summary)


def written(text: str, zone: str | None = None) -> str:
    """Return quiet hours as working hours are written.

    Raises:
        InvalidInput: they name no time zone, and none stands in. Terminal.
    """
    hours, _, own = text.strip().rpartition(" ")
    if not hours or own[:1].isdigit():  # no zone at its end
        hours, own = text.strip(), zone or ""
    if not own:
        raise InvalidInput(f"quiet hours {text!r} name no time zone; write e.g. {EXAMPLE}")
    parts = [part.strip() for part in hours.split(",")]
    daily = [f"Mon-Sun {part}" if DAILY.fullmatch(part) else part for part in parts]
    return f"{', '.join(daily)} {own}"
