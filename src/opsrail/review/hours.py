"""Working hours of a queue: how far a span of working time reaches. Pure.

Written as `Mon-Fri 08:00-18:00 Europe/Berlin`; several stretches are parted by commas, and one that ends before it begins
ends on the next day. A stretch is told by the clock on the wall, so on a day when that is put forward or back it may be
longer or shorter than it looks. Times that a change of the clock skips count from where the clock went on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from opsrail.errors import InvalidInput

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
STRETCH = re.compile(
    r"([A-Z][a-z]{2})(?:-([A-Z][a-z]{2}))? ([0-2]\d):([0-5]\d)-([0-2]\d):([0-5]\d)"
)
EXAMPLE = "'Mon-Fri 08:00-18:00 Europe/Berlin'"
MOST_DAYS = 3_660
"""Days ahead that are looked at. Ours: a due time ten years away is a mistake."""
DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Hours:
    """When a queue is staffed.

    Attributes:
        stretches: (weekday from 0, first minute of that day, minute it ends, beyond 1440 on the next day), in order.
        zone: IANA name.
    """

    stretches: tuple[tuple[int, int, int], ...]
    zone: str

    def after_ms(self, start_ms: int, span_ms: int) -> int:
        """Return the moment at which `span_ms` of working time have passed since `start_ms`. Epoch ms.

        A span of 0 is over at once, whether or not anybody works then.

        Raises:
            InvalidInput: that is more than ten years ahead. Terminal.
        """
        if span_ms <= 0:
            return start_ms
        left = span_ms
        for opens_ms, closes_ms in self._intervals(start_ms):
            begins_ms = max(opens_ms, start_ms)
            if closes_ms - begins_ms >= left:
                return begins_ms + left
            left -= max(0, closes_ms - begins_ms)
        raise InvalidInput(f"{span_ms / 3_600_000:g} working hours end more than ten years ahead")

    def between_ms(self, start_ms: int, end_ms: int) -> int:
        """Return how much working time lies between two moments, >= 0."""
        total = 0
        for opens_ms, closes_ms in self._intervals(start_ms):
            if opens_ms >= end_ms:
                break
            total += max(0, min(closes_ms, end_ms) - max(opens_ms, start_ms))
        return total

    def closes_ms(self, at_ms: int) -> int | None:
        """Return when the stretch that a moment lies in ends, epoch ms; None: it lies in none."""
        for opens_ms, closes_ms in self._intervals(at_ms):
            if opens_ms > at_ms:
                return None
            if at_ms < closes_ms:
                return closes_ms
        return None

    def _intervals(self, start_ms: int) -> Iterator[tuple[int, int]]:
        """Yield stretches as epoch ms, in order and without overlap, from the one that `start_ms` is in or before."""
        zone = zone_of(self.zone)
        first = datetime.fromtimestamp(start_ms / 1000, UTC).astimezone(zone).date()
        reached_ms = -1
        for ahead in range(-2, MOST_DAYS):
            day = first + timedelta(days=ahead)
            for weekday, opens, closes in self.stretches:
                if weekday == day.weekday():
                    opens_ms = max(_moment_ms(day, opens, zone), reached_ms)
                    closes_ms = _moment_ms(day, closes, zone)
                    if closes_ms > opens_ms:
                        reached_ms = closes_ms
                        yield opens_ms, closes_ms


@lru_cache(64)
def hours_of(text: str) -> Hours:
    """Return working hours as authors write them.

    Raises:
        InvalidInput: says what is wrong with the text. Terminal.

    Example:
        >>> hours_of("Sat 09:00-12:00 Europe/Berlin").stretches
        ((5, 540, 720),)
    """
    written, _, zone = text.strip().rpartition(" ")
    zone_of(zone)
    found: list[tuple[int, int, int]] = []
    for part in written.split(","):
        match = STRETCH.fullmatch(part.strip())
        if match is None:
            raise InvalidInput(f"{text!r} does not tell working hours; write e.g. {EXAMPLE}")
        first, last = match[1], match[2] or match[1]
        if first not in DAYS or last not in DAYS:
            raise InvalidInput(f"{text!r}: days are {', '.join(DAYS)}")
        opens, closes = (int(match[at]) * 60 + int(match[at + 1]) for at in (3, 5))
        if max(opens, closes) > DAY_MINUTES:
            raise InvalidInput(f"{text!r}: a day ends at 24:00")
        if opens == closes:
            raise InvalidInput(
                f"{text!r}: {part.strip()} is no time at all; all day is 00:00-24:00"
            )
        closes += DAY_MINUTES if closes < opens else 0
        from_day, to_day = DAYS.index(first), DAYS.index(last)
        for weekday in range(from_day, to_day + 1 + (7 if to_day < from_day else 0)):
            found.append((weekday % 7, opens, closes))
    return Hours(tuple(sorted(found)), zone)


@lru_cache(64)
def zone_of(name: str) -> ZoneInfo:
    """Return a time zone.

    Raises:
        InvalidInput: nobody knows it here. Terminal.
    """
    try:
        return ZoneInfo(name)
    except (OSError, ValueError) as wrong:  # ZoneInfoNotFoundError is a KeyError
        raise InvalidInput(f"{name!r} is no time zone; write e.g. {EXAMPLE}") from wrong
    except KeyError as wrong:
        raise InvalidInput(f"{name!r} is no time zone known here; write e.g. {EXAMPLE}") from wrong


def _moment_ms(day: date, minutes: int, zone: ZoneInfo) -> int:
    days, rest = divmod(minutes, DAY_MINUTES)
    wall = datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), zone)
    moment_s = round(wall.timestamp())
    if wall.replace(fold=1).utcoffset() == wall.utcoffset():
        return moment_s * 1000
    return 1000 * min(moment_s, _went_on_s(round(wall.replace(fold=1).timestamp()), moment_s, zone))


def _went_on_s(before_s: int, after_s: int, zone: ZoneInfo) -> int:
    """Return when a change of the clock went on, above one moment and up to another; without one, the other. Seconds."""
    low, high = before_s, after_s
    offset = datetime.fromtimestamp(after_s, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            high = middle
        else:
            low = middle
    return high
