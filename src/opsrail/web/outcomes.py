"""Outcomes over HTTP: say what turned out true of a decision, look at what was said."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from opsrail.clock import epoch_ms
from opsrail.decide.outcomes import BY_CHARACTERS, NAMED_BY, Told, record_of
from opsrail.errors import NotFound
from opsrail.values.decisions import DecisionRow
from opsrail.values.outcomes import OUTCOME_NAME
from opsrail.web.answers import Moment, Shape, ulid_of
from opsrail.web.decisions import DECISION_ID
from opsrail.web.door import (
    Answer,
    Door,
    Operation,
    actor_of,
    answer,
    by_of,
    scopes_of,
)
from opsrail.web.idempotency import REPEAT_HEADER, REPEATED, idempotency_parameter
from opsrail.web.objects import decision_of
from opsrail.web.reading import body_of, idempotency_key, model_of, query_of


class Outcome(BaseModel):
    """What turned out true of a decision."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, StringConstraints(pattern=f"^{OUTCOME_NAME}$")]
    value: Annotated[
        float | bool, Field(description="true or 1 for yes, false or 0 for no, or a quantity")
    ]
    source: Literal["review", "audit", "late", "import"] = "late"
    ratio: Annotated[
        float,
        Field(gt=0, le=1, description="Probability with which such a decision was looked at"),
    ] = 1.0
    known_at: Annotated[
        AwareDatetime | None, Field(description="When it could be known; null: now", strict=False)
    ] = None
    by: Annotated[
        str | None,
        StringConstraints(min_length=1, max_length=BY_CHARACTERS, pattern=f"^{NAMED_BY}$"),
        Field(description="Who says so; null: who asks"),
    ] = None


class OutcomeShape(Shape):
    """One thing that turned out true of a decision."""

    id: str
    decision_id: str
    name: str
    value: float
    source: str
    ratio: float
    by: str
    known_at: Moment
    recorded_at: Moment


class OutcomesShape(Shape):
    """What was said of one decision, first to last; of one name the last holds."""

    outcomes: list[OutcomeShape]


class Outcomes:
    """Serves `/v1/decisions/{id}/outcomes`."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def operations(self) -> list[Operation]:
        """Return what is served."""
        path = "/v1/decisions/{decision_id}/outcomes"
        listed = {200: Answer("What was said of it, first to last.", OutcomesShape)}
        written = {
            200: Answer("It was written for an earlier request.", OutcomeShape, (REPEAT_HEADER,)),
            201: Answer("The outcome is durable.", OutcomeShape),
        }
        return [
            Operation(
                "GET", path, "outcomes", "List what turned out true of a decision.", self.list, listed,
                parameters=(DECISION_ID,), errors=(404,), permission="decisions.read",
            ),
            Operation(
                "POST", path, "record_outcome", "Say what turned out true of a decision.", self.record, written,
                body=Outcome, parameters=(DECISION_ID, idempotency_parameter(None, "outcome")), errors=(404, 409),
                permission="outcomes.write",
            ),
        ]  # fmt: skip

    async def list(self, request: Request) -> Response:
        """Answer with what was said of a decision."""
        query_of(request)
        decision_id, app = ulid_of(request, "decision"), self._door.app
        await self._permit(request, "decisions.read")
        rows = await app.outcomes.of(decision_id)
        if not rows and await app.store.get(DecisionRow, decision_id) is None:
            raise NotFound(f"no decision {decision_id!r}")
        return answer({"outcomes": [record_of(row) for row in rows]})

    async def record(self, request: Request) -> Response:
        """Write an outcome down, once a key."""
        query_of(request)
        decision_id = ulid_of(request, "decision")
        key, actor = idempotency_key(request), actor_of(request)
        await self._permit(request, "outcomes.write")
        given = model_of(Outcome, await body_of(request, self._door.body_bytes))
        known_at_ms = None if given.known_at is None else epoch_ms(given.known_at.isoformat())
        told: dict[str, Any] = {
            "source": given.source,
            "by": by_of(request, given.by or actor),
            "ratio": given.ratio,
            "known_at_ms": known_at_ms,
        }
        outcomes = self._door.app.outcomes
        if key is None:
            row = await outcomes.record(decision_id, given.name, given.value, **told)
            return answer(record_of(row), 201)
        row, is_new = await outcomes.record_once(
            Told(decision_id, given.name, given.value, **told), actor, key
        )
        return answer(record_of(row), 201) if is_new else answer(record_of(row), 200, REPEATED)

    async def _permit(self, request: Request, permission: str) -> None:
        if scopes_of(request, permission) is not None:
            await decision_of(request, self._door, permission)
