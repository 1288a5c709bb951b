"""The risk-automation curve as SVG: how much may be automated, what share of it is counted as bad, where the limit is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from opsrail.lab.tuned import Curve, Tuned

WIDTH, PANEL, LEFT, RIGHT, TOP, BOTTOM = 760, 360, 74, 26, 78, 54
"""Pixels: of the picture, the height of one curve, and what stands around it."""
INK, PALE, LINE, BAND, LIMIT, CHOSEN = (
    "#1b2430",
    "#68737f",
    "#0b5cad",
    "#b9d3ee",
    "#b3261e",
    "#1f7a3f",
)
FONT = "font-family='system-ui, -apple-system, Segoe UI, Roboto, sans-serif'"
BEYOND = 2.5
"""Ours: the picture ends at so many times the limit; what is above is cut off, as it is far from being promised."""


def draw(tuned: Tuned) -> str:
    """Return the picture of all curves of an answer, one below the other, as an SVG document of its own."""
    height = PANEL * len(tuned.curves)
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height}' "
        f"viewBox='0 0 {WIDTH} {height}' role='img' {FONT} font-size='13' fill='{INK}'>",
        f"<title>{escape('; '.join(curve.risk for curve in tuned.curves))}</title>",
        f"<rect width='{WIDTH}' height='{height}' fill='#ffffff'/>",
    ]
    for position, curve in enumerate(tuned.curves):
        parts.append(f"<g transform='translate(0 {position * PANEL})'>")
        parts.extend(_panel(curve, tuned.confidence, tuned.horizon))
        parts.append("</g>")
    return "\n".join([*parts, "</svg>\n"])


def _panel(curve: Curve, confidence: float, horizon: int | None) -> Iterator[str]:
    frame = _Frame(_right_end(curve), curve.limit * BEYOND)
    yield f"<text x='{LEFT}' y='26' font-size='16' font-weight='600'>{escape(curve.risk)}</text>"
    yield f"<text x='{LEFT}' y='47' fill='{PALE}'>{escape(_headline(curve, confidence, horizon))}</text>"
    yield from _axes(frame)
    shown = [place for place, share in enumerate(curve.automated) if share <= frame.right]
    x = [frame.x(curve.automated[place]) for place in shown]
    low = [frame.y(curve.shares[place]) for place in shown]
    high = [frame.y(curve.bounds[place]) for place in shown]
    yield f"<polygon points='{_points([*x, *x[::-1]], [*low, *high[::-1]])}' fill='{BAND}' fill-opacity='0.6'/>"
    yield f"<polyline points='{_points(x, low)}' fill='none' stroke='{LINE}' stroke-width='2'/>"
    yield from _level(frame, curve.limit)
    yield from _promised(frame, curve)
    if curve.chosen is not None:
        yield from _chosen(frame, curve)
    yield from _legend(horizon)


class _Frame:
    """Where a figure stands in a panel."""

    def __init__(self, right: float, top: float) -> None:
        self.right = right
        self.top = top

    def x(self, share: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * share / self.right

    def y(self, share: float) -> float:
        return PANEL - BOTTOM - (PANEL - TOP - BOTTOM) * min(share, self.top) / self.top


def _right_end(curve: Curve) -> float:
    """Return the share automated at which the picture ends: past where the counted share leaves it, at most all."""
    inside = [
        share
        for share, bad in zip(curve.automated, curve.shares, strict=True)
        if bad <= BEYOND * curve.limit
    ]
    wanted = max(inside[-1] if inside else 1.0, 1.25 * (curve.chosen or 0.0))
    return min(1.0, 1.02 * wanted)


def _headline(curve: Curve, confidence: float, horizon: int | None) -> str:
    ahead = "" if horizon is None else f" for the next {horizon:,} decisions"
    if curve.chosen is None:
        return f"Nothing can be promised with {confidence:.4g} confidence{ahead}."
    place = curve.automated.index(curve.chosen)
    side = "from" if curve.verdicts == ("decline",) else "up to"
    return (
        f"Promised with {confidence:.4g} confidence{ahead}: {' and '.join(curve.verdicts)} {curve.chosen:.1%} of decisions, "
        f"scores {side} {curve.thresholds[place]:.4g}."
    )


def _axes(frame: _Frame) -> Iterator[str]:
    bottom = PANEL - BOTTOM
    for tick in ticks(frame.top, 5):
        y = frame.y(tick)
        yield f"<path d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}' stroke='#e3e7ec'/>"
        yield f"<text x='{LEFT - 8}' y='{y + 4:.1f}' text-anchor='end' fill='{PALE}'>{tick * 100:.4g}%</text>"
    for tick in ticks(frame.right, 6):
        x = frame.x(tick)
        yield f"<path d='M{x:.1f} {bottom}v5' stroke='{PALE}'/>"
        yield f"<text x='{x:.1f}' y='{bottom + 20}' text-anchor='middle' fill='{PALE}'>{tick * 100:.4g}%</text>"
    yield f"<path d='M{LEFT} {bottom}H{WIDTH - RIGHT}' stroke='{PALE}'/>"
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f"<text x='{middle}' y='{PANEL - 12}' text-anchor='middle'>share of decisions automated</text>"


def ticks(end: float, count: int) -> Sequence[float]:
    """Return round numbers from 0 up to `end`, about `count` of them."""
    rough = end / count
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * one for one in (1, 2, 5, 10) if scale * one >= rough)
    return [step * place for place in range(int(end / step + 1e-9) + 1)]


def _level(frame: _Frame, limit: float) -> Iterator[str]:
    y = frame.y(limit)
    yield f"<path d='M{LEFT} {y:.1f}H{WIDTH - RIGHT}' stroke='{LIMIT}' stroke-width='1.5' stroke-dasharray='6 4'/>"
    yield f"<text x='{LEFT + 6}' y='{y - 6:.1f}' fill='{LIMIT}'>limit {limit * 100:.4g}%</text>"


def _promised(frame: _Frame, curve: Curve) -> Iterator[str]:
    """Mark on the axis what may be promised."""
    y = PANEL - BOTTOM
    for place, share in enumerate(curve.automated):
        if curve.is_promised[place] and share <= frame.right:
            before = curve.automated[place - 1] if place and curve.is_promised[place - 1] else share
            width = max(2.0, frame.x(share) - frame.x(before))
            yield f"<rect x='{frame.x(share) - width:.1f}' y='{y - 3}' width='{width:.1f}' height='6' fill='{CHOSEN}'/>"


def _chosen(frame: _Frame, curve: Curve) -> Iterator[str]:
    place = curve.automated.index(curve.chosen or 0.0)
    x, y = frame.x(curve.automated[place]), frame.y(curve.shares[place])
    yield f"<path d='M{x:.1f} {TOP}V{PANEL - BOTTOM}' stroke='{CHOSEN}' stroke-width='1.5'/>"
    yield f"<circle cx='{x:.1f}' cy='{y:.1f}' r='4.5' fill='{CHOSEN}'/>"


def _legend(horizon: int | None) -> Iterator[str]:
    x, y = LEFT, TOP - 12
    bound = "may be up to" if horizon is None else "may be counted of those to come, up to"
    for mark, told in (
        (f"<path d='M0 -4h18' stroke='{LINE}' stroke-width='2'/>", "counted"),
        (f"<rect y='-10' width='18' height='12' fill='{BAND}' fill-opacity='0.6'/>", f"{bound}, each step by itself"),
        (f"<rect y='-7' width='18' height='6' fill='{CHOSEN}'/>", "may be promised"),
    ):  # fmt: skip
        yield f"<g transform='translate({x} {y})'>{mark}<text x='24' fill='{PALE}'>{told}</text></g>"
        x += 46 + round(6.6 * len(told))


def _points(x: Sequence[float], y: Sequence[float]) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
