"""What every trade's file of the door is given, and how a description of an operation looks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from opsrail.access.keys import TENANT, Gate, Principal
from opsrail.access.roles import NO_GRANTS, Grants
from opsrail.app import App
from opsrail.cases.office import Office
from opsrail.errors import Denied
from opsrail.web.reading import LARGEST_PAGE_COUNT, PAGE_COUNT

CASE_ID = "[0-9A-HJKMNP-TV-Z]{26}"
REVIEW_ID = f"{CASE_ID}-[0-9]{{1,9}}"
SUBJECT_ID = "[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
JSON = "application/json"
CSRF = "opsrail.csrf"
"""Where a request's scope holds the token of its session; without a session there is none, and `Origin` alone tells."""
SESSION = "opsrail.session"
"""Where it holds the digest of its session."""
KNOWN = ("user:", "key:")
"""How the names of those begin who are somebody: what they do is done by them, whatever a body says."""
JSON_HEADER = (b"content-type", JSON.encode())


@dataclass(frozen=True, slots=True)
class Door:
    """The app behind the door.

    Attributes:
        is_closing: Whether the server is being stopped: requests that wait answer with what there is.
    """

    app: App
    office: Office
    gate: Gate
    is_closing: Callable[[], bool]

    @property
    def body_bytes(self) -> int:
        """Largest body that is read."""
        return self.app.config.web.body_bytes


@dataclass(frozen=True, slots=True)
class Parameter:
    """A path, query or header parameter, as OpenAPI describes it.

    Attributes:
        place: `path`, `query` or `header`.
        is_required: Whether a query parameter or header must be there; those of a path always must.
    """

    name: str
    place: str
    schema: Mapping[str, Any]
    description: str
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation answers when it goes well.

    Attributes:
        model: Shape of the body; None for one that `schema` describes.
        headers: Names of headers beyond those that every answer has.
        links: Operations that its body leads to, by name: their parameters as runtime expressions.
        media: What it may come as.
    """

    description: str
    model: type[BaseModel] | None = None
    headers: tuple[str, ...] = ()
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    media: tuple[str, ...] = (JSON,)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method at one path: what serves it and what is told about it.

    Attributes:
        path: Template; `{name}` stands for a path parameter.
        errors: Statuses of problems beyond those that every operation may answer.
        content: Schemas of a body that no model describes, by what it may come as.
        is_protocol: Its errors have the shape of the Open Inference Protocol.
        is_full: Whether a request with such headers would be refused now, whatever it asks; None: it never is unheard.
        expect: Called for each request that `is_full` did not refuse, before a task is made of it.
        permission: What who asks must hold somewhere (`access/roles.py`); where, `run` looks itself. None only if `is_open`.
        is_open: Needs nobody to be known: no key, no session.
        is_told: Stands in the OpenAPI description.
    """

    method: str
    path: str
    name: str
    summary: str
    run: Callable[[Request], Awaitable[Response]]
    answers: Mapping[int, Answer] = field(default_factory=dict)
    body: type[BaseModel] | None = None
    parameters: tuple[Parameter, ...] = ()
    errors: tuple[int, ...] = ()
    content: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    is_protocol: bool = False
    is_full: Callable[[Sequence[tuple[bytes, bytes]]], bool] | None = None
    expect: Callable[[], None] | None = None
    permission: str | None = None
    is_open: bool = False
    is_told: bool = True


class Rendered(Response):
    """A 200 answer of JSON bytes, made without looking at headers that are known."""

    def __init__(self, body: bytes, *headers: tuple[bytes, bytes]) -> None:
        self.status_code = 200
        self.background = None
        self.body = body
        self.raw_headers = [*headers, (b"content-length", b"%d" % len(body)), JSON_HEADER]


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return plain values as a JSON answer."""
    return Response(to_json(content, inf_nan_mode="null"), status, headers, media_type=JSON)


def principal_of(request: Request) -> Principal | None:
    """Return who asks; None where no key is needed and none was given."""
    principal: Principal | None = request.scope.get("opsrail.principal")
    return principal


def actor_of(request: Request) -> str:
    """Return who asks, as records name them."""
    principal = principal_of(request)
    return "http" if principal is None else principal.name


def permit(request: Request, permission: str, scope: str) -> Principal:
    """Return who asks, after checking that they may do something to what lies in a scope.

    Args:
        scope: Name of the automation or decision point.

    Raises:
        Denied: not there. Nothing was done.
    """
    principal = principal_of(request)
    if principal is None or not principal.grants.may(permission, scope):
        raise Denied(f"this needs {permission} where it lies, and you do not hold it there")
    return principal


def scopes_of(request: Request, permission: str) -> frozenset[str] | None:
    """Return the scopes in which who asks holds a permission, for lists to be filtered by; None: in all."""
    return grants_of(request).scopes_of(permission)


def grants_of(request: Request) -> Grants:
    """Return what who asks may do where."""
    principal = principal_of(request)
    return NO_GRANTS if principal is None else principal.grants


def by_of(request: Request, given: str | None) -> str:
    """Return who acts, as records name them: whom a body names, or who is signed in.

    Args:
        given: The body's `by`; None: it names nobody, and whoever the request is of acts.

    Raises:
        Denied: it names another than the person who is signed in, or the key that was sent.
    """
    name = actor_of(request)
    if name.startswith(KNOWN):
        if given is not None and given not in (name, name.partition(":")[2]):
            raise Denied(f"`by` names another than {name}; leave it out, or name yourself")
        return name
    return name if given is None else given


def tenant_of(request: Request) -> str:
    """Return whose request it is."""
    principal = principal_of(request)
    return TENANT if principal is None else principal.tenant


def id_parameter(name: str, pattern: str, description: str) -> Parameter:
    """Return the description of an id in the path."""
    return Parameter(name, "path", {"type": "string", "pattern": f"^{pattern}$"}, description)


LIMIT_PARAMETER = Parameter(
    "limit",
    "query",
    {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE_COUNT, "default": PAGE_COUNT},
    "Largest number of rows.",
)
