"""HTTP bodies: what `check_json` lets in means the same to every reader."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson
from pydantic import BaseModel

from opsrail.values.canonical import LARGEST_INTEGER
from opsrail.web.problems import Malformed
from opsrail.web.reading import DEEPEST, check_json, model_of


class Claim(BaseModel):
    """A body's model, with every kind of field."""

    claim_id: str
    amount: float = 0
    count: int = 0
    is_insured: bool = True
    parts: list[dict[str, float]] = []


SAMPLES = (
    b'{"claim_id": "c-1", "amount": 120.5, "count": 3, "is_insured": true, "parts": [{"a": 1e2}]}',
    b'{"claim_id": "\\u00e9\\ud83d\\ude00", "amount": -0.0, "count": 42.0, "a": null}',
    b'{"a": 9007199254740991, "b": [1E+308, 1e-400, 0.1], "b\\u0061": {"c": ":,[{"}}',
    b'{"a": 1, "\\u0061": 2}',
    b'{"a": "\\ud800", "a": NaN, "b": 1e999, "c": 18446744073709551616}',
    b"[" * 33 + b"]" * 33,
)


def run_one(data: bytes) -> None:
    """Check a body, and that two readers and a third that counts agree about one that was let in."""
    try:
        check_json(data)
    except Malformed:
        return
    plain = json.loads(data, object_pairs_hook=_once, parse_constant=_constant)
    _must_agree(orjson.loads(data), plain, 0)
    model_of(Claim, data)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(pairs) == len(dict(pairs)), "a key stands twice"
    return dict(pairs)


def _constant(name: str) -> Any:
    raise AssertionError(f"{name} was let in")


def _must_agree(one: Any, other: Any, depth: int) -> None:
    assert type(one) is type(other), f"{one!r} to one reader, {other!r} to another"
    if isinstance(one, dict | list):
        assert depth < DEEPEST
        assert len(one) == len(other)
        for key in one if isinstance(one, dict) else range(len(one)):
            _must_agree(one[key], other[key], depth + 1)
        return
    assert repr(one) == repr(other), f"{one!r} to one reader, {other!r} to another"
    if type(one) is int:
        assert abs(one) <= LARGEST_INTEGER, "an integer that doubles cannot hold"
    if isinstance(one, float):
        assert math.isfinite(one), "a number that doubles cannot hold"
    if isinstance(one, str):
        one.encode()
