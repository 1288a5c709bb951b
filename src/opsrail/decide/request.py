"""One question to a decision point: what it carries, what may be wrong with it, and what follows from it alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from opsrail.decide.point import DecisionPoint
from opsrail.decide.recorder import Ticket
from opsrail.errors import Fault, InvalidInput
from opsrail.features.request import request_read
from opsrail.values.decisions import Criticality, Decision, Durability, ViewRead
from opsrail.values.rows import Write

M = TypeVar("M", bound=BaseModel)
LONGEST_KEY = 255


@dataclass(slots=True)
class Request(Generic[M]):
    """One question to a decision point.

    Attributes:
        facts: The input, checked: an instance of the point's request model.
        correlation_id: W3C trace id (32 hex digits) shared with the caller.
        actor: Who asks.
        idempotency_key: The same key, facts and actor give the same decision, for as long as keys are kept; at most 255
            characters.
        case_id: The case it is asked in.
        seq: Position in that case's journal.
        budget_ms: Time for the answer; None: what the point declares.
        criticality: Who goes first and is shed last, and whether speed or cost chooses the pool, if that is less than the
            point declares.
        tenant: Whose request it is; no score is shared with another's.
        arm_key: What the canary's choice hangs on where the point names no entity; None: the case, without one the
            correlation id.
        model_number: Number of the version that is to answer, if it is live or canary; None: whichever the rollout says.
        also: The decision -> writes that go into the same commit. Not together with a key.
    """

    point: DecisionPoint[M]
    facts: M
    correlation_id: str
    actor: str
    idempotency_key: str | None = None
    case_id: str | None = None
    seq: int | None = None
    budget_ms: int | None = None
    criticality: Criticality | None = None
    tenant: str = "default"
    arm_key: str | None = None
    model_number: int | None = None
    also: Callable[[Decision], Sequence[Write]] | None = None


def asked_of(request: Request[Any]) -> ViewRead:
    """Return what is asked, after checking what the caller handed in.

    The first call for a point reads its author's source for the versions, which takes milliseconds: no deadline runs yet.
    """
    point, key = request.point, request.idempotency_key
    facts, budget_ms = request.facts, request.budget_ms
    is_named = key is not None and (request.also is not None or not 1 <= len(key) <= LONGEST_KEY)
    if is_named or type(facts) is not point.request or (budget_ms is not None and budget_ms < 1):
        _refuse_faults(request)
    _ = point.policy_version
    return request_read(facts, point.request_version)


def _refuse_faults(request: Request[Any]) -> None:
    """Raise InvalidInput with all that is wrong with a request, if anything is."""
    point, key = request.point, request.idempotency_key
    found = []
    if not isinstance(request.facts, point.request):
        found.append(
            Fault("facts", f"is {type(request.facts).__name__}, not {point.request.__name__}")
        )
    if key is not None and not 1 <= len(key) <= LONGEST_KEY:
        found.append(
            Fault("idempotency_key", f"has {len(key)} characters; 1..{LONGEST_KEY} are allowed")
        )
    if key is not None and request.also is not None:
        found.append(
            Fault(
                "also", "goes with no idempotency key: a case's journal already tells twins apart"
            )
        )
    if request.budget_ms is not None and request.budget_ms < 1:
        found.append(Fault("budget_ms", f"{request.budget_ms} is below 1"))
    if found:
        raise InvalidInput(f"the request to decision point {point.name!r} is wrong", found)


def ticket_of(request: Request[Any], asked: ViewRead) -> Ticket | None:
    """Return under which key a request is answered once; None: it names none."""
    if request.idempotency_key is None:
        return None
    scope = f"decision:{request.point.name}:{request.actor}"
    return Ticket(scope, request.idempotency_key, asked.digest)


def arm_key_of(request: Request[Any]) -> str:
    """Return what the canary's choice hangs on."""
    other = request.arm_key or request.case_id or request.correlation_id
    return request.point.entity_of(request.facts, other)


def durability_of(request: Request[Any]) -> Durability:
    """Return how a decision becomes durable: in a case and under a key others rely on its record, so it is waited for."""
    asked = request.point.durability
    is_relied_on = request.also is not None or request.idempotency_key is not None
    return "grouped" if asked == "async" and is_relied_on else asked
