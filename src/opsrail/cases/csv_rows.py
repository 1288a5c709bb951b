"""Rows of a CSV file (RFC 4180, commas): in memory is one row at a time, and the lines of a quoted cell that is still open.

How a broken row is kept from spoiling its neighbours: a quote that is never closed makes the parser swallow the lines
    that follow. When each of them is a row by itself, only the first line is at fault and the others are read anew;
    else all of them are set aside, line by line, for a fragment of a text must never run as a case.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from opsrail.cases.lines import ROW_BYTES, Lines, Row, Rows, TooLong
from opsrail.errors import Fault, InvalidInput

STRAY_QUOTE = (
    "has a quote without its pair; enclose the cell in quotes and double those that belong to it"
)
"""A row that is written rightly has an even number of quotes; one without may be the tail of a broken text."""
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def csv_rows(lines: Lines, path: Path, read_ratio: Callable[[], float]) -> Rows:
    """Return the rows of a CSV file. Raises InvalidInput when its line of column names is not usable."""
    reader = csv.reader(lines, strict=True)
    header = _header(lines, reader, path)
    skip = 2 if path.name.endswith(".rejected.csv") and header[:2] == ("line", "faults") else 0
    rows = _rows(lines, reader, header, skip)
    return Rows(header[skip:], header[skip:], rows, read_ratio, is_text=True)


def _header(lines: Lines, reader: Iterator[list[str]], path: Path) -> tuple[str, ...]:
    try:
        cells = next(filter(None, reader), None)
    except (csv.Error, TooLong) as wrong:
        raise InvalidInput(
            f"{path}: line 1 is no line of column names; lines must end with LF or CRLF"
        ) from wrong
    if cells is None:
        raise InvalidInput(f"{path} is empty; its first line must name the columns")
    header = tuple(cell.strip() for cell in cells)
    number = lines.taken[-1][0]
    found = [Fault(f"line {number}", why) for number, _, why in lines.taken if why]
    found += [
        Fault(f"line {number}", f"column {place} has no name")
        for place, name in enumerate(header, 1)
        if not name
    ]
    for name, count in Counter(filter(None, header)).items():
        if count > 1:
            found.append(Fault(f"line {number}", f"{count} columns are named {name!r}"))
    if len(header) == 1:
        found += [
            Fault(f"line {number}", f"columns are separated by {word}; separate them by commas")
            for mark, word in SEPARATORS.items()
            if mark in header[0]
        ]
    if found:
        raise InvalidInput(
            f"{path}: the line of column names is not usable; no row was read", found
        )
    return header


def _rows(
    lines: Lines, reader: Iterator[list[str]], header: tuple[str, ...], skip: int
) -> Iterator[Row]:
    width = len(header)
    while True:
        lines.begin_row()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (csv.Error, TooLong) as wrong:
            yield from _broken(lines, _why(wrong), width, skip)
            continue
        if not cells:
            continue
        if len(cells) != width:
            had = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
            yield from _broken(lines, f"has {had}; the first line names {width}", width, skip)
            continue
        if sum(text.count('"') for _, text, _ in lines.taken) % 2:
            yield from _broken(lines, STRAY_QUOTE, width, skip)
            continue
        faults = tuple(Fault(f"line {number}", why) for number, _, why in lines.taken if why)
        values = {} if faults else dict(zip(header[skip:], cells[skip:], strict=True))
        yield Row(lines.taken[0][0], values, faults, tuple(cells[skip:]))


def _broken(lines: Lines, why: str, width: int, skip: int) -> Iterator[Row]:
    """Yield the rows that could not be read; lines that are rows by themselves are left to be read anew."""
    (number, text, _), *rest = lines.taken
    if rest:
        why = f"opens a quoted cell that is not closed rightly by line {rest[-1][0]}; close or double the quote"
    yield Row(number, {}, (Fault(f"line {number}", why),), _cells(text)[skip:])
    if width > 1 and all(_is_row(other, width) for _, other, _ in rest):
        lines.push_back(rest)
        return
    for other, text, _ in rest:
        why_not = f"follows the unclosed quote of line {number}; mend that one first"
        yield Row(other, {}, (Fault(f"line {other}", why_not),), _cells(text)[skip:])


def _is_row(text: str, width: int) -> bool:
    """Return whether a line that stood in an open quote is blank or a row by itself, its quotes doubled and in pairs."""
    if not text.strip():
        return True
    cells = _cells(text)
    inner_count, quote_count = sum(cell.count('"') for cell in cells), text.count('"')
    is_paired = quote_count % 2 == 0 and quote_count >= 2 * (inner_count + bool(inner_count))
    return is_paired and len(cells) == width


def _cells(text: str) -> tuple[str, ...]:
    """Return the cells of one line by itself, or the whole line as one cell when it has none."""
    try:
        return tuple(next(csv.reader([text], strict=True), ()))
    except csv.Error:
        return (text.rstrip("\r\n"),)


def _why(wrong: Exception) -> str:
    if isinstance(wrong, TooLong):
        return f"is longer than {ROW_BYTES:,} characters"
    text = str(wrong)
    if "field limit" in text:
        return f"has a cell of more than {csv.field_size_limit():,} characters; hand such rows in as JSON Lines"
    if "end of data" in text:
        return "opens a quoted cell that is not closed; close or double the quote"
    if "expected after" in text:
        return "has text behind a closing quote; double quotes that belong to the text"
    return f"is not CSV: {text}"
