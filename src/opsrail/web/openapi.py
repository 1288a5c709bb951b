"""Describes the operations that are served, as an OpenAPI 3.1 document. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from opsrail.web import answers
from opsrail.web.door import JSON, Answer, Operation, Parameter
from opsrail.web.problems import MEDIA_TYPE
from opsrail.web.protocol_answers import ProtocolError

REF = "#/components/schemas/{model}"
EVERYWHERE = (400, 403, 405, 500, 503)
WITH_BODY = (408, 413, 415, 422)
TRACEPARENT = Parameter(
    "traceparent", "header", {"type": "string"}, "W3C trace context; malformed: a new trace begins."
)
HEADERS: Mapping[str, Mapping[str, Any]] = {
    "Allow": {"description": "Methods that this path takes.", "schema": {"type": "string"}},
    "Content-Location": {
        "description": "Where the decision is found again.",
        "schema": {"type": "string"},
    },
    "Idempotent-Replayed": {
        "description": "`true`: an earlier request with the same key was answered with this.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "Link": {"description": "What the problem means (RFC 8288).", "schema": {"type": "string"}},
    "Location": {"description": "Where it is found.", "schema": {"type": "string"}},
    "Preference-Applied": {
        "description": "How long was waited at most (RFC 7240).",
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "When to try again, seconds.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {"description": "How to send the API key.", "schema": {"type": "string"}},
    "traceparent": {
        "description": "The trace; its id is the correlation id.",
        "schema": {"type": "string"},
    },
}
OF_STATUS: Mapping[int, tuple[str, ...]] = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    409: ("Retry-After",),
    503: ("Retry-After",),
}
Refs = Mapping[type[BaseModel], Mapping[str, Any]]


def document(operations: Iterable[Operation], *, version: str, needs_key: bool) -> dict[str, Any]:
    """Return the document.

    Args:
        version: Of opsrail.
        needs_key: Whether requests have to carry the API key.
    """
    told = [operation for operation in operations if operation.is_told]
    refs, schemas = _schemas(told)
    paths: dict[str, dict[str, Any]] = {}
    for operation in told:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(
            operation, refs, needs_key
        )
    components: dict[str, Any] = {"schemas": schemas, "headers": dict(HEADERS)}
    if needs_key:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "opsrail",
            "version": version,
            "description": "AI decisions inside operational work.",
        },
        "paths": paths,
        "components": components,
    }


def _schemas(operations: Sequence[Operation]) -> tuple[Refs, dict[str, Any]]:
    models = {operation.body for operation in operations if operation.body} | {answers.Problem}
    models |= {ProtocolError for operation in operations if operation.is_protocol}
    models |= {
        shown.model
        for operation in operations
        for shown in operation.answers.values()
        if shown.model
    }
    ordered = sorted(models, key=lambda model: (model.__module__, model.__qualname__))
    asked: list[tuple[type[BaseModel], JsonSchemaMode]] = [
        (model, "validation") for model in ordered
    ]
    found, schema = models_json_schema(asked, ref_template=REF)
    return {model: found[model, "validation"] for model in ordered}, schema.get("$defs", {})


def _operation(operation: Operation, refs: Refs, needs_key: bool) -> dict[str, Any]:
    errors = {
        *EVERYWHERE,
        *operation.errors,
        *(WITH_BODY if operation.body or operation.content else ()),
    }
    if needs_key and not operation.is_open:
        errors.add(401)
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [_parameter(one) for one in (*operation.parameters, TRACEPARENT)],
        "responses": {
            **{
                str(status): _problem(status, refs, operation.is_protocol)
                for status in sorted(errors)
            },
            **{
                str(status): _shown(status, shown, refs)
                for status, shown in operation.answers.items()
            },
        },
    }
    content = dict(operation.content)
    if operation.body is not None:
        content[JSON] = refs[operation.body]
    if content:
        described["requestBody"] = {
            "required": True,
            "content": {media: {"schema": dict(schema)} for media, schema in content.items()},
        }
    if needs_key:
        described["security"] = [{}] if operation.is_open else [{"key": []}]
    return described


def _shown(status: int, shown: Answer, refs: Refs) -> dict[str, Any]:
    schema = refs[shown.model] if shown.model else {}
    return {
        "description": shown.description,
        "headers": _headers(*shown.headers, *OF_STATUS.get(status, ())),
        "content": {media: {"schema": schema if media == JSON else {}} for media in shown.media},
        "links": {
            name: {"operationId": name, "parameters": dict(parameters)}
            for name, parameters in shown.links.items()
        },
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.is_required or parameter.place == "path",
        "schema": dict(parameter.schema),
        "description": parameter.description,
    }


def _problem(status: int, refs: Refs, is_protocol: bool) -> dict[str, Any]:
    media, model = (JSON, ProtocolError) if is_protocol else (MEDIA_TYPE, answers.Problem)
    return {
        "description": HTTPStatus(status).phrase,
        "headers": _headers(*OF_STATUS.get(status, ()), "Link"),
        "content": {media: {"schema": refs[model]}},
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*names, "traceparent")}
