"""Whether an automation's objective holds among its latest settled cases, where it can be measured. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from opsrail.cases.definition import Objective
from opsrail.values.cases import CaseRow, CaseState
from opsrail.values.spans import span_ms

TARGET = re.compile(
    r"\s*(?:p(?P<part>[1-9][0-9]?)|(?P<word>mean|max))\s*<=?\s*(?P<span>[0-9]{1,9}(?:\.[0-9]{1,9})?\s*(?:ms|s|m|h|d|w))\s*"
)
RESOLUTION = frozenset({"time_to_resolution", "resolution_time", "time_to_settlement"})
"""Names of the figure that every case tells: from its acceptance until it was settled."""
FEWEST = 5
"""Ours: fewer cases say nothing about a percentile."""


class Standing(NamedTuple):
    """How an objective stands.

    Attributes:
        word: `holds`, `missed`, or `not measured`.
        found_ms: What the figure is now; None: it was not measured.
        cases: How many settled cases it rests on.
        why: In a sentence.
    """

    word: str
    found_ms: float | None
    cases: int
    why: str


def standing_of(objective: Objective, cases: Sequence[CaseRow]) -> Standing:
    """Return how an objective stands among the latest cases."""
    lengths_ms = sorted(
        row.settled_at_ms - row.accepted_at_ms
        for row in cases
        if row.state == CaseState.SETTLED and row.settled_at_ms is not None
    )
    read = TARGET.fullmatch(objective.target)
    if objective.kpi not in RESOLUTION or read is None:
        why = "Only targets like `p50 < 4 h` of time_to_resolution are measured here."
        return Standing("not measured", None, len(lengths_ms), why)
    if len(lengths_ms) < FEWEST:
        return Standing("not measured", None, len(lengths_ms), "Too few cases have settled yet.")
    limit_ms = span_ms(read["span"])
    found_ms = _figure(lengths_ms, read["part"], read["word"])
    holds = found_ms < limit_ms
    return Standing(
        "holds" if holds else "missed",
        found_ms,
        len(lengths_ms),
        f"Of the latest {len(lengths_ms):,} settled cases.",
    )


def _figure(lengths_ms: Sequence[int], part: str | None, word: str | None) -> float:
    if part is not None:
        return float(lengths_ms[max(1, ceil(int(part) / 100 * len(lengths_ms))) - 1])
    return float(lengths_ms[-1]) if word == "max" else sum(lengths_ms) / len(lengths_ms)
