"""Who answers while a version that came is not ready."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from opsrail.registry.rollout import ANSWERING, Stage, held_back
from opsrail.values.registry import RolloutRow


def row(stage: Stage, number: int) -> RolloutRow:
    return RolloutRow("p", stage, "m", number, 1.0, 1, 0)


def held(rows: list[RolloutRow], before: list[RolloutRow], *ready: int) -> list[tuple[str, int]]:
    kept = held_back(rows, before, lambda each: each.model_number in ready)
    return [(str(each.stage), each.model_number) for each in kept]


def test_the_old_live_version_answers_until_the_new_one_is_ready() -> None:
    rows, before = [row(Stage.LIVE, 2), row(Stage.RETIRED, 1)], [row(Stage.LIVE, 1)]

    assert held(rows, before, 1) == [("live", 1), ("retired", 1)]
    assert held(rows, before, 1, 2) == [("live", 2), ("retired", 1)]


def test_a_canary_that_is_not_ready_gets_no_share() -> None:
    rows, before = [row(Stage.LIVE, 1), row(Stage.CANARY, 2)], [row(Stage.LIVE, 1)]

    assert held(rows, before, 1) == [("live", 1)]


def test_a_version_that_was_taken_away_is_gone_at_once() -> None:
    assert held([row(Stage.RETIRED, 1)], [row(Stage.LIVE, 1)], 1) == [("retired", 1)]


def test_the_first_version_of_a_point_answers_as_soon_as_it_can() -> None:
    assert held([row(Stage.LIVE, 1)], []) == [("live", 1)]


def test_an_old_version_that_is_gone_from_memory_holds_nobody_back() -> None:
    assert held([row(Stage.LIVE, 2)], [row(Stage.LIVE, 1)]) == [("live", 2)]


rows_of = st.dictionaries(st.sampled_from(Stage), st.integers(1, 4)).map(
    lambda stands: [row(stage, number) for stage, number in stands.items()]
)


@given(rows_of, rows_of, st.sets(st.integers(1, 4)))
def test_each_stage_is_held_by_who_came_or_by_who_stood_there(
    rows: list[RolloutRow], before: list[RolloutRow], ready: set[int]
) -> None:
    kept = held_back(rows, before, lambda each: each.model_number in ready)

    assert {each.stage for each in kept} <= {each.stage for each in rows}
    assert len({each.stage for each in kept}) == len(kept)
    for each in kept:
        came = each in rows
        assert came or (each in before and each.stage in ANSWERING and each.model_number in ready)
    for each in rows:
        if each.model_number in ready:
            assert each in kept
