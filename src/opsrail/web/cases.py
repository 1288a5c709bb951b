"""Cases over HTTP: let one in, look, cancel, send on; and the actions they sent."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from opsrail.cases.definition import NAME, Automation
from opsrail.cases.intake import Submission
from opsrail.cases.office import REASON_CHARACTERS, at_rest, case_record
from opsrail.errors import NotFound
from opsrail.telemetry import CORRELATION
from opsrail.values.cases import CaseState, OutboxState
from opsrail.web import answers
from opsrail.web.door import (
    CASE_ID,
    LIMIT_PARAMETER,
    Answer,
    Door,
    Operation,
    Parameter,
    actor_of,
    answer,
    grants_of,
    id_parameter,
    permit,
    scopes_of,
)
from opsrail.web.idempotency import REPEAT_HEADER, REPEATED, idempotency_parameter
from opsrail.web.paging import after_parameter, choice, next_page, paged
from opsrail.web.reading import (
    LONGEST_WAIT_S,
    SAYS_SOMETHING,
    body_of,
    idempotency_key,
    model_of,
    page_of,
    query_of,
    wait_s,
)

SOURCE = "http"
STATE = re.compile("|".join(CaseState))
ACTION_STATE = re.compile("|".join(OutboxState))
BY_ID = (id_parameter("case_id", CASE_ID, "Id of a case: a ULID."),)
LED_TO = {
    **{name: {"case_id": "$response.body#/id"} for name in ("case", "cancel_case", "retry_case")},
    "proof": {"subject_id": "$response.body#/id"},
}
PREFER = Parameter(
    "Prefer",
    "header",
    {"type": "string"},
    f"`wait=N`: answer 200 with the outcome if the case settles within N seconds; at most {LONGEST_WAIT_S} (RFC 7240).",
)


told = partial(case_record, names_only=True)
"""A case as callers see it: of a document its name, not where it lies."""


class Cancellation(BaseModel):
    """Why a case is ended for good."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[
        str, StringConstraints(min_length=1, max_length=REASON_CHARACTERS, pattern=SAYS_SOMETHING)
    ]


