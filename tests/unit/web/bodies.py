"""The smallest body that each operation's description allows."""

from __future__ import annotations

import re
from typing import Any

import orjson

from opsrail.web.door import Operation

WORDS = (
    "claims-intake",
    "viewer",
    "fraud-risk",
    "x",
    "1",
    "a@1",
    "01K8ZC2V7N3T9D4M6Q0RWXYABC",
    "01K8ZC2V7N3T9D4M6Q0RWXYABC-1",
    "fraud-risk/1",
    "2026-01-01T00:00:00Z",
)
GIVEN: dict[str, Any] = {
    "plan_change": {
        "point": "fraud-risk", "kind": "deadline", "content": {"deadline_ms": 77}, "by": None, "reason": "a test",
    },
    "begin_rollout": {
        "point": "fraud-risk", "name": "fraud-risk", "number": 1, "reason": "a test",
        "steps": [{"share": 0.5, "hold_s": 60}],
    },
    "add_key": {"title": "x", "grants": [{"scope": "claims-intake", "role": "viewer"}]},
    "add_user": {"name": "tom", "grants": [{"scope": "claims-intake", "role": "viewer"}]},
    "grant_user": {"scope": "claims-intake", "role": "viewer"},
    "revoke_user": {"scope": "claims-intake", "role": "viewer"},
}  # fmt: skip
"""Bodies that a description alone does not lead to, or that must name a scope; `by` is left out."""


def body_of(operation: Operation) -> bytes:
    """Return an operation's smallest body."""
    if operation.name in GIVEN:
        given = {name: value for name, value in GIVEN[operation.name].items() if value is not None}
        return orjson.dumps(given)
    if operation.body is None:
        return b"{}\n"
    schema = operation.body.model_json_schema()
    value = _value(schema, schema.get("$defs", {}))
    value.pop("by", None)  # whose key it is says who acts
    return orjson.dumps(value)


def _value(schema: dict[str, Any], known: dict[str, Any]) -> Any:
    if "$ref" in schema:
        return _value(known[schema["$ref"].rpartition("/")[2]], known)
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return _value(schema[several][0], known)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        names = schema.get("required", ())
        return {name: _value(schema["properties"][name], known) for name in names}
    if kind == "array":
        return [_value(schema["items"], known) for _ in range(schema.get("minItems", 0))]
    if kind == "string":
        pattern = re.compile(schema.get("pattern", ""))
        shortest = schema.get("minLength", 0)
        fitting = (word for word in WORDS if len(word) >= shortest and pattern.search(word))
        return next(fitting, "x")
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    return kind == "boolean"
