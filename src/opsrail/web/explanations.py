"""Why a decision is what it is, over HTTP."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from opsrail.decide.explain import explain
from opsrail.errors import NotFound
from opsrail.values.decisions import Decision, DecisionRow
from opsrail.web import answers
from opsrail.web.decisions import DECISION_ID
from opsrail.web.door import Answer, Door, Operation, answer
from opsrail.web.reading import query_of


class Explanations:
    """Serves what is asked about a recorded decision."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def operations(self) -> list[Operation]:
        """Return what is served."""
        told = {200: Answer("Why the verdict is what it is.", answers.Explanation)}
        why = "/v1/decisions/{decision_id}/explanation"
        return [
            Operation(
                "GET", why, "explanation", "Explain a decision.", self.explanation, told,
                parameters=(DECISION_ID,), errors=(404,),
            ),
        ]  # fmt: skip

    async def explanation(self, request: Request) -> Response:
        """Answer with a decision's reasons in plain sentences, and what each feature added to its score."""
        query_of(request)
        decision = await self._decision(request)
        point = self._door.app.definitions.points.get(decision.point)
        told = await self._door.app.explainer.contributions(decision, point)
        body = {"id": decision.id, "verdict": decision.verdict, "sentences": explain(decision)}
        return answer({**body, **told.record()})

    async def _decision(self, request: Request) -> Decision:
        decision_id = request.path_params["decision_id"]
        is_id = answers.is_ulid(decision_id)
        row = await self._door.app.store.get(DecisionRow, decision_id) if is_id else None
        if row is None:
            raise NotFound(f"no decision {decision_id[:63]!r}")
        return Decision.from_record(answers.parsed(row.record))
