"""Reads what a form made from a JSON Schema sends back: text in, typed values out. Pure.

A field that nobody touched keeps its value bit for bit, whatever became of it as text: what the author's model accepts
survives being shown. Limits of the schema are checked where the ruling is, not here; here only what is no such value at all.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from opsrail.errors import Fault
from opsrail.web.console.schema_form import ABSENT, PREFIX, filled, same, text_of, texts_of
from opsrail.web.console.schema_shapes import Shape, shape_of

LONGEST_NUMBER = 400
"""Characters of a number. Ours: the longest double has 327 digits before its point."""
WHOLE = re.compile(r"[+-]?\d+(?:\.0*)?")
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


def read_fields(
    schema: Mapping[str, Any], before: Mapping[str, Any], sent: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Any], list[Fault]]:
    """Return the values of a form, and what in it is no value.

    Args:
        before: What stood in the fields when the form was shown.
        sent: What the browser sent, by field name.
    """
    reader = _Reader(sent)
    values = reader.group(PREFIX, shape_of(schema, schema), before)
    return values, reader.faults


class _Reader:
    def __init__(self, sent: Mapping[str, Sequence[str]]) -> None:
        self._sent = sent
        self.faults: list[Fault] = []

    def group(self, name: str, shape: Shape, before: Any) -> dict[str, Any]:
        given = before if isinstance(before, Mapping) else {}
        values = {key: value for key, value in given.items() if key not in shape.parts}
        for key, part in shape.parts.items():
            value = self.value(f"{name}.{key}", part, given.get(key, ABSENT))
            if value is not ABSENT:
                values[key] = value
        return values

    def value(self, name: str, shape: Shape, before: Any) -> Any:
        if shape.kind == "group":
            return self._optional_group(name, shape, before)
        if shape.kind == "list":
            return self._list(name, shape, before)
        if shape.kind == "choices":
            return self._choices(name, shape, before)
        text = one_line_end(next(iter(self._sent.get(name, ())), ""))
        is_text = shape.kind in ("integer", "number") and isinstance(before, str)
        is_asked = is_text or (before is ABSENT and shape.is_required)
        if not is_asked and is_untouched(shape, before, text):
            return before
        if shape.kind == "check":
            return text != ""
        if text.strip() == "" and (shape.kind != "text" or text == ""):
            return self._empty(name, shape)
        return self._typed(name, shape, text)

    def _optional_group(self, name: str, shape: Shape, before: Any) -> Any:
        """Return a group; one that was not there and that nobody touched stays away, one that was emptied goes."""
        shown = filled(shape, before)
        is_there = isinstance(shown, Mapping)
        may_go = shape.is_nullable or not shape.is_required
        may_stay_away = before is not ABSENT or not shape.is_required
        if not is_there and may_stay_away and self._is_as_shown(name, shape):
            return before
        known = len(self.faults)
        values = self.group(name, shape, shown)
        if is_there and may_go and values != shown and not self._has_text(name):
            del self.faults[known:]
            return None if shape.is_nullable else ABSENT
        return values

    def _is_as_shown(self, name: str, shape: Shape) -> bool:
        """Return whether what stands in for nothing came back as it was shown."""
        if shape.kind == "group":
            parts = shape.parts.items()
            return all(self._is_as_shown(f"{name}.{key}", part) for key, part in parts)
        if shape.kind == "choices":
            return set(self._sent.get(name, ())) == set(texts_of(shape, ABSENT))
        if shape.kind == "list":
            return self._list(name, shape, ABSENT) is ABSENT
        text = one_line_end(next(iter(self._sent.get(name, ())), ""))
        return is_untouched(shape, ABSENT, text)

    def _has_text(self, name: str) -> bool:
        return any(
            key.startswith(f"{name}.") and any(text.strip() for text in texts)
            for key, texts in self._sent.items()
        )

    def _list(self, name: str, shape: Shape, before: Any) -> Any:
        shown = filled(shape, before)
        items = shown if isinstance(shown, list) else []
        places = (key.removeprefix(f"{name}.") for key in self._sent if key.startswith(f"{name}."))
        count = 1 + max(
            (int(each) for each in places if re.fullmatch(r"\d{1,4}", each)), default=-1
        )
        assert shape.items is not None  # noqa: S101 - a list has them
        values = []
        for place in range(max(count, len(items))):
            item = items[place] if place < len(items) else ABSENT
            value = self.value(f"{name}.{place}", shape.items, item)
            if value is not ABSENT:
                values.append(value)
        is_same = len(values) == len(items) and all(map(same, values, items))
        if is_same and (before is not ABSENT or not shape.is_required):
            return before
        return values

    def _choices(self, name: str, shape: Shape, before: Any) -> Any:
        sent = self._sent.get(name, ())
        if set(sent) == set(texts_of(shape, before)):
            return before
        return [choice for at, choice in enumerate(shape.choices) if str(at) in sent]

    def _empty(self, name: str, shape: Shape) -> Any:
        """Return what an emptied field stands for."""
        if shape.is_nullable:
            return None
        if not shape.is_required:
            return ABSENT
        if shape.kind == "text":
            return ""
        self.faults.append(Fault(name, "needs a value"))
        return ABSENT

    def _typed(self, name: str, shape: Shape, text: str) -> Any:
        try:
            return READERS[shape.kind](shape, text)
        except ValueError as wrong:
            self.faults.append(Fault(name, str(wrong)))
            return ABSENT


def is_untouched(shape: Shape, before: Any, text: str) -> bool:
    """Return whether a field came back as it was shown."""
    shown = one_line_end(text_of(shape, before))
    return shown == text or (shape.kind != "json" and shown.replace("\n", "") == text)


def one_line_end(text: str) -> str:
    """Return text with line ends as browsers send those of all others."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _whole(_: Shape, text: str) -> int:
    text = text.strip()
    if len(text) > LONGEST_NUMBER or not WHOLE.fullmatch(text):
        raise ValueError("is no whole number")
    return int(text.partition(".")[0])


def _number(_: Shape, text: str) -> float:
    text = text.strip()
    if len(text) > LONGEST_NUMBER or not NUMBER.fullmatch(text):
        raise ValueError("is no number; write it with a point, e.g. 12.5")
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("is too large a number")
    return int(text) if re.fullmatch(r"[+-]?\d{1,15}", text) else number


def _amount(shape: Shape, text: str) -> float | str:
    """Return a decimal as a number where a double holds it exactly, so that its limits are checked; else as text."""
    text = text.strip()
    if len(text) > LONGEST_NUMBER or not NUMBER.fullmatch(text):
        raise ValueError("is no amount; write it with a point, e.g. 12.50")
    number = float(text)
    if not math.isfinite(number) or Decimal(repr(number)) != Decimal(text):
        return text
    return _number(shape, text)


def _choice(shape: Shape, text: str) -> Any:
    if not re.fullmatch(r"\d{1,4}", text) or int(text) >= len(shape.choices):
        raise ValueError("is none of the choices")
    return shape.choices[int(text)]


def _json(_: Shape, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("is nested too deep") from None
    except ValueError as wrong:
        raise ValueError(f"is no JSON: {wrong}") from None


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


READERS = {
    "text": lambda _, text: text,
    "day": lambda _, text: text.strip(),
    "moment": lambda _, text: text.strip(),
    "integer": _whole,
    "number": _number,
    "decimal": _amount,
    "choice": _choice,
    "json": _json,
}
