"""Places a graph in layers, one below the other: boxes, and the lines between them. Pure.

Every node has a rank; an edge to a higher rank goes down, every other edge goes back up and runs beside the boxes, so a
picture of what follows what is read from top to bottom however often work returns. Four steps: layers by the longest way
from the top, places within a layer by the middle of the neighbours until crossings stop falling, columns by the same middle
with the order kept, and lines through the places that long edges hold free in the layers between.

Source:
    Sugiyama, Tagawa, Toda (1981), "Methods for visual understanding of hierarchical system structures": layers, places that
    long edges hold, and the barycentre's order. Columns: ours, a few passes towards the neighbours' middle.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

SWEEPS = 8
"""Passes down and up. Ours: pictures of 40 nodes changed no more after four."""
BOX_WIDTH, BOX_HEIGHT = 168.0, 46.0
ROW, GAP, HELD_WIDTH, MARGIN, LANE = 104.0, 26.0, 64.0, 12.0, 16.0
Edge = tuple[str, str]
Point = tuple[float, float]


class Place(NamedTuple):
    """A node, or what a long edge holds free in a layer; a node's `target` is empty."""

    name: str
    target: str
    layer: int


class Box(NamedTuple):
    """Where a node stands: its upper left corner, and its layer."""

    x: float
    y: float
    width: float
    height: float
    layer: int


class Route(NamedTuple):
    """How an edge runs.

    Attributes:
        points: From the source's edge to the target's.
        is_back: Whether it goes up, or to its own node.
        label: Where its figures are written: the middle of the text.
    """

    points: tuple[Point, ...]
    is_back: bool
    label: Point


class Layout(NamedTuple):
    """A picture, in units that SVG takes as they are."""

    width: float
    height: float
    boxes: Mapping[str, Box]
    routes: Mapping[Edge, Route]


def laid_out(ranks: Mapping[str, float], edges: Sequence[Edge]) -> Layout:
    """Return the picture of a graph.

    Args:
        ranks: Each node's place in time; nodes of one rank stand in the order given.
        edges: Source and target, each a node; twice the same is one.
    """
    order = {name: place for place, name in enumerate(sorted(ranks, key=lambda name: ranks[name]))}
    known = list(dict.fromkeys(edges))
    down = [edge for edge in known if order[edge[0]] < order[edge[1]]]
    layers = _layers(order, down)
    rows, above, below = _rows(order, layers, down)
    _untangle(rows, above, below)
    columns = _columns(rows, above, below)
    return _drawn(layers, columns, known, set(down))


def _layers(order: Mapping[str, int], down: Sequence[Edge]) -> dict[str, int]:
    """Return each node's layer: one below the lowest of those that lead to it."""
    sources: dict[str, list[str]] = defaultdict(list)
    for source, target in down:
        sources[target].append(source)
    layers: dict[str, int] = {}
    for name in sorted(order, key=lambda name: order[name]):
        layers[name] = max((layers[source] + 1 for source in sources[name]), default=0)
    return layers


Links = dict[Place, list[Place]]


