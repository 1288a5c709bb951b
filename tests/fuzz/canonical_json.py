"""Canonical JSON: our bytes are those of the reference implementation, and what one refuses the other refuses."""

from __future__ import annotations

import json
from typing import Any

import rfc8785

from opsrail.errors import InvalidInput
from opsrail.values.canonical import canonical

SAMPLES = (
    b'{"a": 1e21, "\\ue000": 1, "\\ud800\\udc00": [1, -0.0, 5e-324, 1.7976931348623157e308]}',
    b"[9007199254740991, 9007199254740992, 1e15, 1e16, 1e-7, 123456789012345680000.0, 0.1]",
    b'{"a": NaN, "b": "\\ud800", "c": {"d": [true, false, null]}}',
    b"[" * 199 + b"]" * 199,
)


def run_one(data: bytes) -> None:
    """Write a value both ways."""
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        ours = canonical(value)
    except InvalidInput as refused:
        if any("nested" in fault.message for fault in refused.faults):
            return
        try:
            theirs = rfc8785.dumps(value)
        except (rfc8785.CanonicalizationError, UnicodeEncodeError):
            return
        raise AssertionError(f"refused, but is written as {theirs!r}") from refused
    assert ours == rfc8785.dumps(value)
    assert canonical(json.loads(ours)) == ours
