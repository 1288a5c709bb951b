"""Reviews over HTTP: what waits for a person, who gets which next, and what happened to each."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from opsrail.app.work import Json
from opsrail.clock import rfc3339_or_none
from opsrail.errors import NotFound
from opsrail.review.desk import MOST_ALIKE, REASON_CHARACTERS
from opsrail.review.reading import QueueCount
from opsrail.review.showing import event_record, record_of
from opsrail.values.reviews import ReviewRow, ReviewState
from opsrail.web import review_answers
from opsrail.web.door import (
    LIMIT_PARAMETER,
    REVIEW_ID,
    Answer,
    Door,
    Operation,
    Parameter,
    actor_of,
    answer,
    by_of,
    id_parameter,
    permit,
    scopes_of,
)
from opsrail.web.paging import after_parameter, choice, next_page
from opsrail.web.reading import (
    CURSOR,
    KEPT,
    LIMIT,
    PAGE_COUNT,
    SAYS_SOMETHING,
    body_of,
    model_of,
    query_of,
)

WORD = re.compile(r"[\x20-\x7e]{1,100}")
STATE = re.compile("|".join(ReviewState))
BY_ID = (id_parameter("review_id", REVIEW_ID, "Id of a review: its case's id and a number."),)
Person = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=SAYS_SOMETHING)]
QueueName = Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]{0,98}[!-~])?$")]
Text = Annotated[
    str, StringConstraints(min_length=1, max_length=REASON_CHARACTERS, pattern=SAYS_SOMETHING)
]
Reason = Annotated[str, StringConstraints(max_length=REASON_CHARACTERS, pattern=KEPT)]
ReviewId = Annotated[str, StringConstraints(pattern=f"^{REVIEW_ID}$")]
VerdictWord = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64, pattern=KEPT),
    Field(json_schema_extra={"not": {"const": "review"}}),
]


class Wish(BaseModel):
    """Something a person does; `by` is who, left out: who asks."""

    model_config = ConfigDict(extra="forbid")
    by: Person | None = None


class Work(Wish):
    """What a person is ready to look at; all queues unless some are named."""

    queues: Annotated[list[QueueName], Field(max_length=100)] = []
    skills: Annotated[list[Person], Field(max_length=100)] | None = None


class Verdict(Wish):
    """A person's ruling."""

    verdict: VerdictWord
    reason: Reason = ""
    fields: dict[str, Json] | None = None


class Verdicts(Verdict):
    """One ruling on several reviews of one queue and form."""

    ids: Annotated[
        list[ReviewId],
        Field(min_length=1, max_length=MOST_ALIKE, json_schema_extra={"uniqueItems": True}),
    ]


