"""What a case is about, in a few words that a person understands. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

MOST_FACTS = 3
"""Facts that a question names. Ours: it is read in one look; the page has all of them."""
FIRST_FACTS = 2
TEXT_CHARACTERS = 40
CURRENCIES = frozenset(
    ("usd", "eur", "gbp", "chf", "jpy", "cny", "inr", "cad", "aud", "sek", "nok", "dkk", "pln", "brl")
)  # fmt: skip
AMOUNTS = frozenset(("amount", "total", "sum", "price", "cost", "value", "loss", "limit"))
"""Words in names of what is counted in money. Ours."""
NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,4})?")
JOINERS = "\u200c\u200d"
"""Invisible, but parts of words and of emoji; all other invisible characters are left out."""


def words(name: str) -> str:
    """Return a name as words: `claims-intake` -> `claims intake`."""
    return re.sub(r"[-_]+", " ", name).strip()


def facts_in_words(given: Any) -> list[str]:
    """Return the facts that tell one case from another: the first ones, and what it is about in money.

    Args:
        given: A case's input as plain values.
    """
    if not isinstance(given, Mapping):
        return []
    plain = {name: value for name, value in given.items() if _is_plain(value)}
    amounts = [name for name in plain if _is_amount(name, plain[name])]
    first = [name for name in plain if name not in amounts]
    chosen = [*first[:FIRST_FACTS], *amounts, *first[FIRST_FACTS:]][:MOST_FACTS]
    return [told for name in plain if name in chosen for told in _told(name, plain[name])]


def _is_plain(value: Any) -> bool:
    is_fact = isinstance(value, str | int | float) and not isinstance(value, bool)
    return is_fact and str(value).strip() != ""


def _is_amount(name: str, value: Any) -> bool:
    parts = _parts(name)
    is_number = NUMBER.fullmatch(str(value)) is not None
    return is_number and (parts[-1] in CURRENCIES or not AMOUNTS.isdisjoint(parts))


def _told(name: str, value: Any) -> Iterator[str]:
    if _is_amount(name, value):
        *parts, last = _parts(name)
        unit = f" {last.upper()}" if last in CURRENCIES else ""
        label = " ".join(parts if unit else [*parts, last])
        exact = Decimal(str(value))
        number = f"{exact:,.0f}" if exact == exact.to_integral() else f"{exact:,.2f}"
        yield f"{label} {number}{unit}".strip()
        return
    if text := in_one_line(str(value)):
        yield f"{words(in_one_line(name))} {text}"


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"[^a-z0-9]+", name.lower()) if part] or [name]


def in_one_line(text: str, most: int = TEXT_CHARACTERS) -> str:
    """Return a text as one short line without what nobody sees.

    Args:
        most: Characters; where there are more, the last one says so.
    """
    seen = "".join(
        each if each.isprintable() or each in JOINERS else " " for each in text[: 4 * most]
    )
    line = " ".join(seen.split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"
