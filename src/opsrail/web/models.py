"""Model versions over HTTP, and what held at a decision point at any moment."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from opsrail.access.roles import EVERYWHERE
from opsrail.errors import NotFound
from opsrail.registry.card_page import markdown
from opsrail.registry.describing import version_record
from opsrail.registry.past import change_record, changes_until, held_at, moment_of
from opsrail.values.rows import Where
from opsrail.web.answers import Moment, Shape
from opsrail.web.door import (
    LIMIT_PARAMETER,
    Answer,
    Door,
    Operation,
    Parameter,
    answer,
    id_parameter,
    permit,
)
from opsrail.web.reading import LIMIT, PAGE_COUNT, query_of

NAME = "[a-z][a-z0-9-]{0,62}"
NUMBER = "[1-9][0-9]{0,8}"
VERSION = (
    id_parameter("name", NAME, "Name of a model."),
    Parameter("number", "path", {"type": "integer", "minimum": 1}, "Number of a version."),
)
AT = re.compile(r"[0-9TZ:.+ -]{8,40}")
MARKDOWN = "text/markdown"


class Model(Shape):
    """One immutable model version."""

    name: str
    number: int
    digest: str
    runtime: str
    training_digest: str
    metrics: dict[str, float]
    card: dict[str, Any]
    created_at: Moment


class Models(Shape):
    """Model versions, by name and number."""

    models: list[Model]


class WholeModel(Model):
    """A version with what it reads, what its card does not tell, and where it stands."""

    card_revision: int
    card_missing: list[str]
    features: list[dict[str, Any]] | None
    artifact_fault: str | None
    stands: list[dict[str, Any]]


class Card(Shape):
    """A version's card as it is worded now; `missing` is what it should tell and does not."""

    name: str
    number: int
    digest: str
    revision: int
    by: str | None
    reason: str | None
    at: Moment
    card: dict[str, Any]
    missing: list[str]


class History(Shape):
    """What held at a point at a moment, and the changes up to then, newest first."""

    at: dict[str, Any]
    changes: list[dict[str, Any]]


class ModelsDoor:
    """Serves `/v1/models` and `/v1/points/{point}/history`."""

    def __init__(self, door: Door) -> None:
        self._app = door.app

    def operations(self) -> list[Operation]:
        """Return what is served."""
        one = "/v1/models/{name}/{number}"
        listed = {200: Answer("Versions, by name and number.", Models)}
        whole = {200: Answer("The version, whole.", WholeModel)}
        card = {
            200: Answer("The card; gaps are named.", Card, media=("application/json", MARKDOWN))
        }
        held = {200: Answer("What held then.", History)}
        of = Parameter(
            "name", "query", {"type": "string", "pattern": f"^{NAME}$"}, "Of this model."
        )
        at = Parameter(
            "at",
            "query",
            {"type": "string", "format": "date-time"},
            "Moment, ISO 8601; UTC unless it says. Default: now.",
        )
        form = Parameter(
            "format",
            "query",
            {"type": "string", "enum": ["json", "markdown"]},
            "How the card is answered.",
        )
        point = id_parameter("point", NAME, "Name of a decision point.")
        return [
            Operation("GET", "/v1/models", "models", "List model versions.", self.list, listed,
                parameters=(of, LIMIT_PARAMETER), permission="models.read"),
            Operation("GET", one, "model", "Show a model version.", self.show, whole, parameters=VERSION, errors=(404,),
                permission="models.read"),
            Operation("GET", f"{one}/card", "model_card", "Show a version's card.", self.card, card,
                parameters=(*VERSION, form), errors=(404,), permission="models.read"),
            Operation("GET", "/v1/points/{point}/history", "history", "Say what was live when.", self.history, held,
                parameters=(point, at, LIMIT_PARAMETER), errors=(404,), permission="models.read"),
        ]  # fmt: skip

    async def list(self, request: Request) -> Response:
        """Answer with model versions."""
        permit(request, "models.read", EVERYWHERE)
        query = query_of(request, name=re.compile(NAME), limit=LIMIT)
        where = [Where("name", "=", query["name"])] if "name" in query else []
        limit = int(query.get("limit", PAGE_COUNT))
        versions = await self._app.registry.versions(*where, limit=limit)
        return answer({"models": [version_record(one) for one in versions]})

    async def show(self, request: Request) -> Response:
        """Answer with a version."""
        query_of(request)
        permit(request, "models.read", EVERYWHERE)
        return answer(await self._app.describer.whole(*_version(request)))

    async def card(self, request: Request) -> Response:
        """Answer with a version's card."""
        permit(request, "models.read", EVERYWHERE)
        query = query_of(request, format=re.compile("json|markdown"))
        view = await self._app.describer.card(*_version(request))
        if query.get("format") == "markdown":
            return Response(markdown(view), media_type=MARKDOWN)
        return answer(view.record())

    async def history(self, request: Request) -> Response:
        """Answer with what held at a point."""
        query = query_of(request, at=AT, limit=LIMIT)
        point: str = request.path_params["point"]
        if not re.fullmatch(NAME, point):
            raise NotFound(f"nothing was ever changed at {point[:63]!r}")
        permit(request, "models.read", point)
        app = self._app
        now_ms = app.clock.now_ms()
        at_ms = moment_of(query["at"], now_ms, "at") if "at" in query else now_ms
        held = await held_at(app.store, point, at_ms)
        rows = await changes_until(app.store, point, at_ms, int(query.get("limit", PAGE_COUNT)))
        return answer({"at": held.record(), "changes": [change_record(row) for row in rows]})


def _version(request: Request) -> tuple[str, int]:
    name: str = request.path_params["name"]
    number: str = request.path_params["number"]
    if not re.fullmatch(NAME, name) or not re.fullmatch(NUMBER, number):
        raise NotFound(f"there is no model version {name[:63]!r}/{number[:20]!r}")
    return name, int(number)
