"""What cases really did, from their journals."""

from __future__ import annotations

from opsrail.values.cases import CaseRow, CaseState
from opsrail.web.console.flow import Event, flow_of
from opsrail.web.console.flow_picture import picture_of
from tests.unit.web.console.rows import CASE_ROW, NOW_MS, case_id_at


def case(number: int, state: CaseState = CaseState.SETTLED, took_ms: int = 1_000) -> CaseRow:
    return CASE_ROW._replace(
        id=case_id_at(NOW_MS, number), state=state, settled_at_ms=NOW_MS + took_ms
    )


def events(number: int, *stops: tuple[str, str, int]) -> list[Event]:
    return [
        Event(case_id_at(NOW_MS, number), seq, kind, name, NOW_MS + after_ms)
        for seq, (kind, name, after_ms) in enumerate(stops)
    ]


def test_edges_tell_how_often_and_after_how_long_one_followed_another() -> None:
    cases = [case(0), case(1, took_ms=3_000), case(2)]
    told = [
        *events(0, ("decide", "fraud", 10), ("act", "pay", 30)),
        *events(1, ("decide", "fraud", 20), ("review", "desk", 2_020), ("act", "pay", 2_060)),
        *events(2, ("decide", "fraud", 10), ("act", "pay", 50)),
    ]

    flow = flow_of(cases, told)
    arcs = {(arc.source, arc.target): (arc.times, arc.median_ms) for arc in flow.arcs}

    assert arcs == {
        ("accepted", "decide fraud"): (3, 10.0),
        ("decide fraud", "act pay"): (2, 30.0),
        ("decide fraud", "review desk"): (1, 2_000.0),
        ("review desk", "act pay"): (1, 40.0),
        ("act pay", "settled"): (3, 950.0),
    }
    assert [node.id for node in flow.nodes] == [
        "accepted", "decide fraud", "review desk", "act pay", "settled",
    ]  # fmt: skip
    assert [node.cases for node in flow.nodes] == [3, 3, 1, 3, 3]


def test_what_is_done_again_is_counted_each_time_and_its_way_back_is_drawn_as_one() -> None:
    told = events(
        0, ("step", "ask", 10), ("sleep", "sleep", 20), ("step", "ask", 30), ("sleep", "sleep", 40)
    )

    flow = flow_of([case(0)], told)
    picture = picture_of(flow)

    ask = next(node for node in flow.nodes if node.name == "ask")
    assert (ask.runs, ask.cases) == (2, 1)
    assert [line.arc.source for line in picture.lines if line.is_back] == ["sleep sleep"]
    assert "2.0 times each" in next(tile.says for tile in picture.tiles if tile.node is ask)


def test_readings_of_the_clock_other_cases_and_unfinished_ends_are_left_out() -> None:
    told = [
        *events(0, ("random", "random", 1), ("step", "read", 2)),
        *events(7, ("step", "other", 3)),
    ]

    flow = flow_of([case(0, CaseState.RUNNING)], told)

    assert [node.id for node in flow.nodes] == ["accepted", "step read"]


def test_a_case_that_waits_is_drawn_to_its_waiting() -> None:
    flow = flow_of([case(0, CaseState.WAITING)], events(0, ("decide", "fraud", 1)))

    assert [(arc.source, arc.target) for arc in flow.arcs] == [
        ("accepted", "decide fraud"),
        ("decide fraud", "waiting now"),
    ]


def test_a_picture_of_too_many_things_shows_the_most_frequent_and_says_how_many_it_leaves_out() -> (
    None
):
    told = events(0, *[("step", f"s{number}", number) for number in range(60)])

    flow = flow_of([case(0)], told)
    picture = picture_of(flow)

    assert (len(flow.nodes), len(picture.tiles), picture.left_out) == (62, 40, 22)


def test_without_cases_there_is_nothing_to_draw() -> None:
    picture = picture_of(flow_of([], []))

    assert (picture.tiles, picture.lines) == ((), ())
