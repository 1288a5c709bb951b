"""Model cards: what a version is for, what it was made from and where it fails, told by whoever made it. Pure.

Nothing has to be told, but what is not told is shown as a gap, wherever a card is shown.

Source:
    Mitchell et al. 2019, Model cards for model reporting, section 4: the nine sections. Owner, tier and revision of the code
    are what an inventory of models has to hold (SR 26-2; Regulation (EU) 2024/1689, annex IV).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import orjson

from opsrail.errors import Fault, InvalidInput, MissingExtra
from opsrail.values.canonical import canonical

SECTIONS: Mapping[str, str] = {
    "model_details": "who made it, when, what kind of model it is",
    "intended_use": "what it is for, by whom, and what it is not for",
    "factors": "groups and circumstances in which it may do better or worse",
    "metrics": "what is measured, why that, and at which thresholds",
    "evaluation_data": "what it was measured on, and why on that",
    "training_data": "what it was made from",
    "quantitative_analyses": "figures for each group, alone and combined",
    "ethical_considerations": "whom it may harm, and what was done about that",
    "caveats": "limits, and advice to whoever uses it",
}
"""Sections of a card and what each should tell."""
FACTS: Mapping[str, str] = {
    "owner": "who answers for it",
    "licence": "under what it may be used",
    "code_revision": "revision of the code that trained it",
    "risk_tier": "low, medium or high: what a wrong verdict costs",
}
TIERS = ("low", "medium", "high")
MISSING = "MISSING"
FIXED = ("cost_usd", "isolation", "pools", "risk_tier")
"""What requests are routed or changes approved by: it stands in the version, and no later wording changes it."""
CARD_BYTES = 200_000
FACT_CHARACTERS = 500
Card = Mapping[str, object]


def is_routed_alike(known: Card, told: Card) -> bool:
    """Return whether a card says what is told of what no later wording changes; what is not told may be anything."""
    return all(_fixed(known, name) == _fixed(told, name) for name in FIXED if name in told)


def _fixed(card: Card, name: str) -> str | None:
    told = card.get(name)
    return None if told in (None, "none") else canonical(told).decode()


def gaps(card: Card) -> list[str]:
    """Return what a card should tell and this one does not."""
    return [name for name in (*FACTS, *SECTIONS) if _is_empty(card.get(name))]


def _is_empty(told: object) -> bool:
    return told in (None, [], {}) or (isinstance(told, str) and not told.strip())


def telling_faults(card: Card) -> Iterator[Fault]:
    """Yield what is wrong with what a card tells."""
    for name in FACTS:
        told = card.get(name)
        if told is None:
            continue
        if not isinstance(told, str) or not 1 <= len(told.strip()) <= FACT_CHARACTERS:
            yield Fault(f"card.{name}", f"is no text of 1 to {FACT_CHARACTERS} characters")
        elif name == "risk_tier" and told not in TIERS:
            yield Fault(f"card.{name}", f"{told[:80]!r} is none of {', '.join(TIERS)}")
    for name in SECTIONS:
        if not isinstance(told := card.get(name), str | list | dict | None):
            yield Fault(f"card.{name}", f"{told!r} is no text, list or object")


def fixed_faults(before: Card, after: Card) -> Iterator[Fault]:
    """Yield what another wording of a card may not change."""
    for name in FIXED:
        if before.get(name) != after.get(name):
            yield Fault(
                f"card.{name}",
                f"is {before.get(name)!r} in the version, which never changes; register a new version",
            )


def parse_card(content: bytes, name: str) -> dict[str, Any]:
    """Return the card of a file, JSON or (by its name) YAML.

    Raises:
        InvalidInput: it cannot be read, names a key twice, or is no object. Terminal.
        MissingExtra: it is YAML, and the package for that is not installed. Terminal.
    """
    is_yaml = name.endswith((".yaml", ".yml"))
    if len(content) > CARD_BYTES:
        raise _unreadable(name, [f"is larger than {CARD_BYTES:,} bytes"])
    card = _yaml(content, name) if is_yaml else _json(content, name)
    if not isinstance(card, dict):
        raise _unreadable(name, [f"is {type(card).__name__}, not an object"])
    return card


def _json(content: bytes, name: str) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as wrong:
        raise _unreadable(name, [str(wrong)]) from None


def _yaml(content: bytes, name: str) -> Any:
    try:
        import yaml
    except ModuleNotFoundError as missing:
        raise MissingExtra("A card in YAML", "lab") from missing
    found: list[str] = []

    class Strict(yaml.SafeLoader):
        """Takes no key twice, no alias, and leaves dates as they are written."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
            keys = [key.value for key, _ in node.value]
            for at, (key, _) in enumerate(node.value):
                if key.value in keys[:at]:
                    found.append(f"{_line(key)}: {key.value!r} stands twice")
            return super().construct_mapping(node, deep)

    Strict.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in held if not tag.endswith(":timestamp")]
        for first, held in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    try:
        for event in yaml.parse(content, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                found.append(f"{_line(event)}: has an alias; write it out")
        card = None if found else Strict(content).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as wrong:
        raise _unreadable(name, [" ".join(str(wrong).split())]) from None
    if found:
        raise _unreadable(name, found)
    return card


def _line(part: Any) -> str:
    return f"line {part.start_mark.line + 1}"


def _unreadable(name: str, found: list[str]) -> InvalidInput:
    return InvalidInput("the card cannot be read", [Fault(name, why) for why in found])
