"""Why a decision is what it is, over HTTP."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from opsrail.decide.explain import explain
from opsrail.decide.turning import Nearest
from opsrail.errors import NotExplainable
from opsrail.values.decisions import Decision
from opsrail.web import answers
from opsrail.web.decisions import DECISION_ID
from opsrail.web.door import Answer, Door, Operation, Parameter, answer
from opsrail.web.objects import decision_of
from opsrail.web.reading import query_of


class Change(answers.Shape):
    """One fact that would have to be otherwise."""

    fact: str
    before: Any
    after: Any
    distance: float
    text: str


class Turned(answers.Shape):
    """The smallest change, and what it comes to."""

    verdict: str
    score: float
    changes: list[Change]
    distance: float


class Held(answers.Shape):
    """A fact that was not changed, and why."""

    fact: str
    why: str


class Ruled(answers.Shape):
    """The rule that gives the verdict now, whatever the score."""

    rule: str
    text: str


class SmallestChange(answers.Shape):
    """The smallest change of facts that turns a decision's verdict; `absent` says why none is told."""

    id: str
    verdict: str
    towards: str | None
    change: Turned | None
    is_proven: bool
    held: list[Held]
    ruled: Ruled | None
    row_count: int
    absent: answers.Absent | None
    sentences: list[str]


class Explanations:
    """Serves what is asked about a recorded decision."""

    def __init__(self, door: Door) -> None:
        self._door = door
        points = door.app.definitions.points.values()
        self._verdicts = sorted({verdict for point in points for verdict in point.policy.verdicts})

    def operations(self) -> list[Operation]:
        """Return what is served."""
        told = {200: Answer("Why the verdict is what it is.", answers.Explanation)}
        turned = {200: Answer("The smallest change, or why none is told.", SmallestChange)}
        why = "/v1/decisions/{decision_id}/explanation"
        return [
            Operation(
                "GET", why, "explanation", "Explain a decision.", self.explanation, told,
                parameters=(DECISION_ID,), errors=(404,), permission="decisions.read",
            ),
            Operation(
                "GET", "/v1/decisions/{decision_id}/nearest", "nearest",
                "Find the smallest change that turns a verdict.", self.nearest, turned,
                parameters=(DECISION_ID, self._towards()), errors=(404, 422), permission="decisions.read",
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

    async def nearest(self, request: Request) -> Response:
        """Answer with the smallest change of a decision's facts that turns its verdict."""
        verdicts = re.compile("|".join(map(re.escape, self._verdicts)))
        towards = query_of(request, towards=verdicts).get("towards")
        decision = await self._decision(request)
        point = self._door.app.definitions.points.get(decision.point)
        if point is None:
            text = f"decision point {decision.point!r} is not defined here"
            found = Nearest(towards, absent=(NotExplainable.code, text))
        else:
            found = await self._door.app.explainer.nearest(decision, point, towards)
        return answer({"id": decision.id, "verdict": decision.verdict, **found.record()})

    def _towards(self) -> Parameter:
        schema: dict[str, Any] = {"type": "string"}
        if self._verdicts:
            schema["enum"] = self._verdicts
        told = (
            "The verdict it should turn to, one that the point's policy gives; without: any other."
        )
        return Parameter("towards", "query", schema, told)

    async def _decision(self, request: Request) -> Decision:
        row = await decision_of(request, self._door, "decisions.read")
        return Decision.from_record(answers.parsed(row.record))
