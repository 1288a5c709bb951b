"""What is promised holds: over many draws of decisions with known risks it fails no more often than stated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import binom

from opsrail.lab.bounds import tail
from opsrail.lab.tuning import tune
from tests.property.lab.worlds import World, even

LEVEL = 0.05
RISING = [0.0, 0.02, 0.05, 0.08, 0.1, 0.12, 0.2, 0.3, 0.5, 0.8]
JUST_ABOVE = [0.1001] * 10
SAWTOOTH = [0.11, 0.09, 0.111, 0.09, 0.112, 0.09, 0.1, 0.13, 0.08, 0.3]
"""The share of all below crosses the limit again and again."""
BAD_FIRST = [0.3, 0.02, 0.02, 0.1, 0.16, 0.02, 0.15, 0.2, 0.3, 0.6]
WORLDS = {
    "rising, ties": (even(RISING), ["approved is bad <= 10%"], 400),
    "rising, no ties": (even(RISING, jitter=0.7), ["approved is bad <= 10%"], 400),
    "every threshold just above the limit": (even(JUST_ABOVE, jitter=0.7), ["approved is bad <= 10%"], 400),
    "every threshold just above, ties": (even(JUST_ABOVE), ["approved is bad <= 10%"], 400),
    "tiny samples": (even([0.3] * 10, jitter=0.7), ["approved is bad <= 29%"], 25),
    "share falls and rises": (even(SAWTOOTH, jitter=0.7), ["approved is bad <= 10%"], 600),
    "share falls and rises, ties": (even(SAWTOOTH), ["approved is bad <= 10%"], 600),
    "the lowest scores are bad": (even(BAD_FIRST), ["approved is bad <= 10%"], 500),
    "declines": (even([0.0, 0.3, 0.6, 0.69, 0.69, 0.69, 0.69, 0.69]), ["declined is good <= 30%"], 300),
    "both sides": (
        even([0.1001] * 5 + [0.6999] * 5, jitter=0.7),
        ["approved is bad <= 10%", "declined is good <= 30%"],
        500,
    ),
    "one threshold for both": (
        even([0.1001] * 5 + [0.8999] * 5, jitter=0.7), ["automated is wrong <= 10%"], 500,
    ),
    "several risks of one side": (
        even(RISING, jitter=0.7),
        ["approved is bad <= 5%", "approved among bad <= 6%", "approved and bad <= 2%"],
        500,
    ),
    "audit samples": (
        even(JUST_ABOVE, looked=[0.2] * 10, jitter=0.7), ["approved is bad <= 10%"], 2000,
    ),
    "audits rarer where it is bad": (
        even([0.01] * 3 + [0.22] * 7, looked=[1.0] * 3 + [0.3] * 7, jitter=0.7),
        ["approved is bad <= 10%"],
        800,
    ),
}  # fmt: skip


def failures(world: World, risks: Sequence[str], count: int, draws: int) -> tuple[int, int]:
    """Return how often some risk was above its limit, and how often something was automated."""
    failed, automated = 0, 0
    for draw in range(draws):
        scores, labels, ratios = world.drawn(count, np.random.default_rng([count, draw]))
        found = tune(scores, labels, ratios=ratios, risks=risks, outcome="bad", seed=draw)
        truth = world.shares(found.approve_below, found.decline_from)
        limits = [
            (text.split(" <= ")[0], float(text.split(" <= ")[1][:-1]) / 100) for text in risks
        ]
        failed += any(truth[name] > limit for name, limit in limits)
        automated += found.is_kept
    return failed, automated


def most_allowed(draws: int) -> int:
    """Return the count of failures that a rate of 5 % exceeds once in a thousand times."""
    return int(binom.ppf(0.999, draws, LEVEL))


@pytest.mark.parametrize("name", WORLDS)
def test_a_promise_fails_no_more_often_than_stated(name: str) -> None:
    world, risks, count = WORLDS[name]
    failed, _ = failures(world, risks, count, draws=120)

    assert failed <= most_allowed(120)


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_a_promise_fails_no_more_often_than_stated_over_many_draws(name: str) -> None:
    world, risks, count = WORLDS[name]
    failed, _ = failures(world, risks, count, draws=3000)

    assert failed <= most_allowed(3000)


def test_bands_are_found_where_the_risk_is_well_below_its_limit() -> None:
    world = even([0.01, 0.01, 0.02, 0.03, 0.04, 0.3, 0.5, 0.7, 0.9, 0.9], jitter=0.7)
    failed, automated = failures(world, ["approved is bad <= 10%"], 600, draws=40)

    assert automated == 40
    assert failed <= most_allowed(40)


def test_this_check_notices_a_threshold_chosen_by_its_own_p_value() -> None:
    """The mistake that the order of tests prevents: looking at every threshold and taking the best."""
    world = even(JUST_ABOVE, jitter=0.7)
    failed = 0
    for draw in range(120):
        scores, labels, _ = world.drawn(400, np.random.default_rng([400, draw]))
        bad = np.cumsum(labels[np.argsort(scores)]).astype(np.int64)
        failed += bool((tail(bad, np.arange(1, 401), 0.1) <= LEVEL).any())

    assert failed > most_allowed(120)


def test_this_check_notices_audit_samples_that_are_not_thinned() -> None:
    world, risks, count = WORLDS["audits rarer where it is bad"]
    failed = 0
    for draw in range(120):
        scores, labels, _ = world.drawn(count, np.random.default_rng([count, draw]))
        known = ~np.isnan(labels)
        found = tune(scores[known], labels[known], risks=risks, outcome="bad", seed=draw)
        failed += world.shares(found.approve_below, None)["approved is bad"] > 0.1

    assert failed > most_allowed(120)


def test_this_check_notices_labels_that_are_taken_for_good_where_nobody_looked() -> None:
    world = even(RISING, looked=[0.5] * 10, jitter=0.7)
    failed = 0
    for draw in range(60):
        scores, labels, _ = world.drawn(600, np.random.default_rng([600, draw]))
        found = tune(scores, np.nan_to_num(labels), risks=["approved is bad <= 5%"], seed=draw)
        failed += world.shares(found.approve_below, None)["approved is bad"] > 0.05

    assert failed > most_allowed(60)


SLOWLY_ABOVE = [0.08, 0.085, 0.09, 0.095, 0.1, 0.105, 0.11, 0.115, 0.12, 0.125]
AHEAD = {
    "every threshold at the limit": (even([0.1] * 10, jitter=0.7), ["approved is bad <= 10%"], 500, 500),
    "every threshold a little below": (even([0.09] * 10, jitter=0.7), ["approved is bad <= 10%"], 500, 100),
    "the share rises slowly": (even(SLOWLY_ABOVE, jitter=0.7), ["approved is bad <= 11%"], 1500, 400),
    "share falls and rises, ties": (even(SAWTOOTH), ["approved is bad <= 10%"], 600, 3000),
    "declines": (even([0.0, 0.3, 0.6] + [0.71] * 7), ["declined is good <= 30%"], 300, 300),
    "several risks": (
        even(RISING, jitter=0.7),
        ["approved is bad <= 6%", "approved among bad <= 12%", "approved and bad <= 3%"], 500, 500,
    ),
    "one threshold for both": (
        even([0.09] * 5 + [0.91] * 5, jitter=0.7), ["automated is wrong <= 10%"], 800, 300,
    ),
    "audit samples": (
        even([0.07] * 10, looked=[0.2] * 10, jitter=0.7), ["approved is bad <= 10%"], 4000, 300,
    ),
}  # fmt: skip


def failures_ahead(
    world: World,
    risks: Sequence[str],
    count: int,
    horizon: int,
    draws: int,
    *,
    is_told: bool = True,
) -> tuple[int, int]:
    """Return how often some share of the next decisions was above its limit, and how often something was automated."""
    failed, automated = 0, 0
    bare = World(world.scores, world.weights, world.bad, world.jitter)
    for draw in range(draws):
        chance = np.random.default_rng([count, horizon, draw])
        scores, labels, ratios = world.drawn(count, chance)
        found = tune(
            scores, labels, ratios=ratios, risks=risks, outcome="bad", seed=draw,
            horizon=horizon if is_told else None,
        )  # fmt: skip
        scores, labels, _ = bare.drawn(horizon, chance)
        below, least = found.approve_below or 0.0, found.decline_from or 2.0
        approved, declined, bad = scores < below, scores >= least, labels == 1
        counted = {
            "approved is bad": (approved & bad, approved),
            "declined is good": (declined & ~bad, declined),
            "approved among bad": (approved & bad, bad),
            "approved and bad": (approved & bad, approved | True),
            "automated is wrong": ((approved & bad) | (declined & ~bad), approved | declined),
        }
        failed += any(
            counted[name][0].sum() > float(limit[:-1]) / 100 * counted[name][1].sum() + 1e-9
            for name, limit in (text.split(" <= ") for text in risks)
        )
        automated += found.is_kept
    return failed, automated


@pytest.mark.parametrize("name", AHEAD)
def test_a_promise_of_decisions_to_come_fails_no_more_often_than_stated(name: str) -> None:
    world, risks, count, horizon = AHEAD[name]
    failed, _ = failures_ahead(world, risks, count, horizon, draws=8)

    assert failed <= most_allowed(8)


@pytest.mark.slow
@pytest.mark.parametrize("name", AHEAD)
def test_a_promise_of_decisions_to_come_fails_no_more_often_over_many_draws(name: str) -> None:
    world, risks, count, horizon = AHEAD[name]
    failed, _ = failures_ahead(world, risks, count, horizon, draws=2000)

    assert failed <= most_allowed(2000)


def test_this_check_notices_that_the_share_behind_them_is_not_that_of_decisions_to_come() -> None:
    """Each promise of the long run is kept: the share is below its limit. Fifty decisions do not know that."""
    world = even([0.085] * 10, jitter=0.7)
    risks = ["approved is bad <= 10%"]
    failed, _ = failures_ahead(world, risks, 4000, 50, draws=100, is_told=False)

    assert failed > most_allowed(100)
