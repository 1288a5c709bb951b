"""Challengers over HTTP: how they fare at a decision point in the process that is asked."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from opsrail.decide.point import NAME
from opsrail.errors import ModelUnavailable, NotFound
from opsrail.web.answers import Shape
from opsrail.web.door import (
    Answer,
    Door,
    Operation,
    answer,
    id_parameter,
    permit,
)
from opsrail.web.reading import query_of
from opsrail.web.stats import StageStats, plain

POINT = id_parameter("point", NAME.pattern, "Name of a decision point.")


class Shadow(Shape):
    """How one challenger fares at one point, since this process began."""

    model: str
    point: str
    state: Literal["loading", "scoring", "paused", "hung", "failed"]
    queued: int
    lag_s: float
    offered: int
    scored: int
    failed: dict[str, int]
    dropped: dict[str, int]
    agreed: int
    disagreed: int
    disagreed_ratio: float | None
    call_ms: StageStats | None
    cost_usd: float


class PointShadows(Shape):
    """The challengers of a decision point."""

    point: str
    shadows: list[Shadow]


class Challengers:
    """Serves `/v1/points/{point}/shadows`: of the process that answers, each has its own counts."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def operations(self) -> list[Operation]:
        """Return what is served."""
        told = {200: Answer("What became of what they were offered.", PointShadows)}
        return [
            Operation(
                "GET",
                "/v1/points/{point}/shadows",
                "shadows",
                "Say how a point's challengers fare.",
                self.shadows,
                told,
                parameters=(POINT,),
                errors=(404,),
                permission="models.read",
            )
        ]

    async def shadows(self, request: Request) -> Response:
        """Answer with the counts of each challenger that stands at the point now."""
        query_of(request)
        app, name = self._door.app, request.path_params["point"]
        permit(request, "models.read", name)
        if name not in app.definitions.points:
            known = ", ".join(app.definitions.points) or "none"
            raise NotFound(f"no decision point {name[:63]!r} here; there are: {known}")
        with suppress(ModelUnavailable):
            await app.registry.route(name, "")  # reads the rollout anew where it may have changed
        return answer({"point": name, "shadows": plain(app.shadows.stats(name))})
