"""Small charts as the points of SVG lines. Pure."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH, HEIGHT, EDGE = 240.0, 44.0, 2.0


def spark(values: Sequence[float], *, most: float = 0.0) -> str:
    """Return the points of a line over values in the order of time: `0,42 4.1,3`; empty for fewer than two.

    Args:
        most: What the top stands for, where that is more than the largest value.
    """
    if len(values) < 2:
        return ""
    top = max(most, *values) or 1.0
    step = WIDTH / (len(values) - 1)
    room = HEIGHT - 2 * EDGE
    return " ".join(
        f"{place * step:.1f},{HEIGHT - EDGE - room * max(0.0, value) / top:.1f}"
        for place, value in enumerate(values)
    )
