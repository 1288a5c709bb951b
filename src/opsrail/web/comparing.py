"""A model version against another judge over HTTP, on a bounded number of a decision point's own decisions."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from opsrail.errors import Fault, InvalidInput, NotFound
from opsrail.values.decisions import DecisionRow
from opsrail.values.rows import Where
from opsrail.web.answers import Shape
from opsrail.web.door import (
    Answer,
    Door,
    Operation,
    Parameter,
    answer,
    permit,
)
from opsrail.web.lab import imported
from opsrail.web.problems import Malformed
from opsrail.web.reading import query_of
from opsrail.web.shadows import POINT

MOST_DECISIONS = 100_000
"""Decisions that one request may look at. Ours: a tenth of a history that takes 600 MB; more is `opsrail lab compare`'s."""
DAY_MS = 86_400_000
DAYS = 30
VERSION = re.compile(r"[a-z][a-z0-9-]{0,62}/[1-9][0-9]{0,8}")
AGAINST = re.compile(f"people|champion|{VERSION.pattern}")
SPAN = re.compile(r"[1-9][0-9]{0,3}")
FIELDS = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}(?:,[A-Za-z_][A-Za-z0-9_]{0,99}){0,19}")


class Compared(Shape):
    """How two judges of the same decisions differ; `disagreement` has rate, segments and confusion."""

    point: str
    since_ms: int
    until_ms: int
    referred: str
    decisions: int
    mine: dict[str, Any]
    theirs: dict[str, Any]
    disagreement: dict[str, Any]
    champion: dict[str, Any] | None
    errors: dict[str, Any] | None
    shift: dict[str, Any] | None


class Comparing:
    """Serves `/v1/points/{point}/compare`; one comparison at a time, so that memory holds one history."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._turn = asyncio.Lock()

    def operations(self) -> list[Operation]:
        """Return what is served."""
        told = {200: Answer("How they differ, with intervals.", Compared)}
        asked = (
            _parameter("version", VERSION, "Which version: `name/number`.", is_required=True),
            _parameter("against", AGAINST, "people, champion (without it) or another version."),
            _parameter("days", SPAN, "How far back; 30 without it."),
            _parameter("segments", FIELDS, "Request fields, by comma; the point's own without it."),
        )
        return [
            Operation(
                "GET", "/v1/points/{point}/compare", "compare", "Say how a version disagrees, and where.",
                self.compare, told, parameters=(POINT, *asked), errors=(404, 422), permission="decisions.read",
            )
        ]  # fmt: skip

    async def compare(self, request: Request) -> Response:
        """Answer with how a version disagrees with another, with whoever answered, or with people."""
        permit(request, "decisions.read", request.path_params["point"])
        query = query_of(request, version=VERSION, against=AGAINST, days=SPAN, segments=FIELDS)
        if "version" not in query:
            raise Malformed("the query is wrong", [Fault("version", "is missing; write `name/7`")])
        app, name = self._door.app, request.path_params["point"]
        point = app.definitions.points.get(name)
        if point is None:
            known = ", ".join(app.definitions.points) or "none"
            raise NotFound(f"no decision point {name[:63]!r} here; there are: {known}")
        await imported("comparison", "Comparing")
        from opsrail.lab.comparison import compared

        until_ms = await app.store.now_ms() + 1
        since_ms = max(0, until_ms - int(query.get("days", DAYS)) * DAY_MS)
        against = query.get("against", "champion")
        fields = query["segments"].split(",") if "segments" in query else point.segments
        for each in (query["version"], against):
            if "/" in each:
                await app.registry.version(*_version(each))
        async with self._turn:
            await self._bound(name, since_ms)
            found = await compared(
                app.store, name, _version(query["version"]),
                _version(against) if "/" in against else against,
                since_ms=since_ms, until_ms=until_ms, fields=fields, referred=point.policy.review,
            )  # fmt: skip
            return answer(found.record())

    async def _bound(self, point: str, since_ms: int) -> None:
        """Refuse more decisions than one request may look at. Raises InvalidInput."""
        where = (Where("point", "=", point), Where("at_ms", ">=", since_ms))
        count = (await self._door.app.store.count(DecisionRow, *where)).get((), 0)
        if count > MOST_DECISIONS:
            message = f"{count:,} decisions are more than {MOST_DECISIONS:,}; ask for fewer days, or use the command"
            raise InvalidInput("this is too much for one request", [Fault("days", message)])


def _version(text: str) -> tuple[str, int]:
    name, _, number = text.partition("/")
    return name, int(number)


def _parameter(
    name: str, pattern: re.Pattern[str], description: str, *, is_required: bool = False
) -> Parameter:
    schema = {"type": "string", "pattern": f"^({pattern.pattern})$"}
    return Parameter(name, "query", schema, description, is_required)
