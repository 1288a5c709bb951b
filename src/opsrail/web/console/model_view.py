"""Model versions as their pages tell them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from opsrail.registry.cards import FACTS, SECTIONS
from opsrail.values.registry import RolloutRow

STAGES = ("live", "canary", "standby", "shadow", "retired")
MOST_METRICS = 3


class Part(NamedTuple):
    """One part of a card.

    Attributes:
        asks: What it should tell.
        told: What it tells; None: nothing, which is a gap.
    """

    title: str
    asks: str
    told: Any


def card_parts(card: Mapping[str, Any], gaps: Iterable[str]) -> list[Part]:
    """Return every part that a card should have, and after them what it tells beyond."""
    missing = frozenset(gaps)
    known = {**FACTS, **SECTIONS}
    parts = [
        Part(_title(name), asks, None if name in missing else card.get(name))
        for name, asks in known.items()
    ]
    return parts + [
        Part(_title(name), "told beyond what a card should", told)
        for name, told in card.items()
        if name not in known
    ]


def standing_of(rows: Sequence[RolloutRow]) -> dict[tuple[str, int], list[RolloutRow]]:
    """Return where each version stands, the stage that weighs most first."""
    found: dict[tuple[str, int], list[RolloutRow]] = {}
    for row in sorted(rows, key=lambda row: (STAGES.index(str(row.stage)), row.point)):
        found.setdefault((row.model_name, row.model_number), []).append(row)
    return found


def short_metrics(metrics: Mapping[str, float]) -> str:
    """Return the first figures of a version in one line."""
    return ", ".join(f"{name} {value:.4g}" for name, value in list(metrics.items())[:MOST_METRICS])


def _title(name: str) -> str:
    text = re.sub(r"[_-]+", " ", name).strip()
    return text[:1].upper() + text[1:]