class Cases:
    """Serves `/v1/cases` and `/v1/actions`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def operations(self) -> list[Operation]:
        """Return what is served: one path an automation, the cases by id, the lists."""
        automations = self._door.app.definitions.automations.values()
        which = (
            choice("automation", NAME),
            choice("state", STATE),
            LIMIT_PARAMETER,
            after_parameter("id"),
        )
        listed = Answer("Cases, newest first.", answers.Cases)
        actions = Answer("Actions, newest case first.", answers.Actions)
        return [
            Operation("GET", "/v1/cases", "cases", "List cases.", self.list, {200: listed}, parameters=which,
                permission="cases.read"),
            *(self._acceptance(automation) for automation in automations),
            *self._by_id("/v1/cases/{case_id}"),
            Operation(
                "GET", "/v1/actions", "actions", "List actions.", self.actions, {200: actions},
                parameters=(choice("state", ACTION_STATE), LIMIT_PARAMETER, after_parameter("key")),
                permission="actions.read",
            ),
        ]  # fmt: skip

    def _by_id(self, one: str) -> list[Operation]:
        view = {200: Answer("The case, whole.", answers.CaseView)}
        ended = {200: Answer("The case; `running` if it has to be stopped first.", answers.Case)}
        ready = {200: Answer("The case, ready to go on.", answers.Case)}
        return [
            Operation("GET", one, "case", "Show a case.", self.show, view, parameters=BY_ID, errors=(404,),
                permission="cases.read"),
            Operation("POST", one, "accept", "Ask an unknown automation.", self.refuse, is_told=False,
                permission="cases.submit"),
            Operation(
                "POST", f"{one}/cancel", "cancel_case", "End a case for good.", self.cancel, ended,
                body=Cancellation, parameters=BY_ID, errors=(404, 409), permission="cases.change",
            ),
            Operation(
                "POST", f"{one}/retry", "retry_case", "Send a case that was set aside on.", self.retry, ready,
                parameters=BY_ID, errors=(404, 409), permission="cases.change",
            ),
        ]  # fmt: skip

    def _acceptance(self, automation: Automation[Any, Any]) -> Operation:
        headers = ("Location", "Preference-Applied", REPEAT_HEADER)
        done = Answer("It settled in time.", answers.Case, headers, LED_TO)
        taken = Answer("The case is durable and will be carried.", answers.Case, headers, LED_TO)
        name = automation.name
        return Operation(
            "POST",
            f"/v1/cases/{name}",
            f"accept_{name.replace('-', '_')}",
            f"Let a case of {name} in.",
            self._intake_of(automation),
            {200: done, 202: taken},
            body=automation.case,
            parameters=(idempotency_parameter(None), PREFER),
            permission="cases.submit",
        )

    def _intake_of(self, automation: Automation[Any, Any]) -> Any:
        async def accept(request: Request) -> Response:
            query_of(request)
            permit(request, "cases.submit", automation.name)
            key, wish_s, app = idempotency_key(request), wait_s(request), self._door.app
            given: BaseModel = model_of(
                automation.case, await body_of(request, self._door.body_bytes)
            )
            submission = Submission(
                automation.name, given, SOURCE, key, CORRELATION.get(), caller=actor_of(request)
            )
            row, is_new = await app.intake.accept(submission)
            headers = {"location": f"/v1/cases/{row.id}", **({} if is_new else REPEATED)}
            if wish_s:
                row = await at_rest(
                    self._door.office,
                    app.runner,
                    row,
                    is_new=is_new,
                    wait_s=wish_s,
                    is_closing=self._door.is_closing,
                )
                headers["preference-applied"] = f"wait={wish_s}"
            is_done = bool(wish_s) and row.state == CaseState.SETTLED
            return answer(told(row), 200 if is_done else 202, headers)

        return accept

    async def list(self, request: Request) -> Response:
        """Answer with cases, newest first, a page at a time."""
        query, page = page_of(request, automation=NAME, state=STATE)
        state = CaseState(query["state"]) if "state" in query else None
        rows = await self._door.office.list(
            automation=query.get("automation"),
            state=state,
            limit=page.limit + 1,
            after=page.after,
            scopes=scopes_of(request, "cases.read"),
        )
        return paged(request, "cases", rows, page, told)

    async def show(self, request: Request) -> Response:
        """Answer with a case, its journal, reviews, actions, and those decisions that who asks may read.

        Who only reviews may not: they would know what the machine said before they said what they think.
        """
        query_of(request)
        view, may = (
            await self._door.office.view(answers.ulid_of(request, "case")),
            grants_of(request).may,
        )
        automation = view.case.automation
        permit(request, "cases.read", automation)
        may_all = may("decisions.read", automation)
        seen = tuple(row for row in view.decisions if may_all or may("decisions.read", row.point))
        return answer(replace(view, decisions=seen).record(hides=not may_all, names_only=True))

    async def cancel(self, request: Request) -> Response:
        """End a case."""
        query_of(request)
        await self._permit_change(request)
        wish = model_of(Cancellation, await body_of(request, self._door.body_bytes))
        return answer(
            told(await self._door.office.cancel(answers.ulid_of(request, "case"), wish.reason))
        )

    async def retry(self, request: Request) -> Response:
        """Send a case on that was set aside."""
        query_of(request)
        await self._permit_change(request)
        return answer(
            told(
                await self._door.office.retry(
                    answers.ulid_of(request, "case"), by=actor_of(request)
                )
            )
        )

    async def actions(self, request: Request) -> Response:
        """Answer with actions, a page at a time."""
        query, page = page_of(request, state=ACTION_STATE)
        rows = await self._door.office.actions(
            state=query.get("state"),
            limit=page.limit + 1,
            after=page.after,
            scopes=scopes_of(request, "actions.read"),
        )
        shown = rows[: page.limit]
        records = await self._door.office.told_actions(shown)
        return answer({"actions": records, "next": next_page(request, rows, shown, "key")})

    async def _permit_change(self, request: Request) -> None:
        """Check that who asks may change the case. Raises Denied, NotFound."""
        if scopes_of(request, "cases.change") is not None:
            row = await self._door.office.get(answers.ulid_of(request, "case"))
            permit(request, "cases.change", row.automation)

    async def refuse(self, request: Request) -> Response:
        """Refuse an automation that the file does not define."""
        name = request.path_params["case_id"]
        if answers.is_ulid(name):
            raise HTTPException(405, headers={"allow": "GET, HEAD"})
        known = ", ".join(self._door.app.definitions.automations) or "none"
        raise NotFound(f"no automation {name[:63]!r} here; there are: {known}")
