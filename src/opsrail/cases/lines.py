"""What reading an input file gives: rows, and beneath them lines of text with their number and what is wrong with them.

Nothing here knows a model or a format.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from opsrail.errors import Fault, InvalidInput

ROW_BYTES = 1_000_000
"""Longest row. Source: ours, the limit of a case's input."""


class Row(NamedTuple):
    """One row of a file.

    Attributes:
        line: Where it begins, counted from 1; in Parquet and folders its position.
        values: By column; cells of a CSV are text. Empty when it could not be read.
        faults: Why it could not be read.
        original: Its cells as they stand, for the file of rejected rows.
    """

    line: int
    values: Mapping[str, Any]
    faults: tuple[Fault, ...]
    original: tuple[str, ...]


class Rows(NamedTuple):
    """A file being read.

    Attributes:
        columns: Of `Row.original`.
        header: Columns that every row has; None where each row names its own.
        rows: In order; reading is lazy.
        read_ratio: Returns how much of the file was read, in [0, 1].
        is_text: Whether cells are text, where an empty one means that there is none.
    """

    columns: tuple[str, ...]
    header: tuple[str, ...] | None
    rows: Iterator[Row]
    read_ratio: Callable[[], float]
    is_text: bool = False


class TooLong(Exception):
    """A line or quoted field is longer than a row may be."""


class Lines:
    """Lines of a text file as `csv.reader` asks for them; remembers what the row under way has taken.

    Attributes:
        taken: Lines of the row under way: number, text, what is wrong with it.
    """

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream = stream
        self._path = path
        self._number = 0
        self._pushed: deque[tuple[int, str, str]] = deque()
        self.taken: list[tuple[int, str, str]] = []
        self._taken_bytes = 0

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._pushed.popleft() if self._pushed else self._read()
        if line is None:
            raise StopIteration
        self.taken.append(line)
        self._taken_bytes += len(line[1])
        if self._taken_bytes > ROW_BYTES:
            raise TooLong
        return line[1]

    def begin_row(self) -> None:
        """Forget the lines of the row before."""
        self.taken = []
        self._taken_bytes = 0

    def push_back(self, lines: Sequence[tuple[int, str, str]]) -> None:
        """Let lines be read anew."""
        self._pushed.extendleft(reversed(lines))

    def _read(self) -> tuple[int, str, str] | None:
        raw = self._stream.readline(ROW_BYTES + 1)
        if not raw:
            return None
        self._number += 1
        if self._number == 1:
            raw = self._unmarked(raw)
        whole = raw
        while len(whole) > ROW_BYTES and not whole.endswith(b"\n"):
            if not (whole := self._stream.readline(ROW_BYTES + 1)):
                break
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as wrong:
            why = f"byte 0x{raw[wrong.start]:02X} at character {wrong.start + 1} is not UTF-8; save the file as UTF-8"
            return self._number, raw.decode("utf-8", "surrogateescape"), why
        return self._number, text, "holds a NUL character; remove it" if "\0" in text else ""

    def _unmarked(self, raw: bytes) -> bytes:
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise InvalidInput(f"{self._path} is UTF-16; save it as UTF-8")
        return raw.removeprefix(b"\xef\xbb\xbf")
