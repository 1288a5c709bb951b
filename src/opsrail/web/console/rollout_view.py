"""A rollout as its page draws it: steps as stairs, each test's evidence against what it needs. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

BREADTH = 1_000.0
HEIGHT = 100.0
LEAST = 60.0
"""Breadth that the shortest step has: one that holds for a moment must be seen, too."""


class Stair(NamedTuple):
    """One step; the last is live.

    Attributes:
        state: `done`, `now` or `ahead`.
        x, breadth, y, height: Its box; the height is its share, the breadth goes by the root of its time.
    """

    name: str
    hold_ms: float
    state: str
    x: float
    breadth: float
    y: float
    height: float


class Reading(NamedTuple):
    """One test.

    Attributes:
        part: Of the way from no evidence to what is needed, by logarithm, 0..1.
    """

    signal: str
    kind: str
    bound: float
    candidate_mean: float | None
    champion_mean: float | None
    evidence: float
    needed: float
    part: float

    @property
    def has_fired(self) -> bool:
        """Return whether it says that the version is worse."""
        return self.evidence >= self.needed


def stairs(told: Mapping[str, Any]) -> list[Stair]:
    """Return the steps of a rollout.

    Args:
        told: As `watch.records.run_record` gives it.
    """
    steps = [(f"{100 * one['share']:g}%", one["share"], one["hold_s"]) for one in told["steps"]]
    steps.append(("live", 1.0, told["watch_s"]))
    roots = [math.sqrt(max(hold_s, 0.0)) for _, _, hold_s in steps]
    room, whole = BREADTH - LEAST * len(steps), math.fsum(roots) or 1.0
    drawn, x, now = [], 0.0, min(told["step"], len(steps) - 1)
    for place, ((name, share, hold_s), root) in enumerate(zip(steps, roots, strict=True)):
        breadth = LEAST + max(room, 0.0) * root / whole
        height = max(6.0, HEIGHT * share)
        state = "now" if place == now else "done" if place < now else "ahead"
        drawn.append(Stair(name, 1000 * hold_s, state, x, breadth, HEIGHT - height, height))
        x += breadth
    return drawn


def readings(told: Mapping[str, Any]) -> list[Reading]:
    """Return each test's evidence against what it needs."""
    return [
        Reading(
            one["signal"],
            one["kind"],
            one["bound"],
            one["candidate_mean"],
            one["champion_mean"],
            one["evidence"],
            one["needed"],
            max(0.0, math.log(max(1.0, one["evidence"])) / math.log(one["needed"])),
        )
        for one in told["readings"]
    ]
