"""Pages of changes: what shall alter live behaviour, why, and who agrees."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from opsrail.registry import change
from opsrail.registry.change import ChangeEvent
from opsrail.registry.change_reading import ChangeView
from opsrail.values.changes import ChangeRow, ChangeState
from opsrail.values.rows import equals
from opsrail.web.answers import ulid_of
from opsrail.web.console.deeds import is_named, who, why
from opsrail.web.console.forms import form_of, see_other
from opsrail.web.console.listing import bounds, listed, newest
from opsrail.web.console.pages import Pages, form, page
from opsrail.web.console.tones import tone
from opsrail.web.door import Door, Operation, grants_of, permit
from opsrail.web.reading import CURSOR, query_of

READ = "changes.read"
ONE = "/console/changes/{change_id}"
POINT = re.compile(r"[\x20-\x7e]{0,100}")
STATE = re.compile("|".join(("", *ChangeState)))


class Verb(NamedTuple):
    """Something people may do with a change.

    Attributes:
        permission: Who does it must have it at the change's point.
        event: What it is to the change; one that the table does not allow is not offered.
        needs_reason: Whether it asks why.
    """

    name: str
    title: str
    permission: str
    event: ChangeEvent
    needs_reason: bool
    tone: str = ""


VERBS = (
    Verb("approve", "Approve", "changes.approve", ChangeEvent.APPROVE, False, "good"),
    Verb("reject", "Reject", "changes.approve", ChangeEvent.REJECT, True, "bad"),
    Verb("apply", "Apply", "changes.apply", ChangeEvent.APPLY, False),
    Verb("withdraw", "Withdraw", "changes.plan", ChangeEvent.WITHDRAW, True),
    Verb("rollback", "Roll back", "changes.apply", ChangeEvent.ROLL_BACK, True, "bad"),
)


class ChangePages:
    """Serves `/console/changes`."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._app = door.app
        self._pages = pages

    def operations(self) -> list[Operation]:
        """Return what is served."""
        return [
            page("/console/changes", "console_changes", self.list, READ),
            page(ONE, "console_change", self.show, READ),
            *(
                form(f"{ONE}/{verb.name}", f"console_{verb.name}_change", self._doing(verb), verb.permission)
                for verb in VERBS
            ),
        ]  # fmt: skip

    async def list(self, request: Request) -> Response:
        """Answer with changes, newest first."""
        query = query_of(request, point=POINT, state=STATE, after=CURSOR)
        of_state = equals(state=query["state"]) if query.get("state") else ()
        where = [*bounds(request, query, READ), *of_state]
        rows = await newest(self._app.store, ChangeRow, where)
        return self._pages.render(
            request, "changes.html", title="Changes", here="changes", tone=tone, states=list(ChangeState),
            query={name: query.get(name, "") for name in ("point", "state")}, **listed(request, query, rows),
        )  # fmt: skip

    async def show(self, request: Request) -> Response:
        """Answer with a change: what it does, whom it touches, who agreed, and what may be done with it."""
        query_of(request)
        view = await self._view(request)
        permit(request, READ, view.row.point)
        return self._pages.render(
            request, "change.html", title=f"Change {view.row.id} of {view.row.point}", here="changes", view=view,
            row=view.row, tone=tone, needs_name=not is_named(request), has_rollout=bool(view.plan["to"].get("steps")),
            verbs=[verb for verb in VERBS if _fits(view, verb) and grants_of(request).may(verb.permission, view.row.point)],
        )  # fmt: skip

    def _doing(self, verb: Verb) -> Callable[[Request], Awaitable[Response]]:
        async def do(request: Request) -> Response:
            wish = await form_of(request, self._door)
            view = await self._view(request)
            permit(request, verb.permission, view.row.point)
            await self._do(verb, view.row.id, who(request, wish), why(wish))
            return see_other(f"/console/changes/{view.row.id}")

        return do

    async def _do(self, verb: Verb, change_id: str, by: str, reason: str) -> None:
        changes = self._app.changes
        if verb.name == "apply":
            await changes.apply(change_id, by=by)
            return
        deeds: dict[str, Callable[..., Awaitable[Any]]] = {
            "approve": changes.approve,
            "reject": changes.reject,
            "withdraw": changes.withdraw,
            "rollback": changes.rollback,
        }
        await deeds[verb.name](change_id, by=by, reason=reason)

    async def _view(self, request: Request) -> ChangeView:
        return await self._app.changes.get(ulid_of(request, "change"))


def _fits(view: ChangeView, verb: Verb) -> bool:
    """Return whether a change may be moved so from where it stands."""
    return (view.standing.state, verb.event) in change.TRANSITIONS
