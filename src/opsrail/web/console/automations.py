"""Automations as pages: what they are for, how their cases really ran, what decides in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from opsrail.access.roles import Grants
from opsrail.cases.definition import NAME, Automation
from opsrail.errors import NotFound
from opsrail.values.cases import CaseRow, JournalRow
from opsrail.values.changes import SettingsRow
from opsrail.values.registry import RolloutRow
from opsrail.values.rollouts import GuaranteeRow
from opsrail.values.rows import Where, equals
from opsrail.web.console.automation_view import PointSeen, definitions_of, point_of, states_of
from opsrail.web.console.cases import STATE_TONES
from opsrail.web.console.flow import Event, Flow, flow_of
from opsrail.web.console.flow_picture import picture_of
from opsrail.web.console.objective import standing_of
from opsrail.web.console.pages import Pages, page
from opsrail.web.door import Door, Operation, grants_of, permit, scopes_of
from opsrail.web.reading import query_of

PATH = "/console/automations"
SIZES = ("50", "200", "1000")
USUAL = "200"
"""Cases that a page is drawn from. Ours: 2 queries of 2 ms each, enough for shares within a few percent."""
LATEST = 300
"""Cases that the list looks at, of all automations together."""
MOST_ENTRIES = 20_000
MOST_ROWS = 200


class AutomationPages:
    """Serves `/console/automations`."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._pages = pages

    def operations(self) -> list[Operation]:
        """Return what is served."""
        return [
            page(PATH, "console_automations", self.list, "cases.read"),
            page(f"{PATH}/{{name}}", "console_automation", self.show, "cases.read"),
        ]

    async def list(self, request: Request) -> Response:
        """Answer with every automation of this process, and how its latest cases fared."""
        query_of(request)
        scopes = scopes_of(request, "cases.read")
        rows = await self._door.app.store.select(
            CaseRow, order=("id",), descending=True, limit=LATEST
        )
        listed = []
        for name, automation in sorted(self._door.app.definitions.automations.items()):
            if scopes is None or name in scopes:
                own = [row for row in rows if row.automation == name]
                listed.append((automation, states_of(own), own[0].accepted_at_ms if own else None))
        return self._pages.render(
            request,
            "automations.html",
            title="Automations",
            here="automations",
            listed=listed,
            latest=LATEST,
            tones=STATE_TONES,
        )

    async def show(self, request: Request) -> Response:
        """Answer with one automation."""
        query = query_of(request, cases=re.compile("|".join(SIZES)))
        automation = self._automation(request)
        permit(request, "cases.read", automation.name)
        size = query.get("cases", USUAL)
        cases = await self._door.app.store.select(
            CaseRow,
            *equals(automation=automation.name),
            order=("id",),
            descending=True,
            limit=int(size),
        )
        flow = flow_of(cases, await self._events(cases))
        objective = automation.objective
        return self._pages.render(
            request,
            "automation.html",
            title=automation.name,
            here="automations",
            automation=automation,
            objective=objective,
            standing=None if objective is None else standing_of(objective, cases),
            cases=cases,
            states=states_of(cases),
            flow=flow,
            picture=picture_of(flow),
            names={node.id: node for node in flow.nodes},
            points=await self._points(flow, grants_of(request)),
            queues=[node for node in flow.nodes if node.kind == "review"],
            definitions=definitions_of(automation, cases),
            sizes=SIZES,
            size=size,
            tones=STATE_TONES,
        )

    def _automation(self, request: Request) -> Automation[Any, Any]:
        name = request.path_params["name"]
        known = self._door.app.definitions.automations
        if not NAME.fullmatch(name) or name not in known:
            raise NotFound(
                f"no automation {name[:63]!r} here; there are: {', '.join(known) or 'none'}"
            )
        return known[name]

    async def _events(self, cases: Sequence[CaseRow]) -> Sequence[Event]:
        if not cases:
            return []
        ids = tuple(row.id for row in cases)
        names = ("case_id", "seq", "kind", "name", "at_ms")
        columns = await self._door.app.store.columns(
            JournalRow, names, Where("case_id", "in", ids), limit=MOST_ENTRIES
        )
        return [Event(*values) for values in zip(*columns, strict=True)]

    async def _points(self, flow: Flow, grants: Grants) -> tuple[PointSeen, ...]:
        """Return the points that the cases asked; of an automation without cases all that the files define.

        What stands at a point is left out where who asks may not read it there.
        """
        known = self._door.app.definitions.points
        names = [node.name for node in flow.nodes if node.kind == "decide"] or sorted(known)
        if not names:
            return ()
        store = self._door.app.store
        of_models = _among(names, grants, "models.read")
        of_changes = _among(names, grants, "changes.read")
        rollouts = await store.select(RolloutRow, of_models, limit=MOST_ROWS)
        settings = await store.select(SettingsRow, of_changes, limit=MOST_ROWS)
        guarantees = await store.select(
            GuaranteeRow,
            of_changes,
            Where("ended_at_ms", "null", True),
            descending=True,
            limit=MOST_ROWS,
        )
        return tuple(
            point_of(name, known.get(name), rollouts, settings, guarantees)._replace(
                is_open=grants.may("models.read", name) and grants.may("changes.read", name)
            )
            for name in names
        )


def _among(names: Sequence[str], grants: Grants, permission: str) -> Where:
    """Return what keeps rows to those of points where somebody may read them."""
    return Where("point", "in", tuple(name for name in names if grants.may(permission, name)))
