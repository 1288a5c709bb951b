"""Changes over HTTP: planned, looked at, approved, applied, rolled back."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from opsrail.errors import Fault, InvalidInput
from opsrail.registry.change_reading import ChangeView, change_record
from opsrail.registry.wishes import KINDS, POINT, REASON_CHARACTERS, asked_version
from opsrail.values.changes import ChangeState
from opsrail.values.decisions import Impact
from opsrail.values.guards import guard_of
from opsrail.web.answers import Moment, Shape, ulid_of
from opsrail.web.change_bodies import Person, Plan, PromoteWish, Why
from opsrail.web.contradictions import contradictions, known_point
from opsrail.web.door import (
    CASE_ID,
    LIMIT_PARAMETER,
    Answer,
    Door,
    Operation,
    answer,
    by_of,
    id_parameter,
    permit,
    scopes_of,
)
from opsrail.web.paging import after_parameter, choice, paged
from opsrail.web.reading import KEPT, body_of, model_of, page_of, query_of

STATE = re.compile("|".join(ChangeState))
BY_ID = (id_parameter("change_id", CASE_ID, "Id of a change: a ULID."),)


class Change(Shape):
    """A proposal to alter what a decision point does. Moments are RFC 3339, UTC."""

    id: str
    point: str
    kind: str
    state: ChangeState
    tier: Impact
    author: str
    reason: str
    base_revision: int
    created_at: Moment
    applied_by: str | None
    applied_at: Moment | None
    ended_by: str | None
    ended_at: Moment | None
    why: str | None


class WholeChange(Change):
    """A change with its plan, what people said to it, and all of it in sentences."""

    from_: Annotated[dict[str, Any], Field(alias="from")]
    to: dict[str, Any]
    affected: dict[str, Any]
    risks: list[str]
    needs: dict[str, Any]
    backtest: dict[str, Any] | None
    approvals: list[dict[str, Any]]
    missing: int
    explained: list[str]


class Changes(Shape):
    """A page of changes; `next` leads to the next one."""

    changes: list[Change]
    next: str | None


class Word(BaseModel):
    """Who acts, and why."""

    model_config = ConfigDict(extra="forbid")
    by: Person | None = None
    reason: Why


class Approval(BaseModel):
    """Who agrees."""

    model_config = ConfigDict(extra="forbid")
    by: Person | None = None
    reason: Annotated[str, StringConstraints(max_length=REASON_CHARACTERS, pattern=KEPT)] = ""


class Application(BaseModel):
    """Who lets a change take hold."""

    model_config = ConfigDict(extra="forbid")
    by: Person | None = None


class RollBack(Word):
    """Who takes a change back, and why; `over`: the point's revision up to which later changes may be undone with it."""

    over: Annotated[int, Field(ge=1, lt=2**53)] | None = None


