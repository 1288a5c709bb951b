"""What comes in gusts counts by spans of time: how many decisions one gust hits is no evidence."""

from __future__ import annotations

import json
import random

import pytest

from bench.gusty_world import LAX, LONG_STEPS, slow_shares, walked_in_gusts
from opsrail.values.guards import GuardSpec, Latency
from opsrail.watch.evidence import Evidence
from opsrail.watch.sequential import SpanTest
from opsrail.watch.signals import CANDIDATE, CHAMPION, Seen
from opsrail.watch.spans import CROWDED_COUNT, LEAST_MS, MOST_MS, Spans


def in_bursts(seed: int) -> Evidence:
    """Return what is known of two equal versions that are asked 64 times at once, each arm's calls as one batch.

    A tenth of the batches meets a collection of garbage, or an fsync, and takes ten times as long, whoever's it is.
    """
    rng, evidence = random.Random(seed), Evidence(GuardSpec())
    for burst in range(120):
        times = [10.0 if rng.random() < 0.1 and burst > 8 else 1.0 for _ in range(2)]
        arms = [CANDIDATE if rng.random() < 0.1 else CHAMPION for _ in range(64)]
        evidence.count_decisions(
            [
                Seen(
                    arm,
                    "approve",
                    False,
                    False,
                    round(9_000 * times[arm] * rng.uniform(0.9, 1.1)),
                    0.0,
                    burst * 2_000,
                )
                for arm in arms
            ]
        )
    return evidence


def test_bursts_whose_calls_are_slow_together_roll_no_equal_version_back() -> None:
    fired = [
        seed
        for seed in range(40)
        if any(reading.has_fired for reading in in_bursts(seed).readings())
    ]

    assert fired == []


def test_equal_versions_in_gusts_bursts_and_outages_are_promoted() -> None:
    assert {walked_in_gusts(seed).state for seed in range(12)} == {"promoted"}


def test_the_limit_that_equal_versions_are_held_to_in_gusts_is_kept_by_them() -> None:
    slow = [is_slow for seed in range(8) for is_slow in slow_shares(seed)]

    assert sum(slow) / len(slow) <= 0.01


@pytest.mark.slow
def test_of_a_thousand_equal_versions_in_gusts_at_most_one_in_twenty_is_stopped() -> None:
    stopped = [seed for seed in range(1_000) if walked_in_gusts(seed).state == "rolled-back"]

    assert len(stopped) <= 50


def test_a_version_that_is_truly_slower_is_caught_in_gusts_too() -> None:
    found = [walked_in_gusts(seed, 2.0, spec=LAX, steps=LONG_STEPS) for seed in range(3)]

    assert {one.state for one in found} == {"rolled-back"}
    assert max(one.step for one in found) <= 1


def test_the_first_calls_of_a_version_are_not_held_against_it() -> None:
    evidence = Evidence(GuardSpec(latency=Latency(p99_ms=50.0)))
    evidence.count_decisions(
        [Seen(CANDIDATE, "approve", False, False, 900_000, 0.0, 500 * place) for place in range(20)]
    )
    evidence.pass_time(60_000)
    assert [one.counts for one in evidence.readings() if one.signal == "latency"] == [(0, 0)] * 1

    evidence.count_decisions([Seen(CANDIDATE, "approve", False, False, 900_000, 0.0, 70_000)])
    assert [one.counts for one in evidence.readings() if one.signal == "latency"] == [(0, 1)] * 1


def test_a_gust_of_a_thousand_decisions_weighs_as_much_as_one_of_two() -> None:
    def after(count: int) -> list[float]:
        evidence = Evidence(GuardSpec(latency=None))
        evidence.count_decisions(
            [
                Seen(arm, "review", arm == CANDIDATE, False, None, None, 0)
                for arm in (CHAMPION, CANDIDATE)
                for _ in range(count)
            ]
        )
        evidence.pass_time(LEAST_MS)
        return [reading.wealth for reading in evidence.readings()]

    assert after(500) == after(1)


def test_spans_grow_while_the_arms_miss_each_other_and_shrink_while_they_crowd() -> None:
    spans, now_ms = Spans(LEAST_MS), 0
    for _ in range(10):
        spans.count(CHAMPION, now_ms)
        spans.end()
    assert not spans.is_over(now_ms)
    for _ in range(5):
        spans.count(CANDIDATE, now_ms)
        spans.end()
    spans.count(CHAMPION, now_ms)
    assert not spans.is_over(LEAST_MS * 32 - 1)
    assert spans.is_over(LEAST_MS * 32)
    spans.end()
    for _ in range(9):
        for _ in range(CROWDED_COUNT):
            spans.count(CANDIDATE, now_ms)
            spans.count(CHAMPION, now_ms)
        spans.end()
    spans.count(CHAMPION, now_ms)
    assert spans.is_over(LEAST_MS)
    assert MOST_MS == 3_600_000


def test_what_is_kept_of_a_rollout_stays_small() -> None:
    """Written down with each turn, four times a second."""
    assert len(json.dumps(in_bursts(1).state())) < 4_000


@pytest.mark.parametrize("margin", [1.0, -0.1])
def test_a_margin_that_nothing_can_break_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="lies between"):
        SpanTest(margin)


def test_a_difference_outside_minus_1_to_1_is_refused() -> None:
    with pytest.raises(ValueError, match="does not lie"):
        SpanTest(0.0).observe(1.2)
