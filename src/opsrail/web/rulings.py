"""What people do with one review over HTTP: hold it, say, rule, take back, ask, answer, pass on, escalate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from opsrail.review.desk import Desk
from opsrail.values.reviews import ReviewRow
from opsrail.web import review_answers
from opsrail.web.door import Answer, Door, Operation, answer, by_of, permit
from opsrail.web.reading import body_of, model_of, query_of
from opsrail.web.reviews import (
    BY_ID,
    Person,
    QueueName,
    Reason,
    Text,
    Verdict,
    VerdictWord,
    Wish,
    review_id_of,
    shown_of,
)

M = TypeVar("M", bound=Wish)


class Holding(Wish):
    """Who claims a review, gives it back, or takes back a ruling."""


class First(Wish):
    """A person's own verdict, before they see what the machine said."""

    verdict: VerdictWord


class Question(Wish):
    """What is asked; of who handed the case in, unless another is named."""

    question: Text
    to: Person | None = None


class Reply(Wish):
    """The answer to what was asked."""

    answer: Text


def _names_a_place(schema: dict[str, Any]) -> None:
    """Describe that a queue or a person must be named."""
    schema["anyOf"] = [
        {"required": [name], "properties": {name: {"type": "string"}}}
        for name in ("queue", "person")
    ]


class Passing(Wish):
    """Where a review goes: a queue, a person, or both."""

    model_config = ConfigDict(json_schema_extra=_names_a_place)
    queue: QueueName | None = None
    person: Person | None = None
    reason: Reason = ""


class Escalating(Wish):
    """Why a review goes to the next queue of its chain."""

    reason: Reason = ""


class Rulings:
    """Serves `/v1/reviews/{review_id}/...`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def operations(self) -> list[Operation]:
        """Return what is served."""
        return [
            self._deed("claim", "Hold a review for its queue's lease; again: longer.", Holding, self._claim),
            self._deed("heartbeat", "Renew the hold on a review.", Holding,
                       lambda desk, row, by, wish: desk.heartbeat(row.id, by)),
            self._deed("release", "Give a review back to its queue.", Holding,
                       lambda desk, row, by, wish: desk.release(row.id, by)),
            self._deed("say", "Say your own verdict before you see the machine's.", First,
                       lambda desk, row, by, wish: desk.say(row.id, wish.verdict, by=by)),
            self._deed("rule", "Rule on a review.", Verdict, self._rule),
            self._deed("reconsider", "Change what you said or ruled.", Verdict, self._reconsider),
            self._deed("undo", "Take your ruling back before it goes to its case.", Holding,
                       lambda desk, row, by, wish: desk.undo(row.id, by=by)),
            self._deed("ask", "Ask for more.", Question,
                       lambda desk, row, by, wish: desk.ask(row.id, wish.question, by=by, to=wish.to)),
            self._deed("answer", "Answer what was asked.", Reply,
                       lambda desk, row, by, wish: desk.answer(row.id, wish.answer, by=by), "reviews.answer"),
            self._deed("pass", "Give a review to another queue or person.", Passing, self._pass),
            self._deed("escalate", "Send a review to the next queue of its chain.", Escalating,
                       lambda desk, row, by, wish: desk.escalate(row.id, by=by, reason=wish.reason)),
        ]  # fmt: skip

    def _deed(
        self,
        verb: str,
        summary: str,
        body: type[M],
        act: Callable[[Desk, ReviewRow, str, Any], Awaitable[ReviewRow]],
        permission: str = "reviews.rule",
    ) -> Operation:
        async def run(request: Request) -> Response:
            query_of(request)
            review_id = review_id_of(request)
            wish: M = model_of(body, await body_of(request, self._door.body_bytes))
            desk = self._door.app.desk
            row = await desk.get(review_id)
            permit(request, permission, row.automation)
            by = by_of(request, wish.by)
            changed = await act(desk, row, by, wish)
            return answer(await shown_of(self._door, request, changed, by))

        shown = {200: Answer("The review as it stands now.", review_answers.Review)}
        path, errors = f"/v1/reviews/{{review_id}}/{verb}", (404, 409)
        given: type[BaseModel] = body
        return Operation(
            "POST", path, f"{verb}_review", summary, run, shown, body=given, parameters=BY_ID, errors=errors,
            permission=permission,
        )  # fmt: skip

    @staticmethod
    async def _claim(desk: Desk, row: ReviewRow, by: str, wish: Holding) -> ReviewRow:
        return await desk.claim(row.id, by)

    @staticmethod
    async def _rule(desk: Desk, row: ReviewRow, by: str, wish: Verdict) -> ReviewRow:
        return await desk.rule(row.id, wish.verdict, by=by, reason=wish.reason, fields=wish.fields)

    @staticmethod
    async def _reconsider(desk: Desk, row: ReviewRow, by: str, wish: Verdict) -> ReviewRow:
        return await desk.reconsider(
            row.id, wish.verdict, by=by, reason=wish.reason, fields=wish.fields
        )

    @staticmethod
    async def _pass(desk: Desk, row: ReviewRow, by: str, wish: Passing) -> ReviewRow:
        return await desk.pass_on(
            row.id, by=by, queue=wish.queue, person=wish.person, reason=wish.reason
        )