class Reviews:
    """Serves `/v1/reviews` and `/v1/queues`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def operations(self) -> list[Operation]:
        """Return what is served."""
        verbs = ("review", "claim_review", "release_review", "rule_review", "review_events")
        led_to = {verb: {"review_id": "$response.body#/reviews/0/id"} for verb in verbs}
        page = Answer("Reviews: of those that wait the most urgent first.", review_answers.Reviews, (), led_to)  # fmt: skip
        which = (
            choice("queue", WORD), choice("state", STATE),
            Parameter("mine", "query", {"type": "string", "pattern": f"^(?:{WORD.pattern})$"},
                      "Only what this person holds, was asked or ruled."),
            after_parameter("id"), LIMIT_PARAMETER,
        )  # fmt: skip
        given = {200: Answer("The review, held by who asked; or none.", review_answers.NextReview)}
        ruled = {200: Answer("Which were ruled, and which were not.", review_answers.RuledReviews)}
        events = {200: Answer("First to last.", review_answers.ReviewEvents)}
        shown = {200: Answer("The review as it stands now.", review_answers.Review)}
        queues = {200: Answer("By name.", review_answers.Queues)}
        one, read, rule = "/v1/reviews/{review_id}", "reviews.read", "reviews.rule"
        return [
            Operation("GET", "/v1/queues", "queues", "Show how each queue stands.", self.queues, queues, permission=read),
            Operation("GET", "/v1/reviews", "reviews", "List what waits, or was ruled.", self.list, {200: page},
                      parameters=which, errors=(404,), permission=read),
            Operation("POST", "/v1/reviews/next", "next_review", "Claim what a person should look at next.", self.next,
                      given, body=Work, errors=(409,), permission=rule),
            Operation("POST", "/v1/reviews/rule", "rule_reviews", "Rule alike on several reviews.", self.rule_alike,
                      ruled, body=Verdicts, errors=(409,), permission=rule),
            Operation("GET", one, "review", "Show a review.", self.show, shown, parameters=BY_ID, errors=(404,),
                      permission=read),
            Operation("GET", f"{one}/events", "review_events", "Show what happened to a review.", self.events, events,
                      parameters=BY_ID, errors=(404,), permission=read),
        ]  # fmt: skip

    async def list(self, request: Request) -> Response:
        """Answer with reviews, a page at a time."""
        query = query_of(request, queue=WORD, state=STATE, mine=WORD, after=CURSOR, limit=LIMIT)
        limit = int(query.pop("limit", PAGE_COUNT))
        automations = scopes_of(request, "reviews.read")
        rows = await self._door.app.desk.page(**query, automations=automations, limit=limit + 1)
        shown = rows[:limit]
        records = await records_of(self._door, request, shown)
        return answer({"reviews": records, "next": next_page(request, rows, shown, "id")})

    async def queues(self, request: Request) -> Response:
        """Answer with how each queue stands."""
        query_of(request)
        app = self._door.app
        counted = await app.desk.queues(scopes_of(request, "reviews.read"))
        declared = app.definitions.queues
        known = {one.queue for one in counted}
        counted += [QueueCount(name, 0, 0, 0, None) for name in declared if name not in known]
        titles = {name: queue.shown for name, queue in declared.items()}
        records = [
            {
                "queue": one.queue,
                "title": titles.get(one.queue, one.queue),
                "waiting": one.waiting,
                "claimed": one.claimed,
                "overdue": one.overdue,
                "oldest_at": rfc3339_or_none(one.oldest_at_ms),
            }
            for one in sorted(counted)
        ]
        return answer({"queues": records})

    async def next(self, request: Request) -> Response:
        """Claim the next review for a person."""
        query_of(request)
        wish = model_of(Work, await body_of(request, self._door.body_bytes))
        row = await self._door.app.desk.next(
            by_of(request, wish.by),
            wish.queues,
            skills=wish.skills,
            automations=scopes_of(request, "reviews.rule"),
        )
        if row is None:
            await self._door.app.desk.refuse_unless_known(*wish.queues)
        return answer({"review": None if row is None else await shown_of(self._door, request, row)})

    async def rule_alike(self, request: Request) -> Response:
        """Rule on several reviews."""
        query_of(request)
        wish = model_of(Verdicts, await body_of(request, self._door.body_bytes))
        desk = self._door.app.desk
        for review_id in wish.ids:
            with suppress(NotFound):  # the desk names all that there are not
                permit(request, "reviews.rule", (await desk.get(review_id)).automation)
        by = by_of(request, wish.by)
        batch = await desk.rule_alike(
            wish.ids, wish.verdict, by=by, reason=wish.reason, fields=wish.fields
        )
        failed = [
            {"id": review_id, "code": why.code, "detail": str(why)}
            for review_id, why in batch.failed.items()
        ]
        ruled = await records_of(self._door, request, batch.ruled)
        return answer({"ruled": ruled, "failed": failed})

    async def show(self, request: Request) -> Response:
        """Answer with a review."""
        query_of(request)
        row = await self._door.app.desk.get(review_id_of(request))
        permit(request, "reviews.read", row.automation)
        return answer(await shown_of(self._door, request, row))

    async def events(self, request: Request) -> Response:
        """Answer with what happened to a review."""
        query_of(request)
        desk = self._door.app.desk
        row = await desk.get(review_id_of(request))
        permit(request, "reviews.read", row.automation)
        events = await desk.history(row.id, viewer=actor_of(request))
        return answer({"events": [event_record(event) for event in events]})


async def shown_of(
    door: Door, request: Request, row: ReviewRow, by: str | None = None
) -> dict[str, Any]:
    """Return a review as who asks may see it."""
    return (await records_of(door, request, [row], by))[0]


async def records_of(
    door: Door, request: Request, rows: list[ReviewRow], by: str | None = None
) -> list[dict[str, Any]]:
    """Return reviews as who asks may see them.

    Args:
        by: Who acted; None: who asks.
    """
    viewer = actor_of(request) if by is None else await door.app.desk.named(by)
    seen = await door.app.desk.sees(rows, viewer)
    now_ms = door.app.clock.now_ms()
    return [record_of(row, sees=row.id in seen, now_ms=now_ms, viewer=viewer) for row in rows]


def review_id_of(request: Request) -> str:
    """Return the review that a path names."""
    review_id: str = request.path_params["review_id"]
    if not re.fullmatch(REVIEW_ID, review_id):
        raise NotFound(f"no review {review_id[:63]!r}")
    return review_id
