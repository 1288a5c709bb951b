"""Rollouts in seeded worlds, on the real machine with the real tests: the small version of what the bench counts."""

from __future__ import annotations

from functools import partial

import pytest

from bench.rollout_world import (
    LONGER_STEPS,
    SLOW_TENTH,
    STRICT,
    USUAL,
    WORSE,
    Ended,
    elec2,
    walked,
    walked_through_elec2,
)
from opsrail.values.guards import GuardSpec


def ended(count: int, spec: GuardSpec | None = None) -> list[Ended]:
    walk = partial(walked, USUAL) if spec is None else partial(walked, USUAL, spec=spec)
    return [walk(seed) for seed in range(count)]


def test_equal_versions_are_promoted() -> None:
    assert [one.state for one in ended(4)] == ["promoted"] * 4


@pytest.mark.slow
@pytest.mark.parametrize("spec", [None, STRICT], ids=["usual", "no margin"])
def test_of_a_thousand_equal_versions_at_most_one_in_twenty_is_stopped(
    spec: GuardSpec | None,
) -> None:
    stopped = [one for one in ended(1_000, spec) if one.state == "rolled-back"]

    assert len(stopped) <= 50


@pytest.mark.parametrize("name", WORSE)
def test_a_version_that_is_worse_is_stopped_in_the_first_two_steps(name: str) -> None:
    found = [walked(WORSE[name], seed) for seed in range(3)]

    assert {one.state for one in found} == {"rolled-back"}
    assert max(one.step for one in found) <= 1


def test_a_version_with_a_tenth_of_its_calls_slow_is_stopped_in_the_first_two_steps() -> None:
    found = [walked(SLOW_TENTH, seed, steps=LONGER_STEPS) for seed in range(3)]

    assert {one.state for one in found} == {"rolled-back"}
    assert max(one.step for one in found) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", WORSE)
def test_it_is_so_in_forty_nine_of_fifty_worlds_and_none_goes_live(name: str) -> None:
    found = [walked(WORSE[name], seed) for seed in range(50)]

    assert {one.state for one in found} == {"rolled-back"}
    assert sum(one.step > 1 for one in found) <= 1  # the third step, where it meets more requests
    assert max(one.step for one in found) <= 2


def test_a_live_version_whose_world_changes_is_rolled_back_after_it_did() -> None:
    errors = elec2()
    found, row, live_row = walked_through_elec2(errors)

    assert live_row < errors.change_row
    assert found is not None
    assert found.state == "rolled-back"
    assert errors.change_row < row <= errors.change_row + 8_000
    assert found.why.startswith("outcome wrong: ")


def test_without_the_change_it_would_have_stayed() -> None:
    """The same rows up to the change, twice over."""
    errors = elec2()
    before = errors.change_row - errors.first_row
    again = errors._replace(
        champion=errors.champion[:before] * 2, candidate=errors.candidate[:before] * 2
    )

    found, _, _ = walked_through_elec2(again)

    assert found is not None
    assert found.state == "promoted"
