"""Rollouts, alarms and guarantees over HTTP: where versions on their way to live stand, and what people do about them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from opsrail.errors import NotFound
from opsrail.registry.description import NAME
from opsrail.values.guards import LONGEST_HOLD_S, MOST_STEPS, StepPlan, guard_of
from opsrail.watch.records import alarm_record, guarantee_record, run_record
from opsrail.watch.rollouts import REASON_CHARACTERS
from opsrail.web.answers import Moment, Shape
from opsrail.web.change_bodies import Guard
from opsrail.web.contradictions import contradictions
from opsrail.web.door import (
    CASE_ID,
    LIMIT_PARAMETER,
    Answer,
    Door,
    Operation,
    Parameter,
    answer,
    by_of,
    id_parameter,
    permit,
    scopes_of,
)
from opsrail.web.reading import LIMIT, PAGE_COUNT, SAYS_SOMETHING, body_of, model_of, query_of
from opsrail.web.reviews import Person

POINT = re.compile(r"[\x20-\x7e]{1,100}")
STATE = re.compile("running|paused|promoted|rolled-back|stopped")
RINGING = re.compile("ringing|closed")
Why = Annotated[
    str,
    StringConstraints(min_length=1, max_length=REASON_CHARACTERS, pattern=SAYS_SOMETHING),
]
OF_POINT = Parameter(
    "point", "query", {"type": "string", "pattern": "^[ -~]{1,100}$"}, "Only of this point."
)
ONE = "/v1/rollouts/{rollout_id}"
BY_ID = (id_parameter("rollout_id", CASE_ID, "Id of a rollout."),)
VERBS = {
    "pause": "Take no step forward; a version that is worse is rolled back all the same.",
    "resume": "Go on after pause.",
    "stop": "End a rollout where it stands.",
    "promote": "Make the version live now; it is watched as after the last step.",
    "rollback": "Let the champion answer all requests again, and end the rollout.",
}


class Step(BaseModel):
    """One step: a share of the requests, and how long it holds at least."""

    model_config = ConfigDict(extra="forbid")
    share: Annotated[float, Field(gt=0, lt=1)]
    hold_s: Annotated[float, Field(ge=0, le=LONGEST_HOLD_S)]


class Beginning(BaseModel):
    """Which version is to go live at which point, in which steps, judged by what."""

    model_config = ConfigDict(extra="forbid")
    point: Annotated[str, StringConstraints(pattern="^[ -~]{1,100}$")]
    name: Annotated[str, StringConstraints(pattern=f"^{NAME.pattern}$")]
    number: Annotated[int, Field(ge=1, le=999_999_999)]
    steps: Annotated[list[Step], Field(min_length=1, max_length=MOST_STEPS)]
    guard: Guard | None = None
    by: Person | None = None
    reason: Why
    revision: Annotated[int, Field(ge=0, le=2**53 - 1)] | None = None


class Deed(BaseModel):
    """Who does something, and why."""

    model_config = ConfigDict(extra="forbid")
    by: Person | None = None
    reason: Why


class Rollout(Shape):
    """A rollout; `readings` tell each test's evidence against what it needs. `fault`: its guard cannot be read."""

    id: str
    point: str
    state: str
    candidate: str
    champion: str | None
    step: int
    why: str | None
    started_at: Moment
    entered_at: Moment
    ended_at: Moment | None


class RolloutList(Shape):
    """Rollouts, newest first."""

    rollouts: list[Rollout]


class Alarm(Shape):
    """Something that a person should look at; it rings while `ended_at` is null."""

    id: str
    point: str
    kind: str
    subject: str
    text: str
    figures: dict[str, Any]
    at: Moment
    ended_at: Moment | None
    ended_by: str | None


class AlarmList(Shape):
    """Alarms, newest first."""

    alarms: list[Alarm]


class GuaranteeShape(Shape):
    """A guarantee, and what labels have said of it."""

    id: str
    point: str
    made_at: Moment
    broken_at: Moment | None
    ended_at: Moment | None


class GuaranteeList(Shape):
    """Guarantees that stand, newest first."""

    guarantees: list[GuaranteeShape]


