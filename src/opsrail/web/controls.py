"""Control cases over HTTP: what is put among the reviews because its right ruling is known."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from opsrail.access.roles import EVERYWHERE
from opsrail.app.work import Json
from opsrail.clock import rfc3339
from opsrail.review.controls import Given, control_record
from opsrail.review.unasked import ASKED
from opsrail.review.unasked import QUEUE as QUEUE_NAME
from opsrail.values.document_names import without_paths
from opsrail.values.reviews import ControlRow
from opsrail.web.answers import Moment, Shape
from opsrail.web.contradictions import contradictions
from opsrail.web.door import (
    LIMIT_PARAMETER,
    Answer,
    Door,
    Operation,
    Parameter,
    actor_of,
    answer,
    id_parameter,
    permit,
)
from opsrail.web.reading import KEPT, LIMIT, PAGE_COUNT, body_of, model_of, query_of

MANAGES = "reviews.manage"
MOST_CONTROLS = 1_000
"""Control cases of one request. Ours: at 1 kB each they fill the largest body; the command line adds more at once."""
QUEUE = re.compile(r"[\x20-\x7e]{1,100}")
ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
CONTROL_ID = id_parameter("control_id", ID.pattern, "Id of a control case.")
QUEUE_PARAMETER = Parameter(
    "queue", "query", {"type": "string", "pattern": "^[ -~]{1,100}$"}, "Only of this queue."
)
AFTER = Parameter(
    "after",
    "query",
    {"type": "string", "pattern": f"^{ID.pattern}$"},
    "Id that the page begins behind.",
)


def _is_ruling(truth: str) -> str:
    if truth == ASKED:
        raise ValueError("is no ruling; say what is right, e.g. approve")
    return truth


class GivenSubject(BaseModel):
    """What a person is shown, as a review shows it."""

    model_config = ConfigDict(extra="forbid")
    input: Json
    decision: dict[str, Json] | None = None
    show: Json = None


class GivenControl(BaseModel):
    """A case whose right ruling is known."""

    model_config = ConfigDict(extra="forbid")
    queue: Annotated[str, StringConstraints(pattern=f"^{QUEUE_NAME.pattern}$")]
    subject: GivenSubject
    truth: Annotated[
        str, StringConstraints(min_length=1, max_length=64, pattern=KEPT), AfterValidator(_is_ruling),
        Field(json_schema_extra={"not": {"const": ASKED}}),
    ]  # fmt: skip


class GivenControls(BaseModel):
    """Control cases to add."""

    model_config = ConfigDict(extra="forbid")
    controls: Annotated[list[GivenControl], Field(min_length=1, max_length=MOST_CONTROLS)]


class ControlShape(Shape):
    """A control case."""

    id: str
    queue: str
    truth: str
    used: int
    added_by: str
    added_at: Moment
    subject: dict[str, Any]


class ControlsShape(Shape):
    """A page of control cases."""

    controls: list[ControlShape]


class AddedShape(Shape):
    """What was added, and how many stood there already."""

    added: list[str]
    unchanged: int


class ControlsDoor:
    """Serves `/v1/reviews/controls`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def operations(self) -> list[Operation]:
        """Return what is served."""
        path = "/v1/reviews/controls"
        return [
            Operation(
                "GET", path, "controls", "List control cases.", self.list,
                {200: Answer("Control cases by id.", ControlsShape)}, parameters=(QUEUE_PARAMETER, AFTER, LIMIT_PARAMETER),
                permission=MANAGES,
            ),
            Operation(
                "POST", path, "add_controls", "Add control cases, all or none.", self.add,
                {200: Answer("What was added.", AddedShape)}, body=GivenControls, errors=(409,),
                permission=MANAGES,
            ),
            Operation(
                "POST", f"{path}/{{control_id}}/remove", "remove_control", "Take a control case out.", self.remove,
                {200: Answer("The control case that is gone.", ControlShape)}, parameters=(CONTROL_ID,), errors=(404, 409),
                permission=MANAGES,
            ),
        ]  # fmt: skip

    async def list(self, request: Request) -> Response:
        """Answer with control cases."""
        permit(request, MANAGES, EVERYWHERE)
        query = query_of(request, queue=QUEUE, after=ID, limit=LIMIT)
        rows = await self._door.app.controls.listed(
            query.get("queue"),
            after=query.get("after", ""),
            limit=int(query.get("limit", PAGE_COUNT)),
        )
        return answer({"controls": [told(row) for row in rows]})

    async def add(self, request: Request) -> Response:
        """Add control cases."""
        permit(request, MANAGES, EVERYWHERE)
        query_of(request)
        body = model_of(GivenControls, await body_of(request, self._door.body_bytes))
        given = [Given(f"controls.{at}", one.model_dump()) for at, one in enumerate(body.controls)]
        with contradictions():  # a decision's record is more than its description says
            added = await self._door.app.controls.add(given, by=actor_of(request))
        return answer({"added": [row.id for row in added.rows], "unchanged": added.unchanged})

    async def remove(self, request: Request) -> Response:
        """Take one out."""
        permit(request, MANAGES, EVERYWHERE)
        query_of(request)
        control_id = request.path_params["control_id"]
        return answer(told(await self._door.app.controls.remove(control_id, by=actor_of(request))))


def told(row: ControlRow) -> dict[str, Any]:
    """Return a control case as plain JSON values; documents by their names, as in reviews."""
    record = control_record(row)
    return {**record, "subject": without_paths(record["subject"]), "added_at": rfc3339(row.at_ms)}
