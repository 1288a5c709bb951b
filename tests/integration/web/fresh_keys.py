"""Hooks for schemathesis: no two requests share an idempotency key, and every second one is about a point that is there.

Honest callers do not share keys. And a point of a random name is always 404, which would hide what becomes of a body.
"""

from __future__ import annotations

import json
import os
import re
from itertools import count
from typing import Any

import httpx
import schemathesis

from opsrail.web.reading import KEY

NUMBERS = count()
POINT = "fraud-risk"
ADMIN = {"authorization": f"Bearer {os.environ['OPSRAIL_WEB__API_KEY']}"}
JOBS = ("/v1/points", "/v1/features", "/v1/models", "/v1/training-sets")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    for name in case.headers or {}:
        if name.lower() == "idempotency-key" and re.fullmatch(KEY, str(case.headers[name])):
            case.headers[name] = f"key-{next(NUMBERS)}"
    if case.meta is None or case.meta.generation.mode.is_positive:
        _name_a_point(case)


def _name_a_point(case: Any) -> None:
    """Let every second request be about the point that the server has."""
    if next(NUMBERS) % 2:
        return
    if "point" in (case.path_parameters or {}):
        case.path_parameters["point"] = POINT
    if isinstance(case.body, dict) and "point" in case.body and case.body["point"] is not None:
        case.body["point"] = POINT


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """Take back what waits or is kept, as it is wanted by nobody: 20 jobs wait at most, and 50 files are kept."""
    told = response.json() if response.status_code in (201, 202) else {}
    base = case.operation.schema.get_base_url().rstrip("/")
    if response.status_code == 202 and case.path.startswith(JOBS):
        httpx.post(f"{base}/v1/jobs/{told['id']}/cancel", headers=ADMIN, timeout=20)
    elif response.status_code == 201 and case.path == "/v1/files":
        httpx.delete(f"{base}/v1/files/{told['id']}", headers=ADMIN, timeout=20)


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leave out headers that a server does not know: they are ignored, not refused (RFC 9110, section 5.1)."""
    return not any(name.lower() == "x-schemathesis-unknown-property" for name in case.headers or {})


@schemathesis.serializer("application/jsonl")
def lines(context: Any, value: Any) -> bytes:
    """Write each row of a bulk request on a line of its own."""
    rows = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
