"""How well people and the machine decide over HTTP, and what people ruled, as a stream of JSON Lines."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from opsrail.access.roles import Grants
from opsrail.errors import Overloaded
from opsrail.review.exporting import Wanted, exported
from opsrail.web.answers import Moment, Shape
from opsrail.web.controls import MANAGES, QUEUE, QUEUE_PARAMETER
from opsrail.web.door import REVIEW_ID, Answer, Door, Operation, Parameter, answer, scopes_of
from opsrail.web.lab import imported
from opsrail.web.reading import query_of
from opsrail.web.standing import Standing
from opsrail.web.streaming import Streamed

DAY_MS = 86_400_000
DAYS = 30
MOST_RULINGS = 100_000
"""Rulings that one request may look at. Ours: a hundred people's month."""
MOST_EXPORTS = 4
"""Exports that are sent at once. Ours: each holds a page of rulings and its decisions."""
LINES = "application/jsonl"
SPAN = re.compile(r"[1-9][0-9]{0,3}")
POINT = re.compile(r"[a-z][a-z0-9-]{0,62}")
REVIEW = re.compile(REVIEW_ID)
NAMES = re.compile("true|false")


class QualityShape(Shape):
    """How well people and the machine decided in a span of time; see docs/quality.md."""

    since: Moment
    until: Moment
    queue: str | None
    rulings: int
    people: dict[str, Any]
    machine: dict[str, Any]
    weeks: list[dict[str, Any]]
    agreement: dict[str, Any]
    reconsidered: dict[str, Any]
    queues: dict[str, Any]


class QualityDoor:
    """Serves `/v1/reviews/quality` and `/v1/reviews/export`."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._turn = asyncio.Lock()
        self._sending = 0

    def operations(self) -> list[Operation]:
        """Return what is served."""
        days = parameter("days", SPAN, "How far back; 30 without it, all for an export.")
        return [
            Operation(
                "GET", "/v1/reviews/quality", "quality", "Say how well people and the machine decide.", self.quality,
                {200: Answer("Figures with intervals.", QualityShape)}, parameters=(QUEUE_PARAMETER, days), errors=(422,),
                permission=MANAGES,
            ),
            Operation(
                "GET", "/v1/reviews/export", "export_rulings", "Send what people ruled as a training set.", self.export,
                {200: Answer("A line a review, in the order in which they were ruled.", media=(LINES,))},
                parameters=(
                    QUEUE_PARAMETER, days, parameter("point", POINT, "Only about decisions of this point."),
                    parameter("after", REVIEW, "`review_id` of the last line that you have."),
                    parameter("names", NAMES, "true: people by name; else each has a pseudonym."),
                ),
                errors=(404,), permission=MANAGES,
            ),
        ]  # fmt: skip

    async def quality(self, request: Request) -> Response:
        """Answer with figures."""
        query = query_of(request, queue=QUEUE, days=SPAN)
        await imported("rulings", "The quality of rulings")
        from opsrail.lab.rulings import quality

        app = self._door.app
        until_ms = app.clock.now_ms() + 1
        since_ms = max(0, until_ms - int(query.get("days", DAYS)) * DAY_MS)
        async with self._turn:
            found = await quality(
                app.store, since_ms=since_ms, until_ms=until_ms, queue=query.get("queue"),
                automations=scopes_of(request, MANAGES), most=MOST_RULINGS,
            )  # fmt: skip
            return answer(found.record())

    async def export(self, request: Request) -> Response:
        """Send lines while they are read, as long as who asked may have them.

        Who was cut off goes on behind the last line they have.
        """
        query = query_of(request, queue=QUEUE, days=SPAN, point=POINT, after=REVIEW, names=NAMES)
        app, scopes = self._door.app, scopes_of(request, MANAGES)
        until_ms = app.clock.now_ms() + 1
        days = query.get("days")
        wanted = Wanted(
            0 if days is None else max(0, until_ms - int(days) * DAY_MS),
            until_ms,
            query.get("queue"),
            query.get("point"),
            query.get("names") == "true",
            None if scopes is None else tuple(sorted(scopes)),
        )
        if self._sending >= MOST_EXPORTS:
            raise Overloaded(f"{MOST_EXPORTS} exports are being sent", after_s=5.0)
        self._sending += 1
        pages = exported(app.store, app.clock, wanted, after=query.get("after"))
        first: list[dict[str, Any]] = []
        try:
            with suppress(
                StopAsyncIteration
            ):  # what cannot be exported is refused before the answer begins
                first = await anext(pages)
        except BaseException:
            self._sent()
            raise
        standing = Standing(self._door, request, lambda grants: reaches(grants, scopes))
        return Streamed(standing.confirmed(_lines(first, pages)), self._sent, LINES)

    def _sent(self) -> None:
        self._sending -= 1


async def _lines(
    first: list[dict[str, Any]], rest: AsyncIterator[list[dict[str, Any]]]
) -> AsyncGenerator[bytes, None]:
    yield written(first)
    async for lines in rest:
        yield written(lines)


def reaches(grants: Grants, scopes: frozenset[str] | None) -> bool:
    """Return whether permissions to manage reviews still hold wherever they held; None: everywhere."""
    now = grants.scopes_of(MANAGES)
    return now is None or (scopes is not None and bool(scopes) and scopes <= now)


def written(lines: list[dict[str, Any]]) -> bytes:
    """Return lines as they are sent."""
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


def parameter(name: str, pattern: re.Pattern[str], description: str) -> Parameter:
    """Return the description of a query parameter."""
    return Parameter(
        name, "query", {"type": "string", "pattern": f"^({pattern.pattern})$"}, description
    )
