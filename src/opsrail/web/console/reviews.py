"""Pages of queues: how each stands, what waits there, taking the next, ruling on several at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from opsrail.app import App
from opsrail.errors import Fault, InvalidInput, NotFound, OpsrailError
from opsrail.review.desk import MOST_ALIKE
from opsrail.review.machine import standing_of
from opsrail.review.terms import terms_of
from opsrail.review.wording import in_one_line
from opsrail.values.document_names import without_paths
from opsrail.values.reviews import ReviewRow, ReviewState, RulingRow
from opsrail.values.rows import equals
from opsrail.web.console import review_search as search
from opsrail.web.console.forms import form_of, see_other
from opsrail.web.console.pages import Pages, form, page
from opsrail.web.console.review_view import (
    PLAIN_VERDICTS,
    STANDINGS,
    Choice,
    choices_of,
    is_overdue,
    undo_of,
    whereabouts,
)
from opsrail.web.door import REVIEW_ID, Door, Operation, actor_of, grants_of, permit, scopes_of
from opsrail.web.reading import query_of

QUEUE = re.compile(r"[\x20-\x7e]{1,100}")
STATES: Mapping[str, ReviewState] = {
    "waiting": ReviewState.OPEN,
    "held": ReviewState.CLAIMED,
    "asked": ReviewState.ASKED,
    "ruled": ReviewState.RULED,
}
"""What the address of a list says, and the state it shows; each stands in the table's index."""
STATE = re.compile("|".join(STATES))
FLAG = re.compile("1")
COUNT = re.compile(r"\d{1,3}")
ID = re.compile(REVIEW_ID)
PAGE_ROWS = 50
PATH = "/console/reviews"