class WatchDoor:
    """Serves `/v1/rollouts`, `/v1/alarms` and `/v1/guarantees`."""

    def __init__(self, door: Door) -> None:
        app = door.app
        self._door = door
        self._registry = app.registry
        self._rollouts = app.rollouts
        self._alarms = app.alarms
        self._guarantees = app.guarantees

    def operations(self) -> list[Operation]:
        """Return what is served."""
        return [*self._of_rollouts(), *self._of_people(), *self._of_alarms()]

    def _of_rollouts(self) -> list[Operation]:
        states = {"type": "string", "enum": STATE.pattern.split("|")}
        state = Parameter("state", "query", states, "Only in this state.")
        shown = {200: Answer("The rollout as it stands now.", Rollout)}
        begun = {201: Answer("The rollout as it began.", Rollout, headers=("Location",))}
        listed = {200: Answer("Rollouts, newest first.", RolloutList)}
        return [
            Operation(
                "GET", "/v1/rollouts", "rollouts", "List rollouts.", self.list, listed,
                parameters=(OF_POINT, state, LIMIT_PARAMETER), permission="changes.read",
            ),
            Operation(
                "POST", "/v1/rollouts", "begin_rollout", "Begin a rollout in steps.", self.begin, begun,
                body=Beginning, errors=(404, 409), permission="rollouts.change",
            ),
            Operation(
                "GET", ONE, "rollout", "Show a rollout.", self.show, shown, parameters=BY_ID, errors=(404,),
                permission="changes.read",
            ),
        ]  # fmt: skip

    def _of_people(self) -> list[Operation]:
        shown = {200: Answer("The rollout as it stands now.", Rollout)}
        return [
            Operation(
                "POST", f"{ONE}/{verb}", f"{verb}_rollout", summary, self._changing(verb), shown,
                body=Deed, parameters=BY_ID, errors=(404, 409), permission="rollouts.change",
            )
            for verb, summary in VERBS.items()
        ]  # fmt: skip

    def _of_alarms(self) -> list[Operation]:
        states = {"type": "string", "enum": RINGING.pattern.split("|")}
        rings = Parameter("state", "query", states, "Only such alarms.")
        by_alarm = (id_parameter("alarm_id", CASE_ID, "Id of an alarm."),)
        closed = {200: Answer("The alarm, closed.", Alarm)}
        rung = {200: Answer("Alarms, newest first.", AlarmList)}
        stand = {200: Answer("Guarantees, newest first.", GuaranteeList)}
        return [
            Operation(
                "GET", "/v1/alarms", "alarms", "List alarms.", self.alarms, rung,
                parameters=(OF_POINT, rings, LIMIT_PARAMETER), permission="health.read",
            ),
            Operation(
                "POST", "/v1/alarms/{alarm_id}/close", "close_alarm", "Close an alarm.", self.close, closed,
                body=Deed, parameters=by_alarm, errors=(404, 409), permission="alarms.change",
            ),
            Operation(
                "GET", "/v1/guarantees", "guarantees", "List guarantees that stand.", self.guarantees, stand,
                parameters=(OF_POINT,), permission="changes.read",
            ),
        ]  # fmt: skip

    async def list(self, request: Request) -> Response:
        """Answer with rollouts."""
        query = query_of(request, point=POINT, state=STATE, limit=LIMIT)
        limit = int(query.get("limit", PAGE_COUNT))
        rows = await self._rollouts.listed(
            point=query.get("point"),
            state=query.get("state"),
            limit=limit,
            scopes=scopes_of(request, "changes.read"),
        )
        return answer({"rollouts": [run_record(row) for row in rows]})

    async def begin(self, request: Request) -> Response:
        """Begin a rollout."""
        query_of(request)
        wish = model_of(Beginning, await body_of(request, self._door.body_bytes))
        permit(request, "rollouts.change", wish.point)
        by = by_of(request, wish.by)
        version = await self._registry.version(wish.name, wish.number)
        steps = [StepPlan(step.share, step.hold_s) for step in wish.steps]
        with contradictions():
            row = await self._rollouts.begin(
                wish.point, version, steps, guard_of(wish.guard or {}), by=by, reason=wish.reason,
                revision=wish.revision,
            )  # fmt: skip
        return answer(run_record(row), 201, {"location": f"/v1/rollouts/{row.id}"})

    async def show(self, request: Request) -> Response:
        """Answer with a rollout."""
        query_of(request)
        row = await self._rollouts.get(_id(request, "rollout"))
        permit(request, "changes.read", row.point)
        return answer(run_record(row))

    def _changing(self, verb: str) -> Callable[[Request], Any]:
        deeds = {
            "pause": self._rollouts.pause,
            "resume": self._rollouts.resume,
            "stop": self._rollouts.stop,
            "promote": self._rollouts.promote,
            "rollback": self._rollouts.roll_back,
        }

        async def change(request: Request) -> Response:
            query_of(request)
            wish = model_of(Deed, await body_of(request, self._door.body_bytes))
            run_id, by = _id(request, "rollout"), by_of(request, wish.by)
            if scopes_of(request, "rollouts.change") is not None:
                permit(request, "rollouts.change", (await self._rollouts.get(run_id)).point)
            row = await deeds[verb](run_id, by=by, reason=wish.reason)
            return answer(run_record(row))

        return change

    async def alarms(self, request: Request) -> Response:
        """Answer with alarms."""
        query = query_of(request, point=POINT, state=RINGING, limit=LIMIT)
        is_ringing = {"ringing": True, "closed": False}.get(query.get("state", ""))
        limit = int(query.get("limit", PAGE_COUNT))
        rows = await self._alarms.listed(
            point=query.get("point"),
            is_ringing=is_ringing,
            limit=limit,
            scopes=scopes_of(request, "health.read"),
        )
        return answer({"alarms": [alarm_record(row) for row in rows]})

    async def close(self, request: Request) -> Response:
        """Close an alarm."""
        query_of(request)
        wish = model_of(Deed, await body_of(request, self._door.body_bytes))
        alarm_id, by = _id(request, "alarm"), by_of(request, wish.by)
        if scopes_of(request, "alarms.change") is not None:
            permit(request, "alarms.change", (await self._alarms.get(alarm_id)).point)
        row = await self._alarms.close(alarm_id, by=by, reason=wish.reason)
        return answer(alarm_record(row))

    async def guarantees(self, request: Request) -> Response:
        """Answer with guarantees."""
        query = query_of(request, point=POINT)
        rows = await self._guarantees.listed(query.get("point"), scopes_of(request, "changes.read"))
        return answer({"guarantees": [guarantee_record(row) for row in rows]})


def _id(request: Request, what: str) -> str:
    found: str = request.path_params[f"{what}_id"]
    if not re.fullmatch(CASE_ID, found):
        raise NotFound(f"no {what} {found[:63]!r}")
    return found
