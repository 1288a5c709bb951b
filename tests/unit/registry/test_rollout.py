"""The pure table of stages."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsrail.errors import Conflict, InvalidInput
from opsrail.registry.rollout import (
    TRANSITIONS,
    Move,
    Stage,
    answering,
    is_in_canary,
    standing,
    writes_of,
)
from opsrail.values.registry import RolloutRow
from opsrail.values.rows import Insert, Update, Value


def row(stage: Stage, number: int, share: float = 1.0) -> RolloutRow:
    return RolloutRow("p", stage, "fraud", number, share, 1, 0)


def move(stage: Stage, number: int, share: float = 0.5) -> Move:
    return Move("p", "fraud", number, stage, share, "ann", "because")


def after(rows: list[RolloutRow], wish: Move, revision: int = 1) -> dict[str, set[int]]:
    """Return who stands where after a move, by applying its writes."""
    table = {one.model_number: one for one in rows}
    _, writes = writes_of(rows, revision, wish, at_ms=5)
    for write in writes:
        if isinstance(write, Update):
            point, name, number = write.key
            stood = table[int(str(number))]
            assert (point, name) == ("p", "fraud")
            assert write.where == {"revision": stood.revision}
            table[stood.model_number] = RolloutRow(*(stood._asdict() | dict(write.set)).values())
        elif isinstance(write, Insert) and isinstance(write.row, RolloutRow):
            assert write.row.model_number not in table
            table[write.row.model_number] = write.row
    return {
        stage: {one.model_number for one in table.values() if one.stage == stage}
        for stage in {str(one.stage) for one in table.values()}
    }


@pytest.mark.parametrize(("now", "stage"), list(product([None, *Stage], Stage)))
def test_the_table_answers_every_move(now: Stage | None, stage: Stage) -> None:
    rows = [row(Stage.LIVE, 9)] if now is not Stage.LIVE else []
    rows += [row(now, 1)] if now is not None else []

    if stage in TRANSITIONS[now]:
        assert 1 in after(rows, move(stage, 1))[stage]
    else:
        with pytest.raises(Conflict, match="cannot become"):
            after(rows, move(stage, 1))


def test_a_version_that_moves_in_retires_the_one_that_stood_there() -> None:
    rows = [row(Stage.LIVE, 1), row(Stage.CANARY, 2, 0.1), row(Stage.RETIRED, 9)]

    assert after(rows, move(Stage.LIVE, 2)) == {"live": {2}, "retired": {1, 9}}


def test_a_retired_version_may_come_back() -> None:
    rows = [row(Stage.LIVE, 2), row(Stage.RETIRED, 1)]

    assert after(rows, move(Stage.LIVE, 1)) == {"live": {1}, "retired": {2}}


def test_any_number_of_versions_may_be_shadows_and_retired() -> None:
    rows = [row(Stage.LIVE, 1), row(Stage.SHADOW, 2), row(Stage.SHADOW, 3), row(Stage.RETIRED, 4)]

    assert after(rows, move(Stage.SHADOW, 5)) == {"live": {1}, "shadow": {2, 3, 5}, "retired": {4}}
    assert after(rows, move(Stage.RETIRED, 3)) == {"live": {1}, "shadow": {2}, "retired": {3, 4}}


@given(st.lists(st.tuples(st.sampled_from(Stage), st.integers(1, 4)), max_size=30))
def test_every_other_stage_holds_one_version_whatever_moves(moves: list[tuple[Stage, int]]) -> None:
    rows: list[RolloutRow] = []
    for stage, number in moves:
        try:
            held = after(rows, move(stage, number))
        except Conflict:
            continue
        rows = [row(Stage(stage), one) for stage, numbers in held.items() for one in numbers]

        assert all(len(held.get(stage, ())) <= 1 for stage in ("live", "canary", "standby"))
        assert sum(map(len, held.values())) == len({one.model_number for one in rows})


def test_a_canary_may_change_its_share() -> None:
    rows = [row(Stage.LIVE, 1), row(Stage.CANARY, 2, 0.1)]

    change, writes = writes_of(rows, 4, move(Stage.CANARY, 2, 0.4), at_ms=5)

    moved: dict[str, Value] = {"stage": "canary", "share": 0.4, "revision": 5, "at_ms": 5}
    assert writes == [
        Insert(change),
        Update(RolloutRow, ("p", "fraud", 2), moved, {"revision": 1}),
    ]
    assert change.revision == 5


def test_a_live_version_may_be_stopped_with_nothing_in_its_place() -> None:
    assert after([row(Stage.LIVE, 1)], move(Stage.RETIRED, 1)) == {"retired": {1}}


def test_a_canary_needs_a_live_version_beside_it() -> None:
    with pytest.raises(Conflict, match="no live version"):
        writes_of([], 0, move(Stage.CANARY, 1), at_ms=0)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_a_move_names_every_fault(share: float) -> None:
    wish = Move("p", "fraud", 1, Stage.CANARY, share, " ", "")

    with pytest.raises(InvalidInput) as caught:
        writes_of([row(Stage.LIVE, 2)], 0, wish, at_ms=0)

    assert [fault.place for fault in caught.value.faults] == ["share", "reason", "changed_by"]


def test_where_a_version_stands() -> None:
    rows = [row(Stage.LIVE, 1), row(Stage.CANARY, 2)]

    assert [standing(rows, "fraud", number) for number in (1, 2, 3)] == [
        Stage.LIVE,
        Stage.CANARY,
        None,
    ]


def test_a_canary_answers_its_share_and_keeps_its_keys_when_it_grows() -> None:
    keys = [f"key-{number}" for number in range(10_000)]
    small = {key for key in keys if is_in_canary("p", key, 0.1)}
    large = {key for key in keys if is_in_canary("p", key, 0.3)}

    assert small < large
    assert 900 < len(small) < 1_100  # 3 standard deviations are 90
    assert all(is_in_canary("p", key, 1.0) for key in keys)


def test_who_answers() -> None:
    live, canary = row(Stage.LIVE, 1), row(Stage.CANARY, 2, 1.0)

    assert answering([live, row(Stage.SHADOW, 3)], "k") == live
    assert answering([live, canary], "k") == canary
    assert answering([row(Stage.SHADOW, 3)], "k") is None
