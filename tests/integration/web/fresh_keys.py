"""A hook for schemathesis: no two of its requests share an idempotency key, as those of honest callers do not."""

from __future__ import annotations

import json
import re
from itertools import count
from typing import Any

import schemathesis

from opsrail.web.reading import KEY

NUMBERS = count()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    for name in case.headers or {}:
        if name.lower() == "idempotency-key" and re.fullmatch(KEY, str(case.headers[name])):
            case.headers[name] = f"key-{next(NUMBERS)}"


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leave out headers that a server does not know: they are ignored, not refused (RFC 9110, section 5.1)."""
    return not any(name.lower() == "x-schemathesis-unknown-property" for name in case.headers or {})


@schemathesis.serializer("application/jsonl")
def lines(context: Any, value: Any) -> bytes:
    """Write each row of a bulk request on a line of its own."""
    rows = value if isinstance(value, list) else [value]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
