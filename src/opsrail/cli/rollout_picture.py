"""Where a rollout stands, as lines for a terminal: its steps, and each test's evidence against what it needs. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

WIDTH = 24
"""Characters of a bar."""


def picture(told: Mapping[str, Any]) -> list[str]:
    """Return the lines.

    Args:
        told: As `watch.records.run_record` gives it.
    """
    lines = [
        f"rollout {told['id']}  {told['point']}: {told['candidate']} against {told['champion'] or 'nobody'}",
        f"{told['state']}, since {told['started_at']}",
    ]
    if "fault" in told:
        return [*lines, told["fault"]]
    lines += ["", *_steps(told), "", *_tests(told)]
    for what in ("hold", "why"):
        if told[what]:
            lines += ["", told[what]]
    return lines


def _steps(told: Mapping[str, Any]) -> Iterator[str]:
    stages = [
        (f"{step['share']:.4%}".replace(".0000%", "%"), step["hold_s"]) for step in told["steps"]
    ]
    for place, (share, hold_s) in enumerate([*stages, ("live", told["watch_s"])]):
        is_now = place == min(told["step"], len(stages))
        mark = ">" if is_now else "x" if place < told["step"] else " "
        counts = told["step_decisions"]
        seen = (
            f"  candidate {counts['candidate']}, champion {counts['champion']} decisions"
            if is_now
            else ""
        )
        yield f" {mark} {share:>8}  {_span(hold_s):>6}{seen}"


def _tests(told: Mapping[str, Any]) -> Iterator[str]:
    names = [f"{one['signal']} ({one['kind']} {one['bound']:.4g})" for one in told["readings"]]
    width = max(map(len, names), default=0)
    yield f"{'':{width}}  candidate   champion  evidence of {1 / told['false_alarm_ratio']:.4g} x {len(names)} needed"
    for name, one in zip(names, told["readings"], strict=True):
        part = math.log(max(1.0, one["evidence"])) / math.log(one["needed"])
        filled = min(WIDTH, int(WIDTH * part))
        bar = "#" * filled + "." * (WIDTH - filled)
        fired = "  FIRED" if part >= 1 else ""
        yield (
            f"{name:{width}}  {_mean(one['candidate_mean']):>9}  {_mean(one['champion_mean']):>9}  "
            f"[{bar}] {one['evidence']:.3g}{fired}"
        )


def _mean(mean: float | None) -> str:
    return "-" if mean is None else f"{mean:.4g}"


def _span(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
