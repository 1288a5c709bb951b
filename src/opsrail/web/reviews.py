"""Reviews over HTTP: what waits for a person, who holds it, the ruling."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import Response

from opsrail.clock import rfc3339
from opsrail.errors import NotFound
from opsrail.review.desk import REASON_CHARACTERS
from opsrail.values.reviews import ReviewRow
from opsrail.web import answers
from opsrail.web.door import (
    LIMIT_PARAMETER,
    REVIEW_ID,
    Answer,
    Door,
    Operation,
    Parameter,
    answer,
    id_parameter,
)
from opsrail.web.reading import LIMIT, PAGE_COUNT, SAYS_SOMETHING, body_of, model_of, query_of

QUEUE = re.compile(r"[\x20-\x7e]{1,100}")
BY_ID = (id_parameter("review_id", REVIEW_ID, "Id of a review: its case's id and a number."),)
Person = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=SAYS_SOMETHING)]


class Holding(BaseModel):
    """Who claims a review or gives it back."""

    model_config = ConfigDict(extra="forbid")
    by: Person


class Verdict(BaseModel):
    """A person's ruling."""

    model_config = ConfigDict(extra="forbid")
    by: Person
    verdict: Annotated[
        str,
        StringConstraints(min_length=1, max_length=64),
        Field(json_schema_extra={"not": {"const": "review"}}),
    ]
    reason: Annotated[str, StringConstraints(max_length=REASON_CHARACTERS)] = ""


class Reviews:
    """Serves `/v1/reviews`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def operations(self) -> list[Operation]:
        """Return what is served."""
        one = "/v1/reviews/{review_id}"
        verbs = ("review", "claim_review", "release_review", "rule_review")
        led_to = {verb: {"review_id": "$response.body#/reviews/0/id"} for verb in verbs}
        waiting = Answer(
            "Reviews without a ruling, most urgent first.", answers.Reviews, (), led_to
        )
        shown = {200: Answer("The review as it stands now.", answers.Review)}
        pattern = {"type": "string", "pattern": "^[ -~]{1,100}$"}
        which = (Parameter("queue", "query", pattern, "Only of this queue."), LIMIT_PARAMETER)
        return [
            Operation(
                "GET",
                "/v1/reviews",
                "reviews",
                "List what waits.",
                self.list,
                {200: waiting},
                parameters=which,
                permission="reviews.read",
            ),
            Operation(
                "GET",
                one,
                "review",
                "Show a review.",
                self.show,
                shown,
                parameters=BY_ID,
                errors=(404,),
                permission="reviews.read",
            ),
            self._change(
                "claim", "Hold a review for 15 minutes; again: longer.", self.claim, Holding
            ),
            self._change("release", "Give a review back to its queue.", self.release, Holding),
            self._change("rule", "Rule on a review and wake its case.", self.rule, Verdict),
        ]

    def _change(self, verb: str, summary: str, run: Any, body: type[BaseModel]) -> Operation:
        shown = {200: Answer("The review as it stands now.", answers.Review)}
        path = f"/v1/reviews/{{review_id}}/{verb}"
        return Operation(
            "POST",
            path,
            f"{verb}_review",
            summary,
            run,
            shown,
            body=body,
            parameters=BY_ID,
            errors=(404, 409),
            permission="reviews.rule",
        )

    async def list(self, request: Request) -> Response:
        """Answer with what waits for a person."""
        query = query_of(request, queue=QUEUE, limit=LIMIT)
        limit = int(query.get("limit", PAGE_COUNT))
        rows = await self._door.app.desk.waiting(query.get("queue"), limit=limit)
        return answer({"reviews": [review_record(row) for row in rows]})

    async def show(self, request: Request) -> Response:
        """Answer with a review."""
        query_of(request)
        return answer(review_record(await self._door.app.desk.get(_id(request))))

    async def claim(self, request: Request) -> Response:
        """Hold a review."""
        wish = await self._read(request, Holding)
        return answer(review_record(await self._door.app.desk.claim(_id(request), wish.by)))

    async def release(self, request: Request) -> Response:
        """Give a review back."""
        wish = await self._read(request, Holding)
        return answer(review_record(await self._door.app.desk.release(_id(request), wish.by)))

    async def rule(self, request: Request) -> Response:
        """Rule on a review."""
        wish = await self._read(request, Verdict)
        ruled = await self._door.app.desk.rule(
            _id(request), wish.verdict, by=wish.by, reason=wish.reason
        )
        return answer(review_record(ruled))

    async def _read(self, request: Request, model: type[answers.M]) -> answers.M:
        query_of(request)
        return model_of(model, await body_of(request, self._door.body_bytes))


def review_record(row: ReviewRow) -> dict[str, Any]:
    """Return a review as plain JSON values."""
    return {
        "id": row.id,
        "case_id": row.case_id,
        "automation": row.automation,
        "queue": row.queue,
        "decision_id": row.decision_id,
        "subject": from_json(row.subject),
        "verdict": row.verdict,
        "state": str(row.state),
        "priority": row.priority,
        "assignee": row.assignee,
        "ruling": row.ruling,
        "ruling_reason": row.ruling_reason,
        "ruled_by": row.ruled_by,
        "due_at": _moment(row.due_at_ms),
        "lease_until": _moment(row.lease_until_ms),
        "opened_at": _moment(row.opened_at_ms),
        "ruled_at": _moment(row.ruled_at_ms),
    }


def _id(request: Request) -> str:
    review_id: str = request.path_params["review_id"]
    if not re.fullmatch(REVIEW_ID, review_id):
        raise NotFound(f"no review {review_id[:63]!r}")
    return review_id


def _moment(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)
