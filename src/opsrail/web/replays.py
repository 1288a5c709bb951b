"""A recorded decision, decided again, over HTTP."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from opsrail.lab.replaying import Replayer
from opsrail.web import answers
from opsrail.web.decisions import DECISION_ID
from opsrail.web.door import Answer, Door, Operation, answer
from opsrail.web.objects import decision_of
from opsrail.web.reading import query_of


class Differing(answers.Shape):
    """One thing that is not as it was."""

    what: str
    name: str
    recorded: Any
    replayed: Any
    text: str


class Replay(answers.Shape):
    """A decision, decided again; without differences it is the same in every bit."""

    decision_id: str
    point: str
    is_same: bool
    score: float | None
    score_from: str
    verdict: str | None
    features_from: dict[str, str]
    differences: list[Differing]
    notes: list[str]


class Replays:
    """Decides recorded decisions again."""

    def __init__(self, door: Door) -> None:
        app = door.app
        self._door = door
        self._replayer = Replayer(app.store, app.registry, app.features, app.definitions.points)

    def operations(self) -> list[Operation]:
        """Return what is served."""
        told = {200: Answer("The same in every bit, or what differs.", Replay)}
        return [
            Operation(
                "GET", "/v1/decisions/{decision_id}/replay", "replay", "Decide a decision again.",
                self.replay, told, parameters=(DECISION_ID,), errors=(404,), permission="decisions.read",
            )
        ]  # fmt: skip

    async def replay(self, request: Request) -> Response:
        """Answer with what deciding a recorded decision again came to."""
        query_of(request)
        row = await decision_of(request, self._door, "decisions.read")
        return answer((await self._replayer.replay(row.id)).record())
