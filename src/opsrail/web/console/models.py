"""Pages of models: versions, their cards, where they stand, and what held when."""

from __future__ import annotations

import re
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from opsrail.access.roles import EVERYWHERE
from opsrail.errors import NotFound
from opsrail.registry.describing import differences
from opsrail.registry.past import Stood, changes_until, held_at, moment_of
from opsrail.values.registry import ModelVersionRow, RolloutRow
from opsrail.values.rows import Where, equals
from opsrail.web.console import model_view as view
from opsrail.web.console.pages import Pages, page
from opsrail.web.console.tones import tone
from opsrail.web.door import Door, Operation, grants_of, permit
from opsrail.web.reading import query_of

READ = "models.read"
NAME = re.compile("[a-z][a-z0-9-]{0,62}")
NUMBER = re.compile("[1-9][0-9]{0,8}")
AFTER = re.compile(r"[a-z][a-z0-9-]{0,62}/[1-9][0-9]{0,8}")
POINT = re.compile("([a-z][a-z0-9-]{0,62})?")
AT = re.compile(r"[0-9TZ:.+ -]{0,40}")
PAGE_COUNT = 50
MOST_ROLLOUTS = 1_000
COLUMNS = ("name", "number", "digest", "runtime", "metrics", "created_at_ms")


class ModelPages:
    """Serves `/console/models` and `/console/history`."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._app = door.app
        self._pages = pages

    def operations(self) -> list[Operation]:
        """Return what is served."""
        one = "/console/models/{name}/{number}"
        return [
            page("/console/models", "console_models", self.list, READ),
            page("/console/models/{name}", "console_model", self.list, READ),
            page(one, "console_model_version", self.show, READ),
            page(f"{one}/against/{{other}}", "console_model_diff", self.compare, READ),
            page("/console/history", "console_history", self.history, READ),
        ]

    async def list(self, request: Request) -> Response:
        """Answer with versions, of all models by name or of one, the newest first of each."""
        query = query_of(request, after=AFTER)
        permit(request, READ, EVERYWHERE)
        name: str | None = request.path_params.get("name")
        if name is not None and not NAME.fullmatch(name):
            raise NotFound(f"there is no model {name[:63]!r}")
        after = query["after"].split("/") if "after" in query else []
        found = await self._app.store.columns(
            ModelVersionRow,
            COLUMNS,
            *([] if name is None else equals(name=name)),
            after=(after[0], int(after[1])) if after else (),
            descending=True,
            limit=PAGE_COUNT + 1,
        )
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*found, strict=True)]
        if name is not None and not rows and not after:
            raise NotFound(f"there is no model {name!r}; see /console/models")
        shown, following = rows[:PAGE_COUNT], None
        if len(rows) > PAGE_COUNT:
            following = f"{request.url.path}?after={shown[-1]['name']}/{shown[-1]['number']}"
        for row in shown:
            row["metrics"] = view.short_metrics(orjson.loads(row["metrics"]))
        stands = await self._app.store.select(
            RolloutRow,
            *([] if name is None else equals(model_name=name)),
            Where("stage", "!=", "retired"),
            limit=MOST_ROLLOUTS,
        )
        return self._pages.render(
            request, "models.html", title=name or "Models", here="models", name=name, rows=shown, next=following,
            first=request.url.path if after else "", stands=view.standing_of(stands), tone=tone,
            points=sorted({row.point for row in stands}),
        )  # fmt: skip

    async def show(self, request: Request) -> Response:
        """Answer with a version: its card with gaps, figures, what it reads, where it stands."""
        query_of(request)
        permit(request, READ, EVERYWHERE)
        name, number = self._version(request)
        whole = await self._app.describer.whole(name, number)
        model = f"{name}/{number}"
        shadows = [one for one in self._app.shadows.stats() if one.model == model]
        return self._pages.render(
            request, "model.html", title=f"{name}/{number}", here="models", whole=whole, shadows=shadows, tone=tone,
            parts=view.card_parts(whole["card"], whole["card_missing"]),
        )  # fmt: skip

    async def compare(self, request: Request) -> Response:
        """Answer with what differs between two versions of a model."""
        query_of(request)
        permit(request, READ, EVERYWHERE)
        name, number = self._version(request)
        other: str = request.path_params["other"]
        if not NUMBER.fullmatch(other):
            raise NotFound(f"there is no model version {name}/{other[:20]!r}")
        pair = await self._app.describer.several(name, (int(other), number))
        told: dict[str, Any] = differences(*pair)
        return self._pages.render(
            request, "model_diff.html", title=f"{name}/{number} against {name}/{other}", here="models", name=name,
            first=int(other), second=number, told=told,
        )  # fmt: skip

    async def history(self, request: Request) -> Response:
        """Answer with what held at a decision point at a moment, and the changes up to then."""
        query = query_of(request, point=POINT, at=AT)
        point, at = query.get("point") or None, query.get("at") or None
        now_ms = self._app.clock.now_ms()
        at_ms = moment_of(at, now_ms, "at") if at else now_ms
        held, changes = None, []
        if point is not None:
            permit(request, READ, point)
            held = await held_at(self._app.store, point, at_ms)
            changes = await changes_until(self._app.store, point, at_ms, PAGE_COUNT)
        return self._pages.render(
            request, "history.html", title="What was live when", here="models", point=point, held=held,
            at_ms=at_ms if at else None, most=PAGE_COUNT, sees_models=grants_of(request).may(READ, EVERYWHERE),
            settings=None if held is None or held.settings is None else orjson.loads(held.settings.content),
            changes=[(row, [Stood(**one) for one in orjson.loads(row.standing)]) for row in changes],
            points=sorted(one for one in self._app.definitions.points if grants_of(request).may(READ, one)), tone=tone,
        )  # fmt: skip

    def _version(self, request: Request) -> tuple[str, int]:
        name, number = request.path_params["name"], request.path_params["number"]
        if not NAME.fullmatch(name) or not NUMBER.fullmatch(number):
            raise NotFound(f"there is no model version {name[:63]!r}/{number[:20]!r}")
        return name, int(number)
