"""Cases as pages: find one, see what it did when, cancel it, send it on."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from opsrail.cases.office import REASON_CHARACTERS, case_record
from opsrail.clock import epoch_ms, rfc3339
from opsrail.errors import Fault, InvalidInput
from opsrail.values.cases import FINAL_STATES, CaseState
from opsrail.values.reviews import ReviewState
from opsrail.web.answers import ulid_of
from opsrail.web.console.case_search import FIELDS, Found, Search, found, search_of
from opsrail.web.console.forms import form_of, see_other
from opsrail.web.console.pages import Pages, form, page
from opsrail.web.console.timeline import timeline_of
from opsrail.web.door import Door, Operation, actor_of, grants_of, permit, scopes_of
from opsrail.web.problems import fault_record
from opsrail.web.reading import CURSOR, query_of

PATH = "/console/cases"
ONE = f"{PATH}/{{case_id}}"
UNRULED = (ReviewState.OPEN, ReviewState.CLAIMED)
ANYTHING = re.compile(r"[\s\S]{0,1000}")
STATE_TONES = {
    CaseState.READY: "",
    CaseState.RUNNING: "accent",
    CaseState.WAITING: "warn",
    CaseState.SETTLED: "good",
    CaseState.SET_ASIDE: "bad",
    CaseState.CANCELLED: "",
    CaseState.PRUNING: "",
}
LINE_TONES = {
    "failed": "bad", "dead": "bad", "degraded": "warn", "open": "warn", "claimed": "accent", "due": "accent",
    "sent": "good", "ruled": "good", "ok": "good", "asleep": "accent",
}  # fmt: skip


class CasePages:
    """Serves `/console/cases`."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._pages = pages

    def operations(self) -> list[Operation]:
        """Return what is served."""
        return [
            page(PATH, "console_cases", self.list, "cases.read"),
            page(ONE, "console_case", self.show, "cases.read"),
            form(f"{ONE}/cancel", "console_cancel_case", self.cancel, "cases.change"),
            form(f"{ONE}/retry", "console_retry_case", self.retry, "cases.change"),
        ]

    async def list(self, request: Request) -> Response:
        """Answer with cases, newest first; one that is asked for by its id with its own page."""
        query = query_of(request, **dict.fromkeys(FIELDS, ANYTHING), after=CURSOR)
        given = {name: query[name] for name in FIELDS if query.get(name)}
        faults: list[dict[str, str]] = []
        result = Found((), None, None)
        try:
            search = search_of(query)
            if search.case_id is not None:
                return see_other(f"{PATH}/{search.case_id}")
            result = await self._found(request, search, query.get("after"))
        except InvalidInput as wrong:
            faults = [fault_record(fault) for fault in wrong.faults]
        following = {**given, "after": result.after} if result.after else None
        return self._pages.render(
            request,
            "cases.html",
            title="Cases",
            here="cases",
            status=422 if faults else 200,
            found=result,
            reasons={row.id: case_record(row, names_only=True)["reason"] for row in result.rows},
            wish={name: _shown(name, query.get(name, "")) for name in FIELDS},
            is_asked=bool(given),
            faults=faults,
            following=None if following is None else f"{PATH}?{urlencode(following)}",
            first=f"{PATH}?{urlencode(given)}" if query.get("after") else "",
            automations=sorted(self._door.app.definitions.automations),
            states=[str(state) for state in CaseState],
            tones=STATE_TONES,
        )

    async def _found(self, request: Request, search: Search, after: str | None) -> Found:
        scopes = scopes_of(request, "cases.read")
        if search.automation is not None:
            permit(request, "cases.read", search.automation)
        return await found(self._door.app.store, search, scopes, after)

    async def show(self, request: Request) -> Response:
        """Answer with a case's timeline."""
        query_of(request)
        view = await self._door.office.view(ulid_of(request, "case"))
        permit(request, "cases.read", view.case.automation)
        case = view.case
        grants = grants_of(request)
        may_change = grants.may("cases.change", case.automation)

        is_to_say = any(
            review.blind and review.state in UNRULED and review.assignee == actor_of(request)
            for review in view.reviews
        )

        def shows(point: str) -> bool:
            may = (grants.may("decisions.read", scope) for scope in (point, case.automation))
            return not is_to_say and any(may)

        record = view.record(names_only=True)
        return self._pages.render(
            request,
            "case.html",
            title=f"Case {case.id}",
            here="cases",
            case=case,
            input=record["input"],
            outcome=record["outcome"],
            reason=record["reason"],
            timeline=timeline_of(view, self._door.app.clock.now_ms(), shows),
            tones=STATE_TONES,
            line_tones=LINE_TONES,
            may_cancel=may_change and case.state not in (*FINAL_STATES, CaseState.PRUNING),
            may_retry=may_change and case.state == CaseState.SET_ASIDE,
            most_characters=REASON_CHARACTERS,
        )

    async def cancel(self, request: Request) -> Response:
        """End a case for good."""
        case_id, reason = await self._wish(request)
        await self._door.office.cancel(case_id, f"by {actor_of(request)}: {reason}")
        return see_other(f"{PATH}/{case_id}")

    async def retry(self, request: Request) -> Response:
        """Send a case on that was set aside."""
        case_id, reason = await self._wish(request)
        await self._door.office.retry(case_id, by=actor_of(request), reason=reason)
        return see_other(f"{PATH}/{case_id}")

    async def _wish(self, request: Request) -> tuple[str, str]:
        """Return whose form it is, and the reason that it gives.

        Raises:
            InvalidInput: it gives none, or too long a one. Terminal: nothing was done.
        """
        query_of(request)
        case_id = ulid_of(request, "case")
        given = await form_of(request, self._door)
        permit(request, "cases.change", (await self._door.office.get(case_id)).automation)
        reason = given.get("reason", "").strip()
        if not 1 <= len(reason) <= REASON_CHARACTERS - 200:
            fault = Fault("reason", f"say why, in 1 to {REASON_CHARACTERS - 200:,} characters")
            raise InvalidInput(f"nothing was done to case {case_id}", [fault])
        return case_id, reason


def _shown(name: str, text: str) -> str:
    """Return what stands in a filter's field: a browser's field for date and time takes one way of writing alone."""
    if name not in ("since", "until") or not text:
        return text
    try:
        return rfc3339(epoch_ms(text, name))[:16]
    except (InvalidInput, ValueError, OverflowError):
        return ""
