"""Models in child processes over HTTP: how they fare, and the end of a quarantine."""

from __future__ import annotations

import logging
import re

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from opsrail.access.roles import EVERYWHERE
from opsrail.errors import NotFound
from opsrail.registry.description import NAME
from opsrail.web import answers
from opsrail.web.door import (
    Answer,
    Door,
    Operation,
    Parameter,
    answer,
    by_of,
    id_parameter,
    permit,
)
from opsrail.web.reading import body_of, model_of, query_of
from opsrail.web.reviews import Person

log = logging.getLogger("opsrail.models")
NUMBER = re.compile("[1-9][0-9]{0,8}")
WHICH = (
    id_parameter("name", NAME.pattern, "Name of a model."),
    Parameter(
        "number",
        "path",
        {"type": "integer", "minimum": 1, "maximum": 999_999_999},
        "Number of its version.",
    ),
)


class Release(BaseModel):
    """Who says that a model may run again."""

    model_config = ConfigDict(extra="forbid")
    by: Person | None = None


class Processes:
    """Serves `/v1/processes`: of the process that answers, each has its own."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def operations(self) -> list[Operation]:
        """Return what is served."""
        shown = {200: Answer("The models in child processes, as they fare now.", answers.Processes)}
        return [
            Operation(
                "GET", "/v1/processes", "processes", "List models in child processes.", self.list, shown,
                permission="models.read",
            ),
            Operation(
                "POST",
                "/v1/processes/{name}/{number}/release",
                "release_process",
                "End a model's quarantine.",
                self.release,
                shown,
                body=Release,
                parameters=WHICH,
                errors=(404,),
                permission="models.change",
            ),
        ]  # fmt: skip

    async def list(self, request: Request) -> Response:
        """Answer with how they fare."""
        query_of(request)
        permit(request, "models.read", EVERYWHERE)
        return self._shown()

    async def release(self, request: Request) -> Response:
        """Let a model run again that crashed too often; nothing changes for one that did not."""
        query_of(request)
        permit(request, "models.change", EVERYWHERE)
        wish = model_of(Release, await body_of(request, self._door.body_bytes))
        by = by_of(request, wish.by)
        name, number = request.path_params["name"], request.path_params["number"]
        if not NAME.fullmatch(name) or not NUMBER.fullmatch(number):
            raise NotFound(f"no model version {name[:63]!r}/{number[:9]!r}")
        registry = self._door.app.registry
        released = registry.pools.release(await registry.version(name, int(number)))
        if released:
            log.warning("model %s/%s was released from quarantine by %s", name, number, by)
        return self._shown()

    def _shown(self) -> Response:
        processes = self._door.app.decider.stats().processes
        return answer({"processes": [each._asdict() for each in processes]})
