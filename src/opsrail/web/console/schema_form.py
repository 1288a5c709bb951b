"""A form made from a JSON Schema: what a browser is to show for it. Pure; `schema_values.py` reads what comes back.

Both walk the schema in the same way, so a field has one name on the way out and back. What HTML has no field for is
written as JSON in a text area, so that nothing an author's model can say is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from opsrail.errors import Fault
from opsrail.web.console.schema_shapes import MOMENTS, Shape, shape_of

PREFIX = "fields"
"""How the names of all fields begin; the places of faults do, too."""
SPARE_ITEMS = 2
"""Empty places after those of a list, so that one can be added without JavaScript. Ours."""
PLAIN_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,12})?")
LONG_CHARACTERS = 200
"""Text that may be longer gets an area of several lines. Ours."""
DAY = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])")
PLACE = re.compile("[0-9]{1,4}")
"""The end of the name of a list's item."""
_SET = r"\[\^?(?:[A-Za-z0-9]-[A-Za-z0-9]|[A-Za-z0-9_ .,:@]|\\[dwsDWS.-])+\]"
_TOKEN = rf"(?:{_SET}|[A-Za-z0-9_ ,:@-]|\\[dwsDWS.]|\((?:\?:)?|\)|[?*+.]|\{{\d+(?:,\d*)?\}})"
PLAIN_PATTERN = re.compile(rf"\^({_TOKEN}*)\$")
"""Patterns that mean the same in HTML, which reads them with the strict flag `v`; others are left to the server."""


class Absent:
    """The value of a field that is not there."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class FormField:
    """One field of a form, as a template shows it.

    Attributes:
        name: What the browser sends it as, e.g. `fields.amount_usd`.
        kind: `text`, `area`, `number`, `day`, `choice`, `choices`, `check`, `json`, `group` or `list`.
        value: What stands in it; of `check` `on` or nothing.
        chosen: Values of the options that are chosen, of `choices`.
        attributes: HTML attributes by which the browser checks it.
        options: (value, label) of `choice` and `choices`.
        is_needed: Whether a person must fill it in.
        parts: Fields inside a `group` or `list`.
    """

    name: str
    label: str
    kind: str
    hint: str = ""
    value: str = ""
    chosen: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    options: tuple[tuple[str, str], ...] = ()
    is_needed: bool = False
    faults: tuple[str, ...] = ()
    parts: tuple[FormField, ...] = ()


def form_fields(
    schema: Mapping[str, Any],
    values: Mapping[str, Any],
    faults: Iterable[Fault] = (),
    typed: Mapping[str, Sequence[str]] | None = None,
) -> tuple[FormField, ...]:
    """Return the fields of a form.

    Args:
        schema: JSON Schema of an object, as pydantic writes it.
        values: What stands in the fields at first.
        faults: What the server found wrong; `place` names a field.
        typed: What a person typed before, by field name; it stands in the fields instead of the values.
    """
    said: dict[str, list[str]] = {}
    for fault in faults:
        said.setdefault(fault.place, []).append(fault.message)
    shape = shape_of(schema, schema)
    return _Maker(said, typed).parts(PREFIX, shape, values, is_forced=True)


def unplaced(fields: Sequence[FormField], faults: Iterable[Fault]) -> list[Fault]:
    """Return the faults that no field of a form shows."""
    shown: set[str] = set()

    def walk(each: FormField) -> None:
        shown.add(each.name)
        for part in each.parts:
            walk(part)

    for each in fields:
        walk(each)
    return [fault for fault in faults if fault.place not in shown]


class _Maker:
    """Makes fields of shapes, with what was found wrong and what was typed."""

    def __init__(
        self, said: Mapping[str, Sequence[str]], typed: Mapping[str, Sequence[str]] | None
    ) -> None:
        self._said = said
        self._typed = typed

    def parts(
        self, name: str, shape: Shape, values: Any, *, is_forced: bool
    ) -> tuple[FormField, ...]:
        given = values if isinstance(values, Mapping) else {}
        return tuple(
            self.made(f"{name}.{key}", part, given.get(key, ABSENT), is_forced=is_forced)
            for key, part in shape.parts.items()
        )

    def made(self, name: str, shape: Shape, value: Any, *, is_forced: bool) -> FormField:
        """Return a field.

        Args:
            is_forced: Whether what it stands in must be there; else the browser may not ask for it.
        """
        is_needed = shape.is_required and is_forced
        around: dict[str, Any] = {
            "name": name,
            "label": shape.label,
            "hint": shape.hint,
            "faults": tuple(self._said.get(name, ())),
        }
        if shape.kind == "group":
            is_asked = is_needed and not shape.is_nullable
            parts = self.parts(name, shape, filled(shape, value), is_forced=is_asked)
            return FormField(kind="group", parts=parts, **around)
        if shape.kind == "list" and shape.items is not None:
            return FormField(kind="list", parts=self._items(name, shape, value), **around)
        options = tuple((str(place), told(each)) for place, each in enumerate(shape.choices))
        if shape.kind == "choices":
            chosen = texts_of(shape, value)
            if self._typed is not None:
                chosen = tuple(self._typed.get(name, ()))
            return FormField(kind="choices", chosen=chosen, options=options, **around)
        text = text_of(shape, value)
        if self._typed is not None:
            text = next(iter(self._typed.get(name, ())), "")
        return FormField(
            kind=_shown_kind(shape, text),
            value=text,
            options=options,
            attributes=attributes_of(shape, is_needed=is_needed),
            is_needed=is_needed and not _may_be_empty(shape),
            **around,
        )

    def _items(self, name: str, shape: Shape, value: Any) -> tuple[FormField, ...]:
        items = filled(shape, value)
        items = items if isinstance(items, list) else []
        if self._typed is not None:
            begin = f"{name}."
            ends = (key.removeprefix(begin) for key in self._typed if key.startswith(begin))
            places = [int(end) for end in ends if PLACE.fullmatch(end)]
            count = min(1 + max(places, default=-1), len(places))  # a browser leaves none out
        else:
            count = len(items) + SPARE_ITEMS
        most = shape.limits.get("maxItems")
        count = count if most is None else min(count, max(int(most), len(items)))
        assert shape.items is not None  # noqa: S101 - the caller looked
        return tuple(
            self.made(
                f"{name}.{place}",
                shape.items,
                items[place] if place < len(items) else ABSENT,
                is_forced=False,
            )
            for place in range(count)
        )


def filled(shape: Shape, value: Any) -> Any:
    """Return what a field shows at first: its value, or the schema's default where there is none."""
    return shape.default if value is ABSENT and shape.has_default else value