class ReviewPages:
    """Serves `/console/reviews`."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._pages = pages

    def operations(self) -> list[Operation]:
        """Return what is served."""
        return [
            page(PATH, "console_reviews", self.list, "reviews.read"),
            form(f"{PATH}/next", "console_next_review", self.next, "reviews.rule"),
            form(f"{PATH}/alike", "console_rule_alike", self.alike, "reviews.rule"),
        ]

    async def list(self, request: Request) -> Response:
        """Show how queues stand, or with `queue` what waits in one."""
        query = query_of(
            request, queue=QUEUE, state=STATE, mine=FLAG, after=ID, none=FLAG, last=ID, ruled=COUNT
        )
        if "queue" in query:
            return await self._queue(request, query)
        app, by = self._door.app, actor_of(request)
        now_ms = app.clock.now_ms()
        scopes = scopes_of(request, "reviews.read")
        figures, is_cut = await search.queues(app.store, scopes, (), now_ms)
        held = await search.held_by(app.store, by, scopes, now_ms)
        return self._pages.render(
            request,
            "reviews.html",
            title="Reviews",
            here="reviews",
            queues=figures,
            titles=titles_of(app),
            is_cut=is_cut,
            mine=[(row, STANDINGS[standing_of(row, now_ms)], summary(row)) for row in held],
            **await self._before(request, query, now_ms),
            is_empty="none" in query,
            may_rule=grants_of(request).may_somewhere("reviews.rule"),
            has_quality=grants_of(request).may_somewhere("reviews.manage"),
            now_ms=now_ms,
        )

    async def _queue(
        self,
        request: Request,
        query: Mapping[str, str],
        failed: Mapping[str, str] | None = None,
        status: int = 200,
        reason: str = "",
    ) -> Response:
        """Return the page of one queue.

        Args:
            failed: Review id -> why it was not ruled with the others.
            reason: What was typed for all.
        """
        app, by = self._door.app, actor_of(request)
        now_ms, queue, word = app.clock.now_ms(), query["queue"], query.get("state", "waiting")
        rows = await app.desk.page(
            state=STATES[word],
            queue=queue,
            mine=by if "mine" in query else None,
            automations=scopes_of(request, "reviews.read"),
            after=query.get("after"),
            limit=PAGE_ROWS + 1,
        )
        shown, titles = rows[:PAGE_ROWS], titles_of(app)
        first, following = turns(query, rows)
        return self._pages.render(
            request, "review_queue.html", title=titles.get(queue, queue), here="reviews", status=status, queue=queue,
            titles=titles, state=word, states=tuple(STATES), is_mine="mine" in query, first=first, next=following,
            rows=[line_of(row, by, now_ms) for row in shown], is_empty="none" in query,
            may_rule=grants_of(request).may_somewhere("reviews.rule"), ruled=int(query.get("ruled", "0")),
            failed=failed or {}, reason=reason, choices=self._alike(request, shown), now_ms=now_ms,
            **await self._before(request, query, now_ms),
        )  # fmt: skip

    @staticmethod
    def _alike(request: Request, rows: Sequence[ReviewRow]) -> tuple[Choice, ...]:
        """Return the verdicts that may be ruled on several of these rows at once; empty: none."""
        by, grants = actor_of(request), grants_of(request)
        fit = [
            row for row in rows if may_tick(row, by) and grants.may("reviews.rule", row.automation)
        ]
        if len(fit) < 2:
            return ()
        return choices_of(terms_of(fit[0].terms).verdicts or PLAIN_VERDICTS, None)

    async def _before(
        self, request: Request, query: Mapping[str, str], now_ms: int
    ) -> Mapping[str, Any]:
        """Return what became of the review that was looked at just before, and what of it may be taken back."""
        row = await self._door.app.store.get(ReviewRow, query["last"]) if "last" in query else None
        told = moved_of(row, request, now_ms)
        if row is None or not told["last"]:
            return {**told, "undo": None}
        by = actor_of(request)
        said = await self._door.app.store.select(RulingRow, *equals(review_id=row.id, by=by))
        return {**told, "undo": undo_of(row, said, by, now_ms)}

    async def next(self, request: Request) -> Response:
        """Take the next review that this person may rule on, and show it."""
        wish = await form_of(request, self._door)
        queue, last = wish.get("queue") or None, wish.get("last", "")
        return see_other(await onward(self._door.app, request, queue, last))

    async def alike(self, request: Request) -> Response:
        """Rule alike on the reviews that were ticked."""
        wish = await form_of(request, self._door)
        app = self._door.app
        if not QUEUE.fullmatch(wish.get("queue", "")):
            raise InvalidInput(
                "nothing was ruled", [Fault("queue", "say which queue's page it is")]
            )
        query = queried(wish["queue"], state="waiting")
        reason = wish.get("reason", "").strip()
        ids = [each for each in wish.getlist("id") if ID.fullmatch(each)][: MOST_ALIKE + 1]
        for review_id in ids:
            with suppress(NotFound):  # the desk names all that there are not
                permit(request, "reviews.rule", (await app.desk.get(review_id)).automation)
        if not ids:
            told = {"": "no review was ticked; tick those that you mean"}
            return await self._queue(request, query, told, 422, reason)
        try:
            batch = await app.desk.rule_alike(
                ids, wish.get("verdict", ""), by=actor_of(request), reason=reason
            )
        except InvalidInput as wrong:
            told = _by_review(ids, wrong.faults)
            return await self._queue(request, query, told or {"": str(wrong)}, 422, reason)
        if batch.failed:
            query |= {"ruled": str(len(batch.ruled))}
            told = {review_id: _why(refused) for review_id, refused in batch.failed.items()}
            return await self._queue(request, query, told, 409, reason)
        return see_other(f"{PATH}?{urlencode({**query, 'ruled': len(batch.ruled)})}")


def _by_review(ids: Sequence[str], faults: Sequence[Fault]) -> dict[str, str]:
    """Return what is wrong with reviews that were ticked, by their ids; what is wrong with all of them under none."""
    told: dict[str, str] = {}
    for fault in faults:
        at = fault.place.removeprefix("ids.")
        one = ids[int(at)] if at.isdecimal() else ""
        told[one] = f"{told[one]}; {fault.message}" if one in told else fault.message
    return told


def _why(refused: OpsrailError) -> str:
    """Return why one review of several was not ruled, in a line."""
    faults = refused.faults if isinstance(refused, InvalidInput) else ()
    told = [f"{fault.place}: {fault.message}" if fault.place else fault.message for fault in faults]
    return "; ".join(told) or str(refused)


async def onward(app: App, request: Request, queue: str | None, last: str = "") -> str:
    """Take the next review that a person may rule on; return where it is shown, or where it is said that there is none.

    Args:
        last: Id of the review that they ruled on just now.
    """
    row = await app.desk.next(
        actor_of(request),
        () if queue is None else (queue,),
        automations=scopes_of(request, "reviews.rule"),
    )
    if row is not None:
        return address_of(row.id, queue, last)
    return f"{PATH}?{urlencode(queried(queue, none='1', last=last))}"


def address_of(review_id: str, queue: str | None, last: str = "") -> str:
    """Return where a review is shown."""
    query = queried(queue, last=last)
    return f"{PATH}/{review_id}" + (f"?{urlencode(query)}" if query else "")


def queried(queue: str | None, **more: str) -> dict[str, str]:
    """Return what stands behind the question mark; an id that is none is left out."""
    if not ID.fullmatch(more.get("last", "")):
        more.pop("last", None)
    given = {"queue": queue or "", **more}
    return {name: text for name, text in given.items() if text}


def turns(query: Mapping[str, str], rows: Sequence[ReviewRow]) -> tuple[str, str]:
    """Return where a list begins and where it goes on; empty: there is no such page."""
    around = {name: query[name] for name in ("queue", "state", "mine") if name in query}
    first = f"{PATH}?{urlencode(around)}" if "after" in query else ""
    if len(rows) <= PAGE_ROWS:
        return first, ""
    return first, f"{PATH}?{urlencode({**around, 'after': rows[PAGE_ROWS - 1].id})}"


def moved_of(row: ReviewRow | None, request: Request, now_ms: int) -> dict[str, str]:
    """Return what became of the review that was looked at just before, to who may see that one."""
    if row is None or not grants_of(request).may("reviews.read", row.automation):
        return {"moved": "", "last": ""}
    return {"moved": whereabouts(row, actor_of(request), now_ms), "last": row.id}


def titles_of(app: App) -> Mapping[str, str]:
    """Return what people call queues, as far as this process knows their declarations."""
    return {name: queue.shown for name, queue in app.definitions.queues.items()}


def may_tick(row: ReviewRow, by: str) -> bool:
    """Return whether a review may be one of several that are ruled alike."""
    return row.state == ReviewState.OPEN and not row.blind and row.requester != by


def line_of(row: ReviewRow, by: str, now_ms: int) -> dict[str, Any]:
    """Return a review as a line of a list."""
    word, tone = STANDINGS[standing_of(row, now_ms)]
    return {
        "row": row,
        "word": word,
        "tone": tone,
        "says": summary(row),
        "is_overdue": is_overdue(row, now_ms),
        "may_tick": may_tick(row, by),
    }


def summary(row: ReviewRow) -> str:
    """Return the first facts of a review in a line, each without what nobody sees and could turn the others around."""
    given = without_paths(from_json(row.subject).get("input"))
    if not isinstance(given, dict):
        return in_one_line(str(given), 120)
    plain = [
        f"{name} {in_one_line(str(value), 120)}"
        for name, value in given.items()
        if isinstance(value, str | int | float)
    ]
    return " · ".join(plain[:5])[:160]
