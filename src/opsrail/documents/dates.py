"""Finds the day a document was issued."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date

from opsrail.documents.finding import Finding, Sighting, settle
from opsrail.documents.layout import Row

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

_MONTH = rf"(?P<name>{'|'.join(MONTHS)})[A-Z]{{0,6}}"
_YEAR = r"(?P<year>(?:19|20)\d\d|\d\d(?!\d))"
SHAPES: tuple[re.Pattern[str], ...] = tuple(
    re.compile(shape)
    for shape in (
        r"(?<!\d)(?P<year>(?:19|20)\d\d)\s?[/.~-]\s?(?P<month>\d{1,2})\s?[/.~-]\s?(?P<day>\d{1,2})(?!\d)",
        rf"(?<![\d/.-])(?P<day>\d{{1,2}})\s?[/.~-]\s?(?P<month>\d{{1,2}})\s?[/.~-]\s?{_YEAR}(?![/-])",
        rf"(?<!\d)(?P<day>\d{{1,2}})(?:ST|ND|RD|TH)?[\s./,-]*{_MONTH}[\s./,'-]*{_YEAR}",
        rf"{_MONTH}[\s./-]*(?P<day>\d{{1,2}})(?:ST|ND|RD|TH)?\s?,[\s]*(?P<year>(?:19|20)\d\d)",
    )
)
"""Ways to write a day: ISO, figures, day and month's name, month's name and day."""

ANOTHER_DAY = re.compile(r"DUE|EXPIR|VALID|UNTIL|RETURN|BIRTH|PRINT|DELIVER")
CLOCK_TIME = re.compile(r"\d{1,2}:\d\d")

SEEN_POINTS = 1.6
LABEL_POINTS = 1.5
CLOCK_TIME_POINTS = 0.8
LONG_YEAR_POINTS = 0.4
FIRST_POINTS = 0.5
ANOTHER_DAY_POINTS = -1.5
"""What a place is worth: any, beside the word date, beside a time of day, with four figures of year, high on the
page, and beside a word that speaks of another day. Source: ours."""


def days_in(text: str, *, day_first: bool) -> list[tuple[date, bool]]:
    """Return the days written in a text, each with whether its year has four figures.

    Args:
        day_first: How to read 04/06/2018. A month above 12 turns the two round.
    """
    found = []
    for shape in SHAPES:
        for match in shape.finditer(text.upper()):
            in_order = day_first or shape is SHAPES[0]
            if (day := _day(match.groupdict(), in_order)) is not None:
                found.append((day, len(match["year"]) == 4))
    return found


def find_date(
    pages: Sequence[Sequence[Row]], *, earliest: date, latest: date, day_first: bool
) -> Finding | None:
    """Return the day of issue as ISO 8601 text; None when no day in the range is written anywhere."""
    sightings = []
    for rows in pages:
        for row in rows:
            words = row.text.upper()
            around = LABEL_POINTS * (
                "DATE" in words or "TARIKH" in words
            ) + CLOCK_TIME_POINTS * bool(CLOCK_TIME.search(words))
            around += FIRST_POINTS * (1 - row.position) + ANOTHER_DAY_POINTS * bool(
                ANOTHER_DAY.search(words)
            )
            for line in row.lines:
                for day, long_year in days_in(line.text, day_first=day_first):
                    if earliest <= day <= latest:
                        points = SEEN_POINTS + around + LONG_YEAR_POINTS * long_year
                        sightings.append(
                            Sighting(day.isoformat(), line, f"row at {row.position}", points)
                        )
    return settle(sightings)


def _day(parts: Mapping[str, str | None], in_order: bool) -> date | None:
    year, day = int(parts["year"] or 0), int(parts["day"] or 0)
    if name := parts.get("name"):
        month = MONTHS.index(name) + 1
    else:
        month = int(parts["month"] or 0)
        if not in_order or month > 12:
            day, month = month, day
    try:
        return date(year if year > 99 else 2000 + year, month, day)
    except ValueError:
        return None
