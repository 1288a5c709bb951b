"""Canonical bytes: one JSON text for one value (RFC 8785), made once, stored, hashed and never re-serialised.

orjson writes the text; it differs from RFC 8785 in numbers and in the order of keys beyond the Basic Multilingual Plane
alone, so numbers are put right before, and such keys take the reference implementation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import compress
from typing import Any

import orjson
import rfc8785

from opsrail.errors import Fault, InvalidInput

LARGEST_INTEGER = 2**53 - 1
"""Beyond it a reader that keeps numbers as doubles would read another value. Source: RFC 7493, section 2.2."""
DEEPEST = 200
"""Levels of nesting; orjson itself stops at 254."""
_CANONICAL = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER  # up to `LARGEST_INTEGER`


class Kinds(dict[type, bool]):
    """Tells by a value's type whether it has to be looked at: mapped over many values, all in C.

    Args:
        plain: Types whose values need no look.
    """

    def __init__(self, *plain: type) -> None:
        super().__init__(dict.fromkeys(plain, False))

    def __missing__(self, kind: type) -> bool:
        return True


_LISTS = (list, tuple)
_IS_ODD = Kinds(str, int, bool, type(None)).__getitem__


class _Odd(Exception):
    """The value must be refused, or written the long way."""


def canonical(value: object) -> bytes:
    """Return the RFC 8785 bytes of a value made of dict, list, tuple, str, int, float, bool and None.

    Raises:
        InvalidInput: something in it has no canonical form (NaN, infinity, integers of 2**53 and more, lone surrogates, keys
            that are not text, other types, nesting beyond 200). Terminal; all places are listed.

    Source:
        RFC 8785; agreement with the `rfc8785` package is property-tested.
    """
    try:
        return orjson.dumps(_plain(value, 0), option=_CANONICAL)
    except (_Odd, TypeError):  # of `join` for keys that are not text, of orjson for lone surrogates
        if faults := list(_faults(value, "", 0)):
            raise InvalidInput(
                "A value cannot be written as canonical JSON; change what is listed.", faults
            ) from None
        return rfc8785.dumps(_untyped(value))


def digest(content: bytes) -> str:
    """Return `sha256:<64 hex digits>` of the bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def written(record: dict[str, Any]) -> bytes:
    """Return the canonical bytes of a record whose shape is known, without looking at each value again.

    Args:
        record: Text, bool, None, lists and objects of those, integers below 2**53; floats that went through `number`; parts
            that are canonical bytes already as `part`. Its keys are ASCII.

    Raises:
        TypeError: a text holds half of a surrogate pair. `canonical` says where.
    """
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS)


def number(value: float | None) -> object:
    """Return a number as `written` takes it. Raises InvalidInput when it is not finite."""
    if value is None or (1e-4 <= value < 1e15 and value % 1.0):
        return value
    try:
        return _number(value)
    except _Odd:
        raise InvalidInput(
            "A value cannot be written as canonical JSON; change what is listed.",
            [Fault("", "is not a finite number")],
        ) from None


def numbers(values: Mapping[str, float]) -> Mapping[str, object]:
    """Return some numbers as `written` takes them. Raises InvalidInput when one is not finite."""
    found = values.values()
    fractions = [value % 1.0 for value in found]
    if fractions and all(fractions) and min(found) >= 1e-4 and max(found) < 1e15:
        return values
    return {name: number(value) for name, value in values.items()}


part = orjson.Fragment
"""Marks canonical bytes for `written`: they are taken over as they stand."""


def _plain(value: Any, depth: int) -> object:
    """Return the value as orjson must see it to write its canonical form; raise _Odd when there is no such thing."""
    if isinstance(value, dict):
        return _plain_object(value, depth)
    if isinstance(value, _LISTS):
        if depth >= DEEPEST:
            raise _Odd
        return [_plain(part, depth + 1) if _IS_ODD(type(part)) else part for part in value]
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, str) or value is None or value is True or value is False:
        return value
    if isinstance(value, int):
        return int(value)
    raise _Odd


def _plain_object(value: dict[str, Any], depth: int) -> object:
    """Return an object as `_plain` does; copied only when something in it changes, as most is text or a plain number."""
    if depth >= DEEPEST or (not (keys := "".join(value)).isascii() and max(keys) > "\uffff"):
        raise _Odd
    changed: dict[str, Any] | None = None
    for key, part in compress(value.items(), map(_IS_ODD, map(type, value.values()))):
        if type(part) is float and 1e-4 <= abs(part) < 1e15 and part % 1.0:
            continue
        if (put := _plain(part, depth + 1)) is not part:
            changed = dict(value) if changed is None else changed
            changed[key] = put
    return value if changed is None else changed


def _number(number: float) -> object:
    """Return what orjson writes as ECMAScript would."""
    if number == (whole := number // 1) and -1e15 < number < 1e15:
        return int(whole)
    size = abs(number)
    if 1e-4 <= size < 1e15:
        return number
    if size == float("inf") or number != number:
        raise _Odd
    return orjson.Fragment(_ecmascript(number))


def _ecmascript(number: float) -> str:
    """Return a finite number as ECMAScript's Number::toString does.

    Source:
        ECMA-262, Number::toString, steps 6-12; the digits are those of `repr`, the shortest that read back the same.
    """
    sign = "-" if number < 0 else ""
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    leading = len(whole + fraction) - len(digits)
    point = (
        len(whole) - leading + int(exponent or 0)
    )  # place of the decimal point, counted from the first digit
    digits = digits.rstrip("0")
    count = len(digits)
    if count <= point <= 21:
        return sign + digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    tail = f".{digits[1:]}" if count > 1 else ""
    return f"{sign}{digits[0]}{tail}e{point - 1:+d}"


def _faults(value: object, place: str, depth: int) -> Iterator[Fault]:
    """Yield everything that has no canonical form, with its place."""
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        if not _is_encodable(value):
            yield Fault(
                place, "holds half of a surrogate pair; only whole Unicode characters are allowed"
            )
    elif isinstance(value, int):
        if not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            yield Fault(place, "is an integer of 2**53 or more; send it as text")
    elif isinstance(value, float):
        if value != value or abs(value) == float("inf"):
            yield Fault(place, "is not a finite number")
    elif depth >= DEEPEST:
        yield Fault(place, f"is nested deeper than {DEEPEST} levels")
    elif isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str) or not _is_encodable(key):
                yield Fault(
                    place, f"has the key {key!r}; keys must be text of whole Unicode characters"
                )
            else:
                yield from _faults(part, f"{place}.{key}" if place else key, depth + 1)
    elif isinstance(value, list | tuple):
        for position, part in enumerate(value):
            yield from _faults(part, f"{place}[{position}]", depth + 1)
    else:
        yield Fault(place, f"is a {type(value).__name__}; only JSON values are allowed")


def _is_encodable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _untyped(value: object) -> Any:
    """Return the value with subclasses of text as text, for the reference implementation."""
    if isinstance(value, dict):
        return {str.__str__(key): _untyped(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_untyped(part) for part in value]
    return str.__str__(value) if isinstance(value, str) else value
