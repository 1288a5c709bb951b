"""Rows of a bulk request: decided one by one, in and out whatever their format; and the first format, JSON lines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import IO, Any, NamedTuple, Protocol

import orjson

from opsrail.app import App
from opsrail.decide.decider import Request as Question
from opsrail.decide.point import DecisionPoint
from opsrail.decide.rows import patiently
from opsrail.errors import OpsrailError, StoreUnavailable
from opsrail.values.decisions import Decision
from opsrail.web.points import Asking
from opsrail.web.problems import Malformed, problem_of, status_of
from opsrail.web.reading import check_json, model_of

log = logging.getLogger("opsrail.web")
JSON_LINES = ("application/jsonl", "application/x-ndjson")
EMPTY_AT_ONCE = 1_000
"""Empty lines that are passed over while nothing else runs. Ours: below a millisecond."""


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
            elif number % EMPTY_AT_ONCE == 0:
                await asyncio.sleep(0)  # 100 MB of them are half a minute, and others wait

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


class RowAsker:
    """Decides rows; what they have in common stands here.

    Args:
        asking: Its key is that of all rows: each gets `key/line`.
        is_closing: Whether the process is being stopped: then no row is begun.
    """

    def __init__(
        self,
        app: App,
        point: DecisionPoint[Any],
        asking: Asking,
        is_closing: Callable[[], bool] = lambda: False,
    ) -> None:
        self._app = app
        self._point = point
        self._asking = asking
        self._is_closing = is_closing
        self._most_bytes = app.config.web.body_bytes
        self._has_failed = False

    async def outcome(self, row: Row) -> Outcome:
        """Decide one row, or say why not."""
        if self._is_closing():
            ending = StoreUnavailable("this server is being stopped; send this row again")
            return Outcome(row.line, None, problem_of(ending)[0])
        try:
            return Outcome(row.line, await self._decided(row), None)
        except Exception as error:
            if status_of(type(error)) >= 500 and not self._has_failed:
                self._has_failed = True  # a part that is down fails every row: the log needs one
                log.error("line %d of a bulk request failed", row.line, exc_info=error)
            return Outcome(row.line, None, problem_of(error)[0])

    async def _decided(self, row: Row) -> Decision:
        if row.fault is not None:
            raise row.fault
        if len(row.body) > self._most_bytes:
            raise Malformed(f"the row is larger than {self._most_bytes:,} bytes")
        check_json(row.body)
        correlation_id, actor, tenant, key, budget_ms = self._asking
        asked = Question(
            self._point,
            model_of(self._point.request, row.body),
            correlation_id=correlation_id,
            actor=actor,
            idempotency_key=None if key is None else f"{key}/{row.line}",
            budget_ms=budget_ms,
            criticality="low",
            tenant=tenant,
            arm_key=f"{correlation_id}/{row.line}",
        )
        return await patiently(lambda: self._app.decider.decide(asked), self._app.clock)
