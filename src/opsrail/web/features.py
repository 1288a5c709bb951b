"""Feature views over HTTP: how they are defined, what they know of an entity now or knew then, values that are pushed."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from opsrail.access.roles import EVERYWHERE
from opsrail.clock import rfc3339
from opsrail.errors import Fault, NotFound
from opsrail.features.definitions import MOST_VIEWS, view_row
from opsrail.features.keeping import LONGEST_ENTITY, NewValue
from opsrail.features.moments import moment_ms
from opsrail.features.records import view_record
from opsrail.values.features import ViewRow
from opsrail.web import feature_answers as answers
from opsrail.web.door import (
    Answer,
    Door,
    Operation,
    Parameter,
    answer,
    id_parameter,
    permit,
)
from opsrail.web.idempotency import idempotency_parameter
from opsrail.web.problems import Malformed
from opsrail.web.reading import KEPT, body_of, idempotency_key, model_of, query_of

NAME, NUMBER = "[a-z][a-z0-9-]{0,62}", "[1-9][0-9]{0,8}"
ENTITY = re.compile(rf"[^\x00]{{1,{LONGEST_ENTITY}}}")
MOMENT = re.compile(answers.MOMENT)
BY_REF = (
    id_parameter("view", NAME, "Name of a feature view."),
    id_parameter("version", NUMBER, "Its version."),
)
OF_ENTITY = Parameter(
    "entity",
    "query",
    {"type": "string", "minLength": 1, "maxLength": LONGEST_ENTITY, "pattern": KEPT},
    "Whose features.",
    is_required=True,
)
AT = Parameter(
    "at",
    "query",
    {"type": "string", "pattern": f"^{answers.MOMENT}$"},
    "What was known then; now, unless given.",
)
KEY = idempotency_parameter(None, subject="view")


class FeatureViews:
    """Serves `/v1/features`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def operations(self) -> list[Operation]:
        """Return what is served."""
        one = "/v1/features/{view}/{version}"
        views = {200: Answer("All views that were served here.", answers.Views)}
        view = {200: Answer("How the view is defined.", answers.View)}
        read = {200: Answer("The features, with where they came from.", answers.Read)}
        taken = {200: Answer("How many values were kept.", answers.Taken)}
        return [
            Operation("GET", "/v1/features", "feature_views", "List feature views.", self.list, views,
                permission="features.read"),
            Operation(
                "GET", one, "feature_view", "Show a feature view.", self.show, view, parameters=BY_REF, errors=(404,),
                permission="features.read",
            ),
            Operation(
                "GET", f"{one}/values", "features_of", "Read an entity's features.", self.read, read,
                parameters=(*BY_REF, OF_ENTITY, AT), errors=(404, 422), permission="features.read",
            ),
            Operation(
                "POST", one, "push_features", "Keep values, known from now on.", self.push, taken, body=answers.Push,
                parameters=(*BY_REF, KEY), errors=(404,), permission="features.write",
            ),
        ]  # fmt: skip

    async def list(self, request: Request) -> Response:
        """Answer with all views. They belong to no one point, so who sees any sees all."""
        permit(request, "features.read", EVERYWHERE)
        query_of(request)
        rows = await self._door.app.store.select(ViewRow, limit=MOST_VIEWS)
        return answer({"views": [view_record(row) for row in rows]})

    async def show(self, request: Request) -> Response:
        """Answer with a view."""
        permit(request, "features.read", EVERYWHERE)
        query_of(request)
        return answer(view_record(await view_row(self._door.app.store, ref_of(request))))

    async def read(self, request: Request) -> Response:
        """Answer with what a view knows of an entity."""
        permit(request, "features.read", EVERYWHERE)
        query = query_of(request, entity=ENTITY, at=MOMENT)
        features, ref = self._door.app.features, ref_of(request)
        await features.known_view(ref)
        if "entity" not in query:
            raise Malformed(
                "the query is wrong", [Fault("entity", "is absent; say whose features")]
            )
        if "at" not in query:
            read = await features.read(ref, query["entity"])
            return answer({"features": read.record(), "at": None})
        try:
            at_ms = moment_ms(query["at"])
        except ValueError as wrong:
            raise Malformed("the query is wrong", [Fault("at", str(wrong))]) from wrong
        read = await features.at(ref, query["entity"], at_ms)
        return answer({"features": read.record(), "at": rfc3339(at_ms)})

    async def push(self, request: Request) -> Response:
        """Keep values."""
        permit(request, "features.write", EVERYWHERE)
        query_of(request)
        features, ref, key = self._door.app.features, ref_of(request), idempotency_key(request)
        await features.known_view(ref)
        wish = model_of(answers.Push, await body_of(request, self._door.body_bytes))
        values = [NewValue(one.entity, one.event_at, one.values) for one in wish.values]
        taken = await features.push(ref, values, key=key)
        return answer(taken._asdict())


def ref_of(request: Request) -> str:
    """Return the view that a path names. Raises NotFound."""
    name, number = request.path_params["view"], request.path_params["version"]
    if not (re.fullmatch(NAME, name) and re.fullmatch(NUMBER, number)):
        raise NotFound(f"no feature view {name[:63]!r} of version {number[:20]!r}")
    return f"{name}@{number}"
