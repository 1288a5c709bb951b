"""Decision points as models of the Open Inference Protocol: each row of a batch is one decision, with its own record.

A model is a decision point; its versions are the numbers of the model versions that answer now, the live one first. Both of
the protocol's transports ask here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from opsrail import __version__
from opsrail.app import App
from opsrail.decide.decider import LONGEST_KEY
from opsrail.decide.decider import Request as Question
from opsrail.decide.point import DecisionPoint
from opsrail.decide.rows import in_order
from opsrail.errors import Fault, InvalidInput, ModelUnavailable, NotFound, Unavailable
from opsrail.registry.rollout import Stage
from opsrail.registry.route import Route
from opsrail.values.decisions import Decision
from opsrail.values.inference import InferenceRequest, InferenceResponse
from opsrail.values.tensors import BOOL, BYTES, Tensor
from opsrail.web.signature import Field, facts_of, fields_of

T = TypeVar("T")
OUTPUTS = {
    "score": "FP64",
    "confidence": "FP64",
    "verdict": BYTES,
    "decision_id": BYTES,
    "degraded": BOOL,
}
"""What is answered for each row. Without a score, `score` and `confidence` are -1: JSON has no NaN."""
NO_SCORE = -1.0
ANSWERING = (Stage.LIVE, Stage.CANARY)
READY_S = 2.0
"""Time that a model may take to be loaded before it is called not ready. Ours."""


class Asking(NamedTuple):
    """Who asks, and how.

    Attributes:
        key: Idempotency key of the whole request; each row's is `key/row`, from 0 on.
        budget_ms: Time for each row's answer; None: what the point declares.
    """

    correlation_id: str
    actor: str
    tenant: str
    key: str | None = None
    budget_ms: int | None = None


class Points:
    """The decision points of an app, as models."""

    def __init__(self, app: App) -> None:
        self._app = app

    @cached_property
    def fields(self) -> dict[str, tuple[Field, ...]]:
        """The inputs of each point."""
        points = self._app.definitions.points
        return {name: fields_of(point.request) for name, point in points.items()}

    def server(self) -> dict[str, Any]:
        """Return who serves."""
        return {"name": "opsrail", "version": __version__, "extensions": ["binary_tensor_data"]}

    def deadline_ms(self, name: str) -> int:
        """Return the time that a point gives for an answer. Raises NotFound."""
        return self._app.registry.held.deadline_ms(name, self._point(name).deadline_ms)

    async def metadata(self, name: str, version: str) -> dict[str, Any]:
        """Return a point's versions, inputs and outputs.

        Raises:
            NotFound: there is no such point, or no version of that number answers.
        """
        self._point(name)
        number = await self._number(name, version)
        standing = await self._standing(name)
        found = [number] if number else [route.version.number for route in standing]
        return {
            "name": name,
            "versions": [str(number) for number in dict.fromkeys(found)],
            "platform": "opsrail",
            "inputs": [
                {"name": field.name, "datatype": field.datatype, "shape": [-1]}
                for field in self.fields[name]
            ],
            "outputs": [
                {"name": output, "datatype": datatype, "shape": [-1]}
                for output, datatype in OUTPUTS.items()
            ],
        }

    async def is_ready(self, name: str, version: str) -> bool:
        """Return whether the version that answers is loaded; without one the fallback would answer. Raises NotFound."""
        self._point(name)
        number = await self._number(name, version)
        standing = await self._standing(name)
        for route in standing:
            if number in (None, route.version.number):
                registry = self._app.registry
                with suppress(Unavailable):
                    if not registry.is_loaded(route.version):
                        await registry.warming.load(route.version, READY_S, is_patient=False)
                return registry.is_loaded(route.version)
        return False

    async def infer(
        self, name: str, version: str, request: InferenceRequest, asking: Asking
    ) -> InferenceResponse:
        """Decide every row; all of them are durable when this returns.

        Raises:
            NotFound: as `metadata`.
            InvalidInput: the request does not fit the point. Nothing was decided.
            OpsrailError: what a row's decision raised first. Rows before it may have been decided and stay recorded: ask
                again with the same idempotency key.
        """
        point = self._point(name)
        outputs = _outputs(request)
        facts = facts_of(point.request, self.fields[name], request)
        _check_key(asking.key, len(facts))
        number = await self._number(name, version)

        async def decide(row: int) -> Decision:
            question = Question(
                point,
                facts[row],
                correlation_id=asking.correlation_id,
                actor=asking.actor,
                idempotency_key=None if asking.key is None else f"{asking.key}/{row}",
                budget_ms=asking.budget_ms,
                tenant=asking.tenant,
                model_number=number,
            )
            return await self._app.decider.decide(question)

        at_once = self._app.config.decide.rows_at_once
        decisions = [one async for one in in_order(_each(range(len(facts))), decide, at_once)]
        answered = decisions[0].model
        told = number if answered is None else answered.number
        tensors = tuple(_tensor(output, decisions) for output in outputs)
        return InferenceResponse(name, "" if told is None else str(told), tensors, request.id)

    def _point(self, name: str) -> DecisionPoint[Any]:
        points = self._app.definitions.points
        if (point := points.get(name)) is None:
            known = ", ".join(points) or "none"
            raise NotFound(f"no model {name[:63]!r} here; there are: {known}")
        return point

    async def _number(self, name: str, version: str) -> int | None:
        """Return the number of a version that was asked for; None when none was. Raises NotFound."""
        if not version:
            return None
        numbers = [str(route.version.number) for route in await self._standing(name)]
        if version not in numbers:
            known = ", ".join(numbers) or "none"
            raise NotFound(f"no version {version[:20]!r} of {name!r} answers; these do: {known}")
        return int(version)

    async def _standing(self, name: str) -> list[Route]:
        """Return the versions that answer requests of a point now, the live one first."""
        registry = self._app.registry
        with suppress(ModelUnavailable):
            await registry.route(name, "")  # reads the rollout anew where it may have changed
        standing = registry.standing(name)
        return [route for stage in ANSWERING if (route := standing.get(stage)) is not None]


async def _each(rows: Sequence[T]) -> AsyncIterator[T]:
    for row in rows:
        yield row


def _check_key(key: str | None, count: int) -> None:
    longest = LONGEST_KEY - len(f"/{count}")
    if key is not None and len(key) > longest:
        fault = Fault("Idempotency-Key", f"must have at most {longest} characters for {count} rows")
        raise InvalidInput("the idempotency key is too long", [fault])


def _outputs(request: InferenceRequest) -> Sequence[str]:
    """Return the names of the outputs that are wanted. Raises InvalidInput when there is no such output."""
    wanted = [one.name for one in request.outputs]
    faults = [
        Fault(f"outputs.{name[:63]}", f"there is no such output; there are: {', '.join(OUTPUTS)}")
        for name in wanted
        if name not in OUTPUTS
    ]
    if faults:
        raise InvalidInput("an output is asked for that is not there", faults)
    return wanted or list(OUTPUTS)


def _tensor(output: str, decisions: Sequence[Decision]) -> Tensor:
    values: list[Any] = [_element(output, decision) for decision in decisions]
    return Tensor(output, OUTPUTS[output], (len(decisions),), values)


def _element(output: str, decision: Decision) -> Any:
    match output:
        case "score":
            return NO_SCORE if decision.score is None else decision.score
        case "confidence":
            return NO_SCORE if decision.confidence is None else decision.confidence
        case "verdict":
            return decision.verdict.encode()
        case "decision_id":
            return decision.id.encode()
        case _:
            return decision.degraded
