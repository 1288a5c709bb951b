"""Reads the parts of a stored record back: each as it was, or an error that says which is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson

from opsrail.errors import Fault, InvalidInput
from opsrail.values.explanations import (
    AGAINSTS,
    DIRECTIONS,
    METHODS,
    SPACES,
    ReasonCode,
    ReasonCodes,
)

_T = TypeVar("_T")
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What comes of reading a record that was altered: of numbers beyond a double, and of deep nesting, the last two."""


def unreadable(wrong: Exception) -> InvalidInput:
    """Return what a decision's record that cannot be read is refused with."""
    told = f"{type(wrong).__name__}: {wrong}"
    if isinstance(wrong, KeyError):
        told = f"{wrong.args[0]!r} is missing"
    return InvalidInput(
        "a decision's record cannot be read; compare it with docs/decisions.md",
        [Fault("record", told)],
    )


def tree_of(record: str) -> Any:
    """Return what a stored text holds. Raises InvalidInput: it is no JSON."""
    try:
        return orjson.loads(record)
    except orjson.JSONDecodeError as wrong:
        raise unreadable(wrong) from wrong


def codes_record(told: ReasonCodes) -> dict[str, Any]:
    """Return reason codes as plain JSON values."""
    return {**told._asdict(), "codes": [code._asdict() for code in told.codes]}


def codes_read(record: Mapping[str, Any] | None) -> ReasonCodes | None:
    """Return reason codes; None also for a record from before there were any."""
    if record is None:
        return None
    if record["absent"] is not None:
        return ReasonCodes(None, None, None, None, (), record["absent"])
    codes = tuple(
        ReasonCode(
            text_of(code, "code"),
            text_of(code, "feature"),
            plain(code["value"]),
            float(code["contribution"]),
            one_of(DIRECTIONS, code["direction"]),
            text_of(code, "text"),
        )
        for code in record["codes"]
    )
    return ReasonCodes(
        one_of(METHODS, record["method"]),
        one_of(SPACES, record["space"]),
        one_of(AGAINSTS, record["against"]),
        float(record["baseline"]),
        codes,
    )


def plain(value: Any) -> Any:
    """Return a JSON value with whole numbers of 2**53 and more as the doubles that they were."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        return float(value)
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list) else value


def text_of(record: Mapping[str, Any], name: str) -> str:
    """Return a text. Raises TypeError: it is none."""
    if not isinstance(value := record[name], str):
        raise TypeError(f"{name} is not text")
    return value


def number_of(value: Any) -> float | None:
    """Return a number as a float, None as it is."""
    return None if value is None else float(value)


def one_of(choices: tuple[str, ...], value: _T) -> _T:
    """Return a word. Raises ValueError: it is none of the choices."""
    if value not in choices:
        raise ValueError(f"{value!r} is none of {', '.join(choices)}")
    return value