def _rows(
    order: Mapping[str, int], layers: Mapping[str, int], down: Sequence[Edge]
) -> tuple[list[list[Place]], Links, Links]:
    """Return what stands in each layer, and what is linked to it in the layers above and below."""
    rows: list[list[Place]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for name in sorted(order, key=lambda name: order[name]):
        rows[layers[name]].append(Place(name, "", layers[name]))
    above: Links = defaultdict(list)
    below: Links = defaultdict(list)
    for source, target in down:
        way = _way(source, target, layers)
        for place in way[1:-1]:
            rows[place.layer].append(place)
        for upper, lower in itertools.pairwise(way):
            below[upper].append(lower)
            above[lower].append(upper)
    return rows, above, below


def _way(source: str, target: str, layers: Mapping[str, int]) -> list[Place]:
    held = [Place(source, target, layer) for layer in range(layers[source] + 1, layers[target])]
    return [Place(source, "", layers[source]), *held, Place(target, "", layers[target])]


def _untangle(rows: list[list[Place]], above: Links, below: Links) -> None:
    """Order each layer by the middle of its neighbours, down and up, and keep what crosses least."""
    best, fewest = [list(row) for row in rows], crossings(rows, below)
    for sweep in range(SWEEPS):
        links = above if sweep % 2 == 0 else below
        turn = range(1, len(rows)) if sweep % 2 == 0 else range(len(rows) - 2, -1, -1)
        for number in turn:
            beside = rows[number - 1 if sweep % 2 == 0 else number + 1]
            at = {place: index for index, place in enumerate(beside)}
            middles = [
                (_mean([at[other] for other in links[place]], index), index, place)
                for index, place in enumerate(rows[number])
            ]
            rows[number] = [place for _, _, place in sorted(middles)]
        if (found := crossings(rows, below)) < fewest:
            best, fewest = [list(row) for row in rows], found
    rows[:] = best


def crossings(rows: Sequence[Sequence[Place]], below: Mapping[Place, Sequence[Place]]) -> int:
    """Return how often links between neighbouring layers cross."""
    count = 0
    for upper, lower in itertools.pairwise(rows):
        at = {place: index for index, place in enumerate(lower)}
        ends: list[int] = []
        for place in upper:
            mine = sorted(at[other] for other in below.get(place, ()))
            count += sum(end > each for each in mine for end in ends)
            ends += mine
    return count


def _columns(rows: Sequence[Sequence[Place]], above: Links, below: Links) -> dict[Place, float]:
    """Return the middle of each place: near its neighbours' middle, in order, nothing on top of another."""
    middles: dict[Place, float] = {}
    for row in rows:
        x = 0.0
        for place in row:
            middles[place] = x + _width(place) / 2
            x += _width(place) + GAP
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            linked = (above, below) if sweep < SWEEPS - 2 else (above,)
            wanted = [
                _mean(
                    [middles[other] for links in linked for other in links[place]], middles[place]
                )
                for place in row
            ]
            for place, middle in zip(row, _apart(row, wanted), strict=True):
                middles[place] = middle
    left = min((middle - _width(place) / 2 for place, middle in middles.items()), default=0.0)
    return {place: middle - left + MARGIN for place, middle in middles.items()}


def _apart(row: Sequence[Place], wanted: Sequence[float]) -> list[float]:
    """Return middles near those wanted with room between; the mean of pushing right and pushing left keeps both."""
    right: list[float] = []
    for index, place in enumerate(row):
        least = right[-1] + _room(row[index - 1], place) if right else wanted[index]
        right.append(max(wanted[index], least))
    left: list[float] = []
    for index in range(len(row) - 1, -1, -1):
        most = left[-1] - _room(row[index], row[index + 1]) if left else wanted[index]
        left.append(min(wanted[index], most))
    return [(one + other) / 2 for one, other in zip(right, reversed(left), strict=True)]


def _room(one: Place, other: Place) -> float:
    return (_width(one) + _width(other)) / 2 + GAP


def _width(place: Place) -> float:
    return HELD_WIDTH if place.target else BOX_WIDTH


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _drawn(
    layers: Mapping[str, int],
    columns: Mapping[Place, float],
    edges: Sequence[Edge],
    down: set[Edge],
) -> Layout:
    boxes = {
        name: Box(
            columns[Place(name, "", layer)] - BOX_WIDTH / 2,
            _top(layer),
            BOX_WIDTH,
            BOX_HEIGHT,
            layer,
        )
        for name, layer in layers.items()
    }
    right = max((columns[place] + _width(place) / 2 for place in columns), default=0.0)
    routes: dict[Edge, Route] = {}
    lanes = 0
    for edge in edges:
        if edge in down:
            routes[edge] = _downward(edge, layers, columns, boxes)
        else:
            lanes += 1
            routes[edge] = _back(boxes[edge[0]], boxes[edge[1]], right + lanes * LANE)
    width = right + (lanes * LANE + 70.0 if lanes else 0.0) + MARGIN
    height = _top(max(layers.values(), default=0)) + BOX_HEIGHT + MARGIN
    return Layout(width, height, boxes, routes)


def _top(layer: int) -> float:
    return MARGIN + layer * ROW


def _downward(
    edge: Edge,
    layers: Mapping[str, int],
    columns: Mapping[Place, float],
    boxes: Mapping[str, Box],
) -> Route:
    source, target = boxes[edge[0]], boxes[edge[1]]
    points: list[Point] = [(source.x + source.width / 2, source.y + source.height)]
    for place in _way(*edge, layers)[1:-1]:
        top = _top(place.layer)
        points += [(columns[place], top), (columns[place], top + BOX_HEIGHT)]
    points.append((target.x + target.width / 2, target.y))
    (x, y), (next_x, next_y) = points[0], points[1]
    return Route(tuple(points), False, ((x + 2 * next_x) / 3, (y + 2 * next_y) / 3 - 3))


def _back(source: Box, target: Box, lane_x: float) -> Route:
    begin = (source.x + source.width, source.y + source.height * 0.7)
    end = (target.x + target.width, target.y + target.height * 0.3)
    points = (begin, (lane_x, begin[1]), (lane_x, end[1]), end)
    return Route(points, True, (lane_x, (begin[1] + end[1]) / 2))
