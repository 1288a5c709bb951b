"""The heart of the false-alarm rate: while the claim holds, what a block multiplies is not expected to be above 1."""

from __future__ import annotations

import math
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from opsrail.watch import sequential
from opsrail.watch.sequential import LimitTest, MarginTest, SpanTest, Wealth

rates = st.floats(0.0, 1.0)


def binomial(count: int, hits: int, rate: float) -> float:
    return math.comb(count, hits) * rate**hits * (1 - rate) ** (count - hits)


@settings(max_examples=150, deadline=None)
@given(
    before=st.integers(0, 60),
    margin=st.floats(0.0, 0.5),
    champion=rates,
    part=rates,
    n=st.integers(1, 5),
    m=st.integers(1, 5),
)
def test_a_block_of_two_arms_is_a_fair_bet_at_every_rate_that_the_claim_allows(
    before: int, margin: float, champion: float, part: float, n: int, m: int
) -> None:
    """Sums over everything that a block may show, for arms as unequal as the claim allows."""
    candidate = part * min(1.0, champion + margin)
    begun = MarginTest(margin, {"counts": [60, 0], "totals": [float(before), 0.0]})
    expected = 0.0
    for hits in range(n + 1):
        for others in range(m + 1):
            test = MarginTest(margin, begun.state())
            test.observe({0.0: n - hits, 1.0: hits}, {0.0: m - others, 1.0: others})
            chance = binomial(n, hits, champion) * binomial(m, others, candidate)
            expected += chance * wealth_of(test.state()["wealth"])

    assert expected <= 1.0 + 1e-6


@settings(max_examples=150, deadline=None)
@given(limit=st.floats(0.001, 0.95), part=rates, n=st.integers(1, 6), weight=st.floats(0.05, 1.0))
def test_a_block_of_one_arm_is_a_fair_bet_at_every_rate_up_to_the_limit(
    limit: float, part: float, n: int, weight: float
) -> None:
    expected = 0.0
    for hits in range(n + 1):
        test = LimitTest(limit)
        test.observe({0.0: n - hits, 1.0: hits}, weight)
        expected += binomial(n, hits, part * limit) * wealth_of(test.state()["wealth"])

    assert expected <= 1.0 + 1e-6


@settings(max_examples=150, deadline=None)
@given(st.lists(rates, min_size=2, max_size=7), st.integers(1, 6), st.floats(0.0, 0.5))
def test_a_span_is_a_fair_bet_however_its_decisions_hang_together(
    met: list[float], candidates: int, margin: float
) -> None:
    """Whatever a span met, each choice of who answered which request is as likely as the next."""
    candidates = min(candidates, len(met) - 1)
    expected = []
    for chosen in combinations(range(len(met)), candidates):
        mean = math.fsum(met[place] for place in chosen) / candidates
        others = [number for place, number in enumerate(met) if place not in chosen]
        test = SpanTest(margin)
        test.observe(max(-1.0, min(1.0, mean - math.fsum(others) / len(others))))
        expected.append(wealth_of(test.state()["wealth"]))

    assert math.fsum(expected) / len(expected) <= 1.0 + 1e-9


@given(st.lists(st.lists(st.floats(-3, 3), min_size=2, max_size=2), max_size=30))
def test_wealth_is_never_negative_and_its_peak_never_falls(logs: list[list[float]]) -> None:
    wealth, last = Wealth(2), 1.0
    for each in logs:
        wealth.multiply(each)
        assert wealth.peak >= last
        last = wealth.peak

    assert all(held >= 0 for held in wealth.state()[2:])


def wealth_of(state: list[float]) -> float:
    """Return what the bets are worth after the blocks counted, the part that idles included."""
    blocks, _, *held = state
    return math.fsum(held) + (1 - sequential.FROM_START) / math.log2(blocks + 2)
