"""Rows of a bulk request in and out, whatever their format; and the first of the formats, JSON lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import IO, Any, NamedTuple, Protocol

import orjson

from opsrail.errors import OpsrailError
from opsrail.values.decisions import Decision
from opsrail.web.problems import Malformed

JSON_LINES = ("application/jsonl", "application/x-ndjson")


class Row(NamedTuple):
    """One row that was sent.

    Attributes:
        line: Where it stands, from 1.
        body: As JSON; empty when it could not be read.
        fault: Why it could not.
    """

    line: int
    body: bytes
    fault: OpsrailError | None = None


class Outcome(NamedTuple):
    """What became of a row: a decision, or the problem that stood in its way."""

    line: int
    decision: Decision | None
    problem: dict[str, Any] | None


class Format(Protocol):
    """How rows come and outcomes go."""

    media_type: str
    flush_count: int
    """Outcomes that are written together."""

    async def check(self, file: IO[bytes]) -> None:
        """Look at a body before anything is answered. Raises Malformed when it is not of this format."""
        ...

    def rows(self, file: IO[bytes]) -> AsyncIterator[Row]:
        """Yield the rows of a body, from its beginning. Raises Malformed when the rest cannot be read."""
        ...

    def written(self, outcomes: Sequence[Outcome]) -> bytes:
        """Return outcomes as they are sent."""
        ...

    def end(self) -> bytes:
        """Return what is sent after the last one."""
        ...


class JsonLines:
    """One JSON value a line; empty lines are none. A decision goes as its record, byte for byte, a problem with its line.

    Args:
        most_bytes: Longest line.
    """

    flush_count = 1

    def __init__(self, media_type: str, most_bytes: int) -> None:
        self.media_type = media_type
        self._most_bytes = most_bytes

    async def check(self, file: IO[bytes]) -> None:
        """Find nothing wrong: each line stands for itself."""

    async def rows(self, file: IO[bytes]) -> AsyncIterator[Row]:
        """Yield the lines that are not empty."""
        file.seek(0)
        number = 0
        while line := file.readline(self._most_bytes + 1):
            number += 1
            if len(line) > self._most_bytes and not line.endswith(b"\n"):
                while line and not line.endswith(b"\n"):
                    line = file.readline(self._most_bytes)
                fault = Malformed(f"the line is longer than {self._most_bytes:,} bytes")
                yield Row(number, b"", fault)
            elif body := line.strip(b" \t\r\n"):
                yield Row(number, body)

    def written(self, outcomes: Sequence[Outcome]) -> bytes:
        """Return a line each."""
        return b"".join(
            orjson.dumps({"line": line, **(problem or {})}) + b"\n"
            if decision is None
            else decision.written() + b"\n"
            for line, decision, problem in outcomes
        )

    def end(self) -> bytes:
        """Return nothing: lines end by themselves."""
        return b""