def text_of(shape: Shape, value: Any) -> str:
    """Return the text that a field of one value shows and sends back; empty for null and for nothing."""
    value = filled(shape, value)
    if value is ABSENT or value is None:
        return ""
    if shape.kind == "choice":
        return next((str(at) for at, each in enumerate(shape.choices) if same(each, value)), "")
    if shape.kind == "check":
        return "on" if value is True else ""
    if shape.kind == "json":
        return json.dumps(value, ensure_ascii=False, indent=2)
    if shape.places is not None and (shown := _with_places(value, shape.places)):
        return shown
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _with_places(value: Any, places: int) -> str:
    """Return a number with so many digits behind its point; empty where it has more, or is none of a usual size."""
    if isinstance(value, bool) or not PLAIN_NUMBER.fullmatch(str(value)):
        return ""
    exact = Decimal(str(value))
    shown = exact.quantize(Decimal(1).scaleb(-places))
    return f"{shown:f}" if shown == exact else ""


def texts_of(shape: Shape, value: Any) -> tuple[str, ...]:
    """Return the options of a field of several choices that are chosen, in the order of the options."""
    value = filled(shape, value)
    given = value if isinstance(value, list) else []
    return tuple(
        str(at)
        for at, choice in enumerate(shape.choices)
        if any(same(choice, each) for each in given)
    )


def same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are the same: 1 is 1.0, but not True."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def told(value: Any) -> str:
    """Return a choice as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def attributes_of(shape: Shape, *, is_needed: bool) -> dict[str, str]:
    """Return the HTML attributes with which a browser checks what a schema asks for, as far as HTML can say it."""
    limits, given = shape.limits, {}
    if is_needed and shape.kind != "check" and not _may_be_empty(shape):
        given["required"] = "required"
    if shape.kind in ("integer", "number"):
        given |= _bounds(shape)
    if shape.kind == "text":
        given |= {
            html: str(limits[said])
            for said, html in (("minLength", "minlength"), ("maxLength", "maxlength"))
            if said in limits
        }
        plain = PLAIN_PATTERN.fullmatch(str(limits.get("pattern", "")))
        if plain and plain[1]:
            given |= {"pattern": plain[1], "title": f"matches {plain[1]}"}
    if shape.kind == "decimal":
        given |= {"inputmode": "decimal", "pattern": r"[+\-]?\d*(\.\d*)?", "title": "e.g. 12.50"}
    if shape.kind == "moment":
        given["placeholder"] = MOMENTS[limits["format"]]
    return given


def _bounds(shape: Shape) -> dict[str, str]:
    limits = shape.limits
    is_whole = shape.kind == "integer"
    least, most = limits.get("minimum"), limits.get("maximum")
    if "exclusiveMinimum" in limits:
        least = limits["exclusiveMinimum"] + 1 if is_whole else limits["exclusiveMinimum"]
    if "exclusiveMaximum" in limits:
        most = limits["exclusiveMaximum"] - 1 if is_whole else limits["exclusiveMaximum"]
    step = limits.get("multipleOf")
    if step is None or (least is not None and least % step):  # HTML counts steps from `min`
        step = 1 if is_whole and not isinstance(least, float) else "any"
    bounds = {"min": least, "max": most, "step": step}
    return {name: str(bound) for name, bound in bounds.items() if bound is not None}


def _may_be_empty(shape: Shape) -> bool:
    """Return whether an empty field is an answer: an empty text that the schema allows, or null."""
    return shape.is_nullable or (shape.kind == "text" and not shape.limits.get("minLength"))


def _shown_kind(shape: Shape, text: str) -> str:
    if shape.kind == "text":
        is_long = shape.limits.get("maxLength", 0) > LONG_CHARACTERS
        return "area" if is_long or "\n" in text or "\r" in text else "text"
    if shape.kind == "day":
        return "day" if not text or DAY.fullmatch(text) else "text"
    return {"integer": "number", "decimal": "text", "moment": "text"}.get(shape.kind, shape.kind)
