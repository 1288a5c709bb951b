"""Decision points over HTTP: ask one, look at a decision."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from opsrail.decide.admission import full
from opsrail.decide.asks import LOW, RANK_OF, rank_of
from opsrail.decide.decider import Request as Question
from opsrail.decide.point import DecisionPoint
from opsrail.errors import NotFound
from opsrail.telemetry import CORRELATION
from opsrail.values.decisions import CRITICALITIES
from opsrail.web import answers
from opsrail.web.connection import ARRIVED_S
from opsrail.web.door import (
    CASE_ID,
    JSON,
    Answer,
    Door,
    Operation,
    Parameter,
    Rendered,
    id_parameter,
    permit,
)
from opsrail.web.idempotency import RAW_REPEATED, REPEAT_HEADER, idempotency_parameter
from opsrail.web.objects import decision_of
from opsrail.web.reading import (
    CRITICALITY_HEADER,
    LONGEST_DEADLINE_MS,
    body_of,
    criticality,
    deadline_ms,
    idempotency_key,
    model_of,
    query_of,
)

DECISION_ID = id_parameter("decision_id", CASE_ID, "Id of a decision: a ULID.")
DEADLINE = Parameter(
    "X-Opsrail-Deadline-Ms",
    "header",
    {"type": "integer", "minimum": 1, "maximum": LONGEST_DEADLINE_MS},
    "Time for the answer, milliseconds; without it the point's own. Past it the fallback answers.",
)
CRITICALITY = Parameter(
    "X-Opsrail-Criticality",
    "header",
    {"type": "string", "enum": list(CRITICALITIES)},
    "Who is answered first and refused last when too much is asked. More than the point declares changes nothing.",
)


class Decisions:
    """Serves `/v1/decisions`."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._kept_s = door.app.config.decide.idempotency_ttl_s

    def operations(self) -> list[Operation]:
        """Return what is served: one path a decision point, and the decisions by id."""
        one = "/v1/decisions/{decision_id}"
        shown = {200: Answer("The decision, whole.", answers.Decision)}
        by_id = (DECISION_ID,)
        return [
            *(self._question(point) for point in self._door.app.definitions.points.values()),
            Operation("GET", one, "decision", "Show a decision.", self.show, shown, parameters=by_id, errors=(404,),
                permission="decisions.read"),
            Operation("POST", one, "decide", "Ask an unknown point.", self.refuse, is_told=False,
                permission="decisions.make"),
        ]  # fmt: skip

    def _question(self, point: DecisionPoint[Any]) -> Operation:
        of_id = {"decision_id": "$response.body#/id"}
        led_to = dict.fromkeys(("decision", "explanation", "nearest", "replay"), of_id)
        headers = ("Content-Location", REPEAT_HEADER)
        whole = Answer("The decision, whole.", answers.Decision, headers, led_to)
        return Operation(
            "POST",
            f"/v1/decisions/{point.name}",
            f"decide_{point.name.replace('-', '_')}",
            f"Ask decision point {point.name}.",
            self._decider_of(point),
            {200: whole},
            body=point.request,
            parameters=(idempotency_parameter(self._kept_s), DEADLINE, CRITICALITY),
            errors=(409,),
            is_full=self._fullness_of(point),
            expect=self._expect,
            permission="decisions.make",
        )

    def _expect(self) -> None:
        """Keep a place for a request that was read, until all that were read with it take theirs."""
        admission = self._door.app.decider.admission
        if admission.expect():
            asyncio.get_running_loop().call_soon(admission.expect_no_more)

    def _fullness_of(
        self, point: DecisionPoint[Any]
    ) -> Callable[[Sequence[tuple[bytes, bytes]]], bool]:
        admission, name = self._door.app.decider.admission, CRITICALITY_HEADER.encode()
        declared = rank_of(point.criticality, None)
        lower = {word.encode(): rank for word, rank in RANK_OF.items() if rank > declared}

        def is_full(headers: Sequence[tuple[bytes, bytes]]) -> bool:
            if not admission.is_full(LOW):
                return False
            ranks = [lower.get(value, declared) for header, value in headers if header == name]
            rank = ranks[0] if ranks else declared
            if is_refused := admission.is_full(rank):
                admission.refuse(rank)
            return is_refused

        return is_full

    def _decider_of(self, point: DecisionPoint[Any]) -> Any:
        app, most_bytes = self._door.app, self._door.body_bytes
        decider, now_s, held = app.decider, app.clock.monotonic_s, app.registry.held
        admission, catch_up = decider.admission, decider.catch_up

        async def decide(request: Request) -> Response:
            await catch_up()
            query_of(request)
            caller = permit(request, "decisions.make", point.name)
            wanted, budget_ms = criticality(request), deadline_ms(request)
            begun_s: float = request.scope.get(ARRIVED_S) or now_s()
            took_s: float | None = None
            if not admission.enter(rank_of(point.criticality, wanted)):
                raise full()
            try:
                question = Question(
                    point,
                    model_of(point.request, await body_of(request, most_bytes)),
                    correlation_id=CORRELATION.get(),
                    actor=caller.name,
                    idempotency_key=idempotency_key(request),
                    budget_ms=budget_ms,
                    criticality=wanted,
                    tenant=caller.tenant,
                )
                await catch_up()
                decision = await decider.decide(question)
                on_model_s = decision.latency_ms.get("score", 0.0) / 1000
                took_s = None if decision.is_repeat else now_s() - begun_s - on_model_s
            finally:
                allowed_ms = budget_ms or held.deadline_ms(point.name, point.deadline_ms)
                admission.leave(took_s, allowed_ms / 1000)
            await catch_up()
            place = (b"content-location", b"/v1/decisions/" + decision.id.encode())
            if decision.is_repeat:
                return Rendered(decision.written(), place, RAW_REPEATED)
            return Rendered(decision.written(), place)

        return decide

    async def show(self, request: Request) -> Response:
        """Answer with a decision as it was recorded, byte for byte."""
        query_of(request)
        row = await decision_of(request, self._door, "decisions.read")
        return Response(row.record, media_type=JSON)

    async def refuse(self, request: Request) -> Response:
        """Refuse a point that the file does not define."""
        name = request.path_params["decision_id"]
        if answers.is_ulid(name):
            raise HTTPException(405, headers={"allow": "GET, HEAD"})
        known = ", ".join(self._door.app.definitions.points) or "none"
        raise NotFound(f"no decision point {name[:63]!r} here; there are: {known}")
