"""Pages of rollouts and alarms: where versions on their way to live stand, what rang, and what people do about it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from opsrail.errors import NotFound
from opsrail.values.rollouts import UNDER_WAY, AlarmRow, RolloutRunRow, RunState
from opsrail.values.rows import Where, equals
from opsrail.watch.records import alarm_record, run_record
from opsrail.web.answers import ulid_of
from opsrail.web.console import rollout_view as view
from opsrail.web.console.deeds import is_named, who, why
from opsrail.web.console.forms import form_of, see_other
from opsrail.web.console.listing import bounds, listed, newest
from opsrail.web.console.pages import Pages, form, page
from opsrail.web.console.tones import tone
from opsrail.web.door import Door, Operation, grants_of, permit
from opsrail.web.reading import CURSOR, query_of

READ, CHANGE = "models.read", "rollouts.change"
READ_ALARMS, CHANGE_ALARMS = "health.read", "alarms.change"
ONE = "/console/rollouts/{rollout_id}"
POINT = re.compile(r"[\x20-\x7e]{0,100}")
STATE = re.compile("|".join(("", *RunState)))
RINGING = re.compile("(ringing|closed)?")


class Verb(NamedTuple):
    """Something people may do with a rollout; the texts say what comes of it."""

    name: str
    title: str
    means: str
    states: tuple[str, ...]
    tone: str = ""


VERBS = (
    Verb("pause", "Halt", "no step forward until it is resumed; still rolled back if it is worse", (RunState.RUNNING,)),
    Verb("resume", "Resume", "it goes on", (RunState.PAUSED,), "good"),
    Verb("promote", "Promote now", "live at once, watched as after the last step", UNDER_WAY),
    Verb("rollback", "Roll back", "the champion answers all requests again", UNDER_WAY, "bad"),
    Verb("stop", "Stop watching", "versions stay where they are and nobody watches", UNDER_WAY),
)  # fmt: skip


class WatchPages:
    """Serves `/console/rollouts` and `/console/alarms`."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._app = door.app
        self._pages = pages

    def operations(self) -> list[Operation]:
        """Return what is served."""
        return [
            page("/console/rollouts", "console_rollouts", self.list, READ),
            page(ONE, "console_rollout", self.show, READ),
            *(form(f"{ONE}/{one.name}", f"console_{one.name}_rollout", self._doing(one), CHANGE) for one in VERBS),
            page("/console/alarms", "console_alarms", self.alarms, READ_ALARMS),
            form("/console/alarms/{alarm_id}/close", "console_close_alarm", self.close, CHANGE_ALARMS),
        ]  # fmt: skip

    async def list(self, request: Request) -> Response:
        """Answer with rollouts, newest first."""
        query = query_of(request, point=POINT, state=STATE, after=CURSOR)
        of_state = equals(state=query["state"]) if query.get("state") else ()
        where = [*bounds(request, query, READ), *of_state]
        rows = await newest(self._app.store, RolloutRunRow, where)
        return self._pages.render(
            request, "rollouts.html", title="Rollouts", here="rollouts", tone=tone, states=list(RunState),
            query={name: query.get(name, "") for name in ("point", "state")}, **listed(request, query, rows),
        )  # fmt: skip

    async def show(self, request: Request) -> Response:
        """Answer with a rollout: its steps, what the guard reads, and what may be done."""
        query_of(request)
        row = await self._run(request)
        permit(request, READ, row.point)
        told = run_record(row)
        is_read = "fault" not in told
        allowed = grants_of(request).may(CHANGE, row.point)
        verbs = [one for one in VERBS if allowed and row.state in one.states]
        if verbs and not await self._may_go_past(row):
            verbs = [one for one in verbs if one.name != "promote"]
        if verbs and await self._app.rollouts.agreed_tier(row) is not None:
            verbs = [one for one in verbs if one.name != "stop"]
        return self._pages.render(
            request, "rollout.html", title=f"Rollout {row.id} of {told['candidate']}", here="rollouts", row=row, told=told,
            stairs=view.stairs(told) if is_read else [], readings=view.readings(told) if is_read else [], tone=tone,
            verbs=verbs, needs_name=not is_named(request),
        )  # fmt: skip

    def _doing(self, verb: Verb) -> Callable[[Request], Awaitable[Response]]:
        rollouts = self._app.rollouts
        deeds: dict[str, Callable[..., Awaitable[Any]]] = {
            "pause": rollouts.pause,
            "resume": rollouts.resume,
            "promote": rollouts.promote,
            "rollback": rollouts.roll_back,
            "stop": rollouts.stop,
        }

        async def do(request: Request) -> Response:
            wish = await form_of(request, self._door)
            row = await self._run(request)
            permit(request, CHANGE, row.point)
            await deeds[verb.name](row.id, by=who(request, wish), reason=why(wish))
            return see_other(f"/console/rollouts/{row.id}")

        return do

    async def alarms(self, request: Request) -> Response:
        """Answer with alarms, newest first; without a filter those that ring."""
        query = query_of(request, point=POINT, state=RINGING, after=CURSOR)
        state = query.get("state", "ringing")
        of_state = [Where("ended_at_ms", "null", state == "ringing")] if state else []
        where = [*bounds(request, query, READ_ALARMS), *of_state]
        rows = await newest(self._app.store, AlarmRow, where)
        page_shown = listed(request, query, rows)
        may = grants_of(request).may
        page_shown["rows"] = [
            (row, alarm_record(row), may(CHANGE_ALARMS, row.point)) for row in page_shown["rows"]
        ]
        return self._pages.render(
            request, "alarms.html", title="Alarms", here="alarms", tone=tone, needs_name=not is_named(request),
            query={"point": query.get("point", ""), "state": state}, **page_shown,
        )  # fmt: skip

    async def close(self, request: Request) -> Response:
        """End an alarm that somebody has seen to."""
        wish = await form_of(request, self._door)
        alarm_id = ulid_of(request, "alarm")
        row = await self._app.store.get(AlarmRow, alarm_id)
        if row is None:
            raise NotFound(f"there is no alarm {alarm_id}")
        permit(request, CHANGE_ALARMS, row.point)
        await self._app.alarms.close(alarm_id, by=who(request, wish), reason=why(wish))
        return see_other("/console/alarms")

    async def _may_go_past(self, row: RolloutRunRow) -> bool:
        """Return whether one person's word is enough to make a version live past the steps that are left."""
        version = await self._app.registry.version(row.model_name, row.model_number)
        direct = self._app.changes.direct
        return direct.allows(await direct.tier(row.point, version))

    async def _run(self, request: Request) -> RolloutRunRow:
        return await self._app.rollouts.get(ulid_of(request, "rollout"))