class ChangesDoor:
    """Serves `/v1/changes`."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._changes = door.app.changes

    def operations(self) -> list[Operation]:
        """Return what is served."""
        verbs = ("change", "approve_change", "reject_change", "withdraw_change", "apply_change")
        led_to = {verb: {"change_id": "$response.body#/id"} for verb in verbs}
        of_list = {"change": {"change_id": "$response.body#/changes/0/id"}}
        planned = {201: Answer("The plan, kept.", WholeChange, ("Location",), led_to)}
        planned[200] = Answer("The plan of a dry run, not kept.", WholeChange)
        listed = {200: Answer("Changes, newest first.", Changes, (), of_list)}
        shown = {200: Answer("The change, whole.", WholeChange)}
        which = (
            choice("point", POINT),
            choice("state", STATE),
            LIMIT_PARAMETER,
            after_parameter("id"),
        )
        one = "/v1/changes/{change_id}"
        return [
            Operation("GET", "/v1/changes", "changes", "List changes.", self.list, listed, parameters=which,
                permission="changes.read"),
            Operation(
                "POST", "/v1/changes", "plan_change", "Plan a change; nothing is altered.", self.plan, planned,
                body=Plan, errors=(404, 409), permission="changes.plan",
            ),
            Operation("GET", one, "change", "Show a change.", self.show, shown, parameters=BY_ID, errors=(404,),
                permission="changes.read"),
            self._move("approve", "Agree to a change.", Approval, self._approve, "approve"),
            self._move("reject", "Refuse a change.", Word, self._reject, "approve"),
            self._move("withdraw", "Take a change back that is not applied.", Word, self._withdraw, "plan"),
            self._move("apply", "Let an approved change take hold.", Application, self._apply, "apply"),
            self._move("rollback", "Restore what stood before a change.", RollBack, self._rollback, "apply"),
        ]  # fmt: skip

    def _move(
        self,
        verb: str,
        summary: str,
        body: type[BaseModel],
        act: Callable[[str, Any], Awaitable[ChangeView]],
        right: str,
    ) -> Operation:
        async def run(request: Request) -> Response:
            query_of(request)
            wish = model_of(body, await body_of(request, self._door.body_bytes))
            change_id, needed = ulid_of(request, "change"), f"changes.{right}"
            if scopes_of(request, needed) is not None:
                permit(request, needed, (await self._changes.get(change_id)).row.point)
            by = by_of(request, getattr(wish, "by", None))
            return answer((await act(change_id, wish.model_copy(update={"by": by}))).record())

        shown = {200: Answer("The change as it stands now.", WholeChange)}
        return Operation(
            "POST",
            f"/v1/changes/{{change_id}}/{verb}",
            f"{verb}_change",
            summary,
            run,
            shown,
            body=body,
            parameters=BY_ID,
            errors=(404, 409),
            permission=f"changes.{right}",
        )

    async def list(self, request: Request) -> Response:
        """Answer with changes."""
        query, page = page_of(request, point=POINT, state=STATE)
        rows = await self._changes.list(
            point=query.get("point"),
            state=query.get("state"),
            limit=page.limit + 1,
            after=page.after,
            scopes=scopes_of(request, "changes.read"),
        )
        return paged(request, "changes", rows, page, change_record)

    async def plan(self, request: Request) -> Response:
        """Plan a change."""
        query_of(request)
        wish = _plan_in(await body_of(request, self._door.body_bytes)).root
        permit(request, "changes.plan", wish.point)
        by = by_of(request, wish.by)
        await known_point(self._door.app, wish.point)
        content = wish.content.model_dump(mode="json", exclude_unset=True, exclude={"guard"})
        if isinstance(wish, PromoteWish):
            await self._door.app.registry.version(*asked_version(content))
            content |= {} if wish.content.guard is None else {"guard": wish.content.guard}
        with contradictions():
            guard_of(content.get("guard") or {})
            view = await self._changes.plan(
                wish.point,
                wish.kind,
                content,
                by=by,
                reason=wish.reason,
                backtest=wish.backtest,
                days=wish.days,
                keeps=not wish.dry_run,
            )
        if wish.dry_run:
            return answer(view.record())
        return answer(view.record(), 201, {"location": f"/v1/changes/{view.row.id}"})

    async def show(self, request: Request) -> Response:
        """Answer with a change."""
        query_of(request)
        view = await self._changes.get(ulid_of(request, "change"))
        permit(request, "changes.read", view.row.point)
        return answer(view.record())

    async def _approve(self, change_id: str, wish: Approval) -> ChangeView:
        return await self._changes.approve(change_id, by=wish.by or "", reason=wish.reason)

    async def _reject(self, change_id: str, wish: Word) -> ChangeView:
        return await self._changes.reject(change_id, by=wish.by or "", reason=wish.reason)

    async def _withdraw(self, change_id: str, wish: Word) -> ChangeView:
        return await self._changes.withdraw(change_id, by=wish.by or "", reason=wish.reason)

    async def _apply(self, change_id: str, wish: Application) -> ChangeView:
        return await self._changes.apply(change_id, by=wish.by or "")

    async def _rollback(self, change_id: str, wish: RollBack) -> ChangeView:
        return await self._changes.rollback(
            change_id, by=wish.by or "", reason=wish.reason, over=wish.over
        )


def _plan_in(body: bytes) -> Plan:
    """Return what a body asks for; places of faults are those of the body, without the kind before them."""
    try:
        return model_of(Plan, body)
    except InvalidInput as wrong:
        kinds = tuple(f"{kind}." for kind in KINDS)
        faults = [
            Fault(one.place.partition(".")[2], one.message) if one.place.startswith(kinds) else one
            for one in wrong.faults
        ]
        raise InvalidInput(wrong.summary, faults) from wrong
