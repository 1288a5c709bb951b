"""A JSON Schema, as far as a form needs it: what kind of field each part is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

DEEPEST_GROUP = 1
"""Groups inside the form's own; what lies deeper is written as JSON. Ours: a form in three storeys is no form."""
MOST_REFERENCES = 16
"""References followed one after the other. Ours: a model that leads to itself ends here."""
LIMITS = (
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern",
    "minItems", "maxItems", "format",
)  # fmt: skip
MOST_PLACES = 12
MONEY_PLACES = 2
"""Digits behind the point of a decimal that does not say how many. Ours: it is money, mostly."""
MOMENTS = {"date-time": "2026-05-03T14:00:00Z", "time": "14:00:00Z", "duration": "PT1H30M"}
"""How each is written, e.g. Source: JSON Schema 2020-12, section 7.3.1: RFC 3339, with a time zone; ISO 8601 durations."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What one place of a schema takes.

    Attributes:
        kind: `text`, `day`, `moment`, `integer`, `number`, `decimal`, `check`, `choice`, `choices`, `list`, `group`, `json`.
        limits: The schema's own words for them.
        places: Digits that a number shows behind its point, at least; None: as many as it has.
        choices: JSON values of `choice` and `choices`.
        parts: Of `group`, by name.
        items: Of `list`.
    """

    kind: str
    label: str
    hint: str = ""
    is_required: bool = False
    is_nullable: bool = False
    default: Any = None
    has_default: bool = False
    limits: Mapping[str, Any] = field(default_factory=dict)
    choices: tuple[Any, ...] = ()
    parts: Mapping[str, Shape] = field(default_factory=dict)
    items: Shape | None = None
    places: int | None = None


def shape_of(
    schema: Mapping[str, Any],
    root: Mapping[str, Any],
    *,
    key: str = "",
    is_required: bool = True,
    depth: int = 0,
) -> Shape:
    """Return what a schema takes.

    Args:
        root: Whole schema, to which references refer.
        key: Name of the place, for a label where the schema has no title of its own: that of what it refers to is the name
            of a class, the same wherever that is used.
        depth: Groups around it.
    """
    plain, is_nullable = flat(schema, root)
    kind = _kind(plain, depth)
    given: dict[str, Any] = {
        "label": str(schema.get("title") or _words(key) or plain.get("title") or ""),
        "hint": str(plain.get("description") or ""),
        "is_required": is_required,
        "is_nullable": is_nullable,
        "default": plain.get("default"),
        "has_default": "default" in plain,
        "limits": {name: plain[name] for name in LIMITS if name in plain},
        "places": _places(plain, kind),
    }
    if kind == "group":
        needed = plain.get("required", ())
        parts = {
            name: shape_of(part, root, key=name, is_required=name in needed, depth=depth + 1)
            for name, part in plain["properties"].items()
        }
        return Shape("group", parts=parts, **given)
    if kind == "list":
        items = shape_of(plain["items"], root, key="", is_required=False, depth=depth + 1)
        if items.kind in ("choice", "check") and plain.get("uniqueItems") and items.choices:
            return Shape("choices", choices=items.choices, **given)
        if items.kind in ("group", "list", "choices", "check", "json"):
            return Shape("json", **given)
        return Shape("list", items=items, **given)
    if kind == "check" and (is_nullable or not (is_required or "default" in plain)):
        return Shape("choice", choices=(True, False), **given)
    return Shape(kind, choices=_choices(plain), **given)


def flat(schema: Mapping[str, Any], root: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return a schema without references and choices of one, and whether it takes null."""
    plain, is_nullable = dict(schema), False
    for _ in range(MOST_REFERENCES):
        if "$ref" in plain:
            target = _target(str(plain.pop("$ref")), root)
        elif len(plain.get("allOf", ())) == 1:
            (target,) = plain.pop("allOf")
        elif word := next((each for each in ("anyOf", "oneOf") if each in plain), None):
            offered = [each for each in plain[word] if each.get("type") != "null"]
            is_nullable = is_nullable or len(offered) < len(plain[word])
            if len(offered) != 1:
                return plain | {word: offered}, is_nullable
            del plain[word]
            (target,) = offered
        else:
            break
        plain = {**target, **plain}
    kinds = plain.get("type")
    if isinstance(kinds, list):
        rest = [each for each in kinds if each != "null"]
        is_nullable = is_nullable or len(rest) < len(kinds)
        plain["type"] = rest[0] if len(rest) == 1 else rest
    if "enum" in plain and None in plain["enum"]:
        plain["enum"] = [each for each in plain["enum"] if each is not None]
        is_nullable = True
    return plain, is_nullable


def _target(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a reference leads to; what is nowhere takes anything."""
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        found = found.get(name, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _kind(plain: Mapping[str, Any], depth: int) -> str:
    if _choices(plain):
        return "choice"
    offered = plain.get("anyOf", plain.get("oneOf"))
    if offered is not None:
        kinds = {each.get("type") for each in offered}
        return "decimal" if kinds == {"number", "string"} else "json"
    kind = plain.get("type")
    if kind == "string":
        form = plain.get("format")
        return "day" if form == "date" else "moment" if form in MOMENTS else "text"
    if kind in ("integer", "number"):
        return str(kind)
    if kind == "boolean":
        return "check"
    if kind == "array" and "items" in plain and "prefixItems" not in plain:
        return "list"
    is_closed = plain.get("additionalProperties") in (None, False)
    if kind == "object" and plain.get("properties") and depth <= DEEPEST_GROUP and is_closed:
        return "group"
    return "json"


def _places(plain: Mapping[str, Any], kind: str) -> int | None:
    """Return how many digits a number shows behind its point: as many as its smallest step has."""
    if kind not in ("number", "decimal"):
        return None
    step = plain.get("multipleOf")
    if isinstance(step, int | float):
        _, digits, exponent = Decimal(repr(step)).normalize().as_tuple()
        if digits == (1,) and isinstance(exponent, int) and -MOST_PLACES <= exponent <= 0:
            return -exponent
    is_money = kind == "decimal" or plain.get("format") == "decimal"
    return MONEY_PLACES if is_money and step is None else None


def _choices(plain: Mapping[str, Any]) -> tuple[Any, ...]:
    if "enum" in plain:
        return tuple(plain["enum"])
    return (plain["const"],) if "const" in plain else ()


def _words(key: str) -> str:
    return key.replace("_", " ").strip().capitalize()
