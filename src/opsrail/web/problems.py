"""Errors as HTTP answers: the one table of status codes, and problem details after RFC 9457.

Below 500 the error's own text is told: it is about the request. From 500 on the text is generic, and the correlation id
leads to the log; what went wrong inside is nobody's business outside. Which packages are missing is.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.responses import Response

from opsrail import errors
from opsrail.access.keys import Unauthenticated
from opsrail.access.signing_in import SignInRefused, TooManyTries
from opsrail.telemetry import CORRELATION

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:opsrail:problem:"
MOST_FAULTS = 100
MOST_TOLD = 10
"""Faults in one line of text."""
JSON = "application/json"
PROTOCOL = "/v2"
"""Where the Open Inference Protocol is spoken, whose errors have another shape."""
KEPT_IN_PROTOCOL = ("code", "correlation_id", "retry_after_s")
RETRY_AFTER_S = 1
LIST = "/v1/problems"
INTERNAL = "Something went wrong inside opsrail; its log has it under the correlation id."
HELD = (
    "The database is not the one whose checkpoint was kept outside it; it can be read. Nothing was accepted until an "
    "operator has looked at it: opsrail ledger acknowledge."
)
DOWN = "A part that this needs is not available now; nothing was accepted. Try again."


class Malformed(errors.InvalidInput):
    """The request is no well-formed JSON, or a header or query parameter is wrong. Send it right."""

    code = "malformed"


class TooLarge(errors.Terminal):
    """The request's body is larger than `web.body_bytes`. Send less."""

    code = "too-large"


class NotJson(errors.Terminal):
    """The request's body is declared as something that is not taken there, mostly else than plain `application/json`."""

    code = "not-json"


class TooSlow(errors.Retryable):
    """The request's body did not arrive in time."""

    code = "too-slow"


class Row(NamedTuple):
    """How a class of errors is answered.

    Attributes:
        detail: Generic text; None: the error's own.
    """

    status: int
    title: str
    detail: str | None = None


_INTERNAL = Row(500, "Internal error", INTERNAL)
_DOWN = Row(503, "Not available", DOWN)
_HELD = Row(503, "Read only", HELD)
_CONFLICT = Row(409, "Somebody else was first")

PROBLEMS: Mapping[type[Exception], Row] = {
    Exception: _INTERNAL,
    errors.OpsrailError: _INTERNAL,
    errors.Terminal: _INTERNAL,
    errors.InvalidInput: Row(422, "The input is not valid"),
    errors.OutOfTime: Row(409, "The moment contradicts what is recorded"),
    errors.Contradictory: Row(409, "The parts contradict each other"),
    errors.NotFound: Row(404, "Not found"),
    errors.ConfigInvalid: _INTERNAL,
    errors.MissingExtra: Row(500, "Packages are not installed"),
    errors.AuthorError: _INTERNAL,
    errors.SwallowedSuspension: _INTERNAL,
    errors.NondeterministicJournal: _INTERNAL,
    errors.UnknownName: _INTERNAL,
    errors.NotDurable: _INTERNAL,
    errors.BlockedLoop: _INTERNAL,
    errors.StepFailed: _INTERNAL,
    errors.NotExplainable: Row(422, "The decision cannot be explained so"),
    errors.ArtifactRefused: Row(422, "The artifact is refused"),
    errors.LedgerBroken: Row(500, "The ledger does not verify", INTERNAL),
    errors.WeakDurability: _INTERNAL,
    errors.SchemaMismatch: _INTERNAL,
    errors.Retryable: _DOWN,
    errors.Overloaded: Row(
        503, "Overloaded", "Too much work waits already; nothing was accepted. Try again later."
    ),
    errors.TimedOut: Row(504, "Timed out", "It took too long; what it did may have happened."),
    errors.ReaderCrashed: _DOWN,
    errors.Conflict: Row(409, "Conflict"),
    errors.KeyReused: Row(422, "The idempotency key is taken"),
    errors.InFlight: Row(409, "The same request is still running"),
    errors.AlreadyRuled: _CONFLICT,
    errors.StaleWrite: _CONFLICT,
    errors.DataDirInUse: _DOWN,
    errors.Denied: Row(403, "Not allowed"),
    errors.Unavailable: _DOWN,
    errors.ReadOnly: _HELD,
    errors.FeaturesUnavailable: _DOWN,
    errors.ModelUnavailable: _DOWN,
    errors.ModelCrashed: _DOWN,
    errors.ModelStarting: _DOWN,
    errors.ModelQuarantined: _DOWN,
    errors.DeadlinePassed: Row(
        504, "No answer in time", "No answer could be had in time. Try again."
    ),
    errors.StoreUnavailable: _DOWN,
    errors.Fenced: _DOWN,
    Unauthenticated: Row(401, "An API key is needed"),
    SignInRefused: Row(403, "Not signed in"),
    TooManyTries: Row(429, "Too many tries"),
    Malformed: Row(400, "The request is malformed"),
    TooLarge: Row(413, "The body is too large"),
    NotJson: Row(415, "Not a format that is taken here"),
    TooSlow: Row(408, "The body took too long"),
}
"""Every error class; one without a row is answered as the nearest class above it."""

