"""Tests that may be looked at after every decision: what they catch, and how seldom they are wrong."""

from __future__ import annotations

import json
import random

import pytest

from opsrail.watch.sequential import LimitTest, MarginTest, block_of

NEEDED = 20.0


def tossed(rng: random.Random, probability: float, count: int) -> dict[float, int]:
    bad = sum(rng.random() < probability for _ in range(count))
    return {0.0: count - bad, 1.0: bad}


def fires_after(test: LimitTest, rng: random.Random, phases: list[tuple[float, int]]) -> int | None:
    seen = 0
    for probability, count in phases:
        for _ in range(count // 20):
            test.observe(tossed(rng, probability, 20))
            seen += 20
            if test.peak >= NEEDED:
                return seen
    return None


def test_a_rate_twice_its_limit_is_caught_in_some_hundred_decisions() -> None:
    found = [
        fires_after(LimitTest(0.05), random.Random(seed), [(0.1, 4_000)]) for seed in range(20)
    ]

    caught = [seen for seen in found if seen is not None]
    assert len(caught) == 20
    assert sorted(caught)[10] <= 500


def test_a_rate_that_turns_bad_after_a_long_good_time_is_caught_nearly_as_fast() -> None:
    good = 20_000
    found = fires_after(LimitTest(0.2), random.Random(1), [(0.12, good), (0.35, 2_000)])

    assert found is not None
    assert good < found <= good + 400


def test_at_the_limit_itself_at_most_one_in_twenty_ever_fires() -> None:
    fired = sum(
        fires_after(LimitTest(0.1), random.Random(seed), [(0.1, 3_000)]) is not None
        for seed in range(200)
    )

    assert fired <= 18  # the bound is 5 %, 10 of 200; 18 are exceeded once in 200 times


def test_equal_arms_fire_at_most_one_time_in_twenty_however_often_they_are_looked_at() -> None:
    fired = 0
    for seed in range(120):
        rng, test = random.Random(seed), MarginTest(0.0)
        for _ in range(100):
            test.observe(tossed(rng, 0.1, 18), tossed(rng, 0.1, 6))
        fired += test.peak >= NEEDED

    assert fired <= 12


def test_an_arm_that_is_worse_is_caught_and_one_that_is_better_never() -> None:
    worse, better = MarginTest(0.01), MarginTest(0.01)
    rng = random.Random(3)
    for _ in range(150):
        worse.observe(tossed(rng, 0.02, 19), tossed(rng, 0.12, 2))
        better.observe(tossed(rng, 0.12, 19), tossed(rng, 0.02, 2))

    assert worse.peak >= NEEDED
    assert better.peak < 2.0


def test_a_world_that_turns_bad_for_both_arms_is_nobody_s_fault() -> None:
    rng, test = random.Random(5), MarginTest(0.01)
    for turn in range(300):
        rate = 0.02 if turn < 150 else 0.4
        test.observe(tossed(rng, rate, 10), tossed(rng, rate, 10))

    assert test.peak < NEEDED


def test_numbers_that_came_late_meet_only_those_of_their_own_step() -> None:
    """In the first step the world was good and few saw the candidate; together the arms would look different."""
    mixed, apart = MarginTest(0.0), MarginTest(0.0)
    rng = random.Random(7)
    for _ in range(60):
        first = tossed(rng, 0.01, 95), tossed(rng, 0.01, 5)
        second = tossed(rng, 0.3, 10), tossed(rng, 0.3, 90)
        champion, candidate = (
            {k: a[k] + b[k] for k in a} for a, b in zip(first, second, strict=True)
        )
        mixed.observe(champion, candidate)
        apart.observe(*first, "0")
        apart.observe(*second, "1")

    assert mixed.peak >= NEEDED
    assert apart.peak < NEEDED


def test_one_arm_alone_says_nothing_and_is_kept_until_the_other_speaks() -> None:
    test = MarginTest(0.0)
    for _ in range(50):
        test.observe({}, {1.0: 10})

    assert test.peak == 1.0
    assert test.counts == [0, 0]
    test.observe({0.0: 20}, {})
    assert test.counts == [20, 500]


def test_a_block_without_numbers_changes_nothing() -> None:
    limit, margin = LimitTest(0.1), MarginTest(0.1)
    limit.observe({})
    margin.observe({}, {})

    assert (limit.count, limit.peak, margin.is_between_blocks) == (0, 1.0, True)


def test_amounts_between_0_and_1_are_tested_as_well_as_yes_and_no() -> None:
    rng, test = random.Random(11), MarginTest(0.02)
    for _ in range(300):
        champion = block_of(rng.uniform(0.1, 0.3) for _ in range(9))
        test.observe(champion, block_of(rng.uniform(0.4, 0.6) for _ in range(3)))

    assert test.peak >= NEEDED


def test_a_number_outside_0_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match=r"1\.5 does not lie"):
        LimitTest(0.1).observe({1.5: 1})


@pytest.mark.parametrize("limit", [0.0, 1.0, -0.1])
def test_a_limit_that_nothing_can_break_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="lies between"):
        LimitTest(limit)


def test_a_margin_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="lies between"):
        MarginTest(1.0)


def test_a_test_goes_on_from_its_state_as_if_it_had_never_been_written_down() -> None:
    rng = random.Random(13)
    whole, parted = MarginTest(0.01), MarginTest(0.01)
    limit, limit_parted = LimitTest(0.1), LimitTest(0.1)
    for turn in range(80):
        blocks = tossed(rng, 0.05, 7), (tossed(rng, 0.1, 2) if turn % 3 else {})
        whole.observe(*blocks)
        parted.observe(*blocks)
        limit.observe(blocks[0])
        limit_parted.observe(blocks[0])
        parted = MarginTest(0.01, json.loads(json.dumps(parted.state())))
        limit_parted = LimitTest(0.1, json.loads(json.dumps(limit_parted.state())))

    assert (parted.peak, parted.counts) == (whole.peak, whole.counts)
    assert (limit_parted.peak, limit_parted.count) == (limit.peak, limit.count)


def test_overwhelming_evidence_stays_a_number() -> None:
    test = LimitTest(0.01)
    for _ in range(50):
        test.observe({1.0: 100_000})

    assert test.peak == 1e200
