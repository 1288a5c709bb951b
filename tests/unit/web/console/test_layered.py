"""Graphs in layers: every node has its place, nothing covers anything, and time runs downwards."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as some

from opsrail.web.console.flow_picture import path_of
from opsrail.web.console.layered import Box, Place, crossings, laid_out

NAMES = "abcdefghij"


@some.composite
def graphs(draw: some.DrawFn) -> tuple[dict[str, float], list[tuple[str, str]]]:
    names = NAMES[: draw(some.integers(1, len(NAMES)))]
    ranks = {name: draw(some.floats(0, 1, allow_nan=False)) for name in names}
    one = some.sampled_from(names)
    return ranks, draw(some.lists(some.tuples(one, one), max_size=25))


def overlap(one: Box, other: Box) -> bool:
    return abs(one.x - other.x) < one.width - 1e-6 and abs(one.y - other.y) < one.height - 1e-6


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_every_node_is_placed_within_the_picture_and_none_covers_another(
    graph: tuple[dict[str, float], list[tuple[str, str]]],
) -> None:
    ranks, edges = graph

    layout = laid_out(ranks, edges)

    assert layout.boxes.keys() == ranks.keys()
    assert layout.routes.keys() == set(edges)
    assert not [pair for pair in combinations(layout.boxes.values(), 2) if overlap(*pair)]
    points = [point for route in layout.routes.values() for point in route.points]
    points += [
        corner
        for box in layout.boxes.values()
        for corner in ((box.x, box.y), (box.x + box.width, box.y + box.height))
    ]
    assert all(-1e-6 <= x <= layout.width and -1e-6 <= y <= layout.height for x, y in points)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_an_edge_runs_down_exactly_where_time_does_and_never_turns_back_on_its_way(
    graph: tuple[dict[str, float], list[tuple[str, str]]],
) -> None:
    ranks, edges = graph

    layout = laid_out(ranks, edges)

    for (source, target), route in layout.routes.items():
        heights = [y for _, y in route.points]
        if ranks[source] < ranks[target]:
            assert not route.is_back
        if not route.is_back:
            assert ranks[source] <= ranks[target]
            assert layout.boxes[source].layer < layout.boxes[target].layer
            assert heights == sorted(heights)
        assert path_of(route).startswith("M")


@settings(max_examples=20, deadline=None)
@given(graphs())
def test_the_same_graph_gives_the_same_picture(
    graph: tuple[dict[str, float], list[tuple[str, str]]],
) -> None:
    ranks, edges = graph

    assert laid_out(ranks, edges) == laid_out(dict(ranks), list(edges))


def test_two_that_would_cross_are_put_the_other_way_round() -> None:
    # a leads to d and b to c: in the order of their names the lines would cross.
    ranks = {"a": 0.0, "b": 0.1, "c": 0.8, "d": 0.9}

    layout = laid_out(ranks, [("a", "d"), ("b", "c")])

    is_left = layout.boxes["a"].x < layout.boxes["b"].x
    assert (layout.boxes["d"].x < layout.boxes["c"].x) == is_left


def test_crossings_are_counted() -> None:
    upper = [Place("a", "", 0), Place("b", "", 0)]
    lower = [Place("c", "", 1), Place("d", "", 1)]

    assert crossings([upper, lower], {upper[0]: [lower[1]], upper[1]: [lower[0]]}) == 1
    assert crossings([upper, lower], {upper[0]: [lower[0]], upper[1]: [lower[1]]}) == 0


def test_what_returns_runs_beside_the_boxes() -> None:
    layout = laid_out({"ask": 0.0, "wait": 1.0}, [("ask", "wait"), ("wait", "ask"), ("ask", "ask")])

    right = max(box.x + box.width for box in layout.boxes.values())
    for edge in (("wait", "ask"), ("ask", "ask")):
        route = layout.routes[edge]
        assert route.is_back
        assert max(x for x, _ in route.points) > right


def test_nothing_gives_an_empty_picture() -> None:
    layout = laid_out({}, [])

    assert (layout.boxes, layout.routes) == ({}, {})
