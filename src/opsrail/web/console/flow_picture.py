"""The picture of how cases ran: boxes and lines as SVG takes them, with the words that stand on them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from opsrail.web.console import words
from opsrail.web.console.flow import Arc, Flow, Node
from opsrail.web.console.layered import Box, Layout, Point, Route, laid_out

LONGEST_NAME = 22
LETTER = 6.2
"""About how wide a letter of a label is."""
THICKEST, THINNEST = 7.0, 1.2
KINDS = {
    "step": "step",
    "failed": "step, failed",
    "decide": "decision",
    "review": "person",
    "act": "action",
    "sleep": "sleep",
    "begin": "",
    "end": "",
}


class Tile(NamedTuple):
    """A node's box; `name` is cut to fit, `says` is the whole of it for who hears the picture."""

    node: Node
    box: Box
    name: str
    kind: str
    says: str


class Line(NamedTuple):
    """An edge: its path as SVG writes it, how thick it is, what stands beside it."""

    arc: Arc
    path: str
    thick: float
    is_back: bool
    label: Point
    label_width: float
    says: str


class Picture(NamedTuple):
    """What the template draws."""

    width: float
    height: float
    tiles: tuple[Tile, ...]
    lines: tuple[Line, ...]
    left_out: int


def picture_of(flow: Flow) -> Picture:
    """Return the picture of the flow's main part."""
    main = flow.main()
    ranks = {node.id: node.rank for node in main.nodes}
    layout = laid_out(ranks, [(arc.source, arc.target) for arc in main.arcs])
    tiles = tuple(_tile(node, layout, flow.cases) for node in main.nodes)
    most = max((arc.times for arc in main.arcs), default=1)
    lines = tuple(_line(arc, layout, most) for arc in main.arcs)
    left_out = len(flow.nodes) - len(main.nodes)
    return Picture(layout.width, layout.height, tiles, lines, left_out)


def _tile(node: Node, layout: Layout, cases: int) -> Tile:
    kind = KINDS.get(node.kind, node.kind)
    share = words.share(node.cases / cases) if cases else words.ABSENT
    again = f", {node.runs / node.cases:.1f} times each" if node.runs > node.cases else ""
    says = f"{kind} {node.name}: {node.cases:,} of {cases:,} cases ({share}){again}".strip()
    below = f"{kind} · {share}" if kind else share
    return Tile(node, layout.boxes[node.id], _cut(node.name), below, says)


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _line(arc: Arc, layout: Layout, most: int) -> Line:
    route = layout.routes[arc.source, arc.target]
    thick = THINNEST + (THICKEST - THINNEST) * arc.times / most
    says = f"{arc.times:,} · {words.span(arc.median_ms)}"
    return Line(
        arc,
        path_of(route),
        round(thick, 1),
        route.is_back,
        route.label,
        LETTER * len(says) + 6,
        says,
    )


def path_of(route: Route) -> str:
    """Return a route as an SVG path: between layers it leaves and arrives upright, through them it is straight."""
    points = route.points
    if route.is_back:
        return "M" + " L".join(_at(point) for point in points)
    parts = [f"M{_at(points[0])}"]
    for place in range(1, len(points)):
        before, point = points[place - 1], points[place]
        if place % 2 == 0:
            parts.append(f"L{_at(point)}")
        else:
            middle = (before[1] + point[1]) / 2
            parts.append(f"C{_at((before[0], middle))} {_at((point[0], middle))} {_at(point)}")
    return " ".join(parts)


def _at(point: Sequence[float]) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"