ROUTING: Mapping[int, tuple[str, str]] = {
    404: ("no-such-path", "There is nothing at this path; GET / lists what there is."),
    405: (
        "method-not-allowed",
        "This path does not take that method; the Allow header says which it takes.",
    ),
}


def status_of(error: type[Exception]) -> int:
    """Return the status that a class of errors is answered with."""
    return row_of(error).status


def row_of(error: type[Exception]) -> Row:
    """Return the row of the nearest class that has one."""
    return next(PROBLEMS[parent] for parent in error.__mro__ if parent in PROBLEMS)


def respond(error: Exception, path: str = "") -> Response:
    """Return the answer to an error of a request to a path."""
    if isinstance(error, HTTPException):
        return _routing(error, path)
    return _response(*problem_of(error), path)


def problem_of(error: Exception) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what is told of an error: problem details, and the headers that go with them."""
    error = errors.missing_extra(error, "This") or error
    row = row_of(type(error))
    code = (
        error.code
        if isinstance(error, errors.OpsrailError) and row is not _INTERNAL
        else "internal"
    )
    body: dict[str, Any] = _body(code, row.title, row.status, row.detail or _told(error))
    headers: dict[str, str] = {}
    if isinstance(error, errors.InvalidInput) and row.status < 500:
        body["faults"] = [fault_record(fault) for fault in error.faults[:MOST_FAULTS]]
    if row.status == 401:
        headers["www-authenticate"] = "Bearer"
    if row.status in (429, 503) or isinstance(error, errors.InFlight):
        after_s = math.ceil(getattr(error, "after_s", None) or RETRY_AFTER_S)
        headers["retry-after"] = str(after_s)
        body["retry_after_s"] = after_s
    return body, headers


def catalogue() -> dict[str, dict[str, Any]]:
    """Return every problem that may be answered, by code: its type, title, status, and what it means to the caller."""
    told = {"internal": (_INTERNAL.title, _INTERNAL.status, INTERNAL)}
    for error, row in PROBLEMS.items():
        if row is not _INTERNAL and issubclass(error, errors.OpsrailError):
            told[error.code] = (row.title, row.status, inspect.cleandoc(error.__doc__ or row.title))
    for status, (code, meaning) in ROUTING.items():
        told[code] = (HTTPStatus(status).phrase, status, meaning)
    return {
        code: {
            "type": TYPE_PREFIX + code,
            "title": title,
            "status": status,
            "meaning": " ".join(meaning.split()),
        }
        for code, (title, status, meaning) in sorted(told.items())
    }


def fault_record(fault: errors.Fault) -> dict[str, str]:
    """Return a fault as plain JSON values."""
    return {"place": fault.place, "message": fault.message}


def _routing(error: HTTPException, path: str) -> Response:
    code, detail = ROUTING.get(error.status_code, ("http", error.detail))
    body = _body(code, error.detail, error.status_code, detail)
    return _response(body, dict(error.headers or {}), path)


def _told(error: Exception) -> str:
    return error.summary if isinstance(error, errors.InvalidInput) else str(error)


def _body(code: str, title: str, status: int, detail: str) -> dict[str, Any]:
    return {
        "type": TYPE_PREFIX + code,
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "correlation_id": CORRELATION.get(),
    }


def _response(body: dict[str, Any], headers: dict[str, str], path: str) -> Response:
    headers["link"] = f'<{LIST}#/problems/{body["code"]}>; rel="describedby"'
    if path.startswith(PROTOCOL) and path[len(PROTOCOL) :][:1] in ("", "/"):
        kept = {name: body[name] for name in KEPT_IN_PROTOCOL if name in body}
        told = {"error": protocol_text(body), **kept}
        return Response(to_json(told), _protocol_status(body), headers, JSON)
    return Response(to_json(body), body["status"], headers, media_type=MEDIA_TYPE)


def protocol_text(problem: Mapping[str, Any]) -> str:
    """Return a problem in one line: clients of the Open Inference Protocol show that, and nothing else."""
    listed = [f"{fault['place']}: {fault['message']}" for fault in problem.get("faults", ())]
    return "; ".join((problem["detail"], *listed[:MOST_TOLD]))


def _protocol_status(body: Mapping[str, Any]) -> int:
    """Return the status that the protocol has for it: a wrong input is a bad request there."""
    status: int = body["status"]
    return 400 if body["code"] == errors.InvalidInput.code else status
