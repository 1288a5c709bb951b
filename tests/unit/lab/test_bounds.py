"""What counts say, beside scipy's own exact intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from opsrail.lab.bounds import array, count_needed, lower, tail, uniform_width, upper

counts = st.integers(1, 3000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


@given(counts, st.floats(0.001, 0.999))
def test_the_tail_is_the_exact_binomial_one(count: tuple[int, int], limit: float) -> None:
    bad, of = count
    exact = binomtest(bad, of, limit, alternative="less").pvalue

    assert tail(array([bad]), array([of]), limit)[0] == pytest.approx(exact, rel=1e-9, abs=1e-300)


@given(counts, st.floats(0.001, 0.4))
def test_bounds_are_those_of_clopper_and_pearson(count: tuple[int, int], level: float) -> None:
    bad, of = count
    exact = binomtest(bad, of).proportion_ci(1 - 2 * level, method="exact")

    assert lower(array([bad]), array([of]), level)[0] == pytest.approx(exact.low, abs=1e-9)
    assert upper(array([bad]), array([of]), level)[0] == pytest.approx(exact.high, abs=1e-9)


@given(counts, st.floats(0.001, 0.4), st.floats(0.001, 0.999))
def test_a_limit_is_kept_by_the_test_where_the_bound_keeps_it(
    count: tuple[int, int], level: float, limit: float
) -> None:
    bad, of = array([count[0]]), array([count[1]])
    bound = upper(bad, of, level)[0]
    if abs(bound - limit) > 1e-9:
        assert (tail(bad, of, limit)[0] <= level) == (bound < limit)


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.3])
@pytest.mark.parametrize("of", [1, 7, 60, 400])
def test_a_share_above_its_limit_looks_below_it_no_more_often_than_stated(
    limit: float, of: int
) -> None:
    outcomes = np.arange(of + 1)
    p_values = tail(outcomes, np.full(of + 1, of), limit)
    for share in (limit, limit * 1.01, (1 + limit) / 2):
        chances = binom.pmf(outcomes, of, share)
        for level in (0.001, 0.05, 0.2, 0.5):
            assert chances[p_values <= level].sum() <= level + 1e-12


def test_nothing_counted_says_nothing() -> None:
    none = array([0])

    assert tail(none, none, 0.1)[0] == upper(none, none, 0.05)[0] == 1.0
    assert lower(none, none, 0.05)[0] == 0.0


@given(st.floats(0.002, 0.3), st.floats(0.0, 0.9), st.floats(0.001, 0.2))
def test_so_many_are_enough_and_a_tenth_fewer_are_not(
    limit: float, part: float, level: float
) -> None:
    needed = count_needed(part * limit, limit, level)

    assert needed is not None
    for of, is_enough in (
        (needed + 1 / (part * limit + 1e-9), True),
        (0.9 * needed - 1 / limit, False),
    ):
        whole = int(min(of, 10 * needed + 1000))
        bad = array([int(part * limit * whole) if is_enough else -(-part * limit * whole // 1)])
        if whole > 0 and bad[0] <= whole:
            assert (tail(bad, array([whole]), limit)[0] <= level * 1.0001) == is_enough


def test_no_number_is_enough_at_the_limit() -> None:
    assert count_needed(0.01, 0.01, 0.05) is None
    assert count_needed(0.02, 0.01, 0.05) is None
    assert count_needed(0.0, 0.01, 0.05) == 299


def test_a_uniform_width_covers_every_threshold_at_once() -> None:
    chance = np.random.default_rng(5)
    width = uniform_width(50, 0.05)
    steps = np.arange(1, 51) / 50
    missed = 0
    for _ in range(2000):
        drawn = np.sort(chance.random(50))
        missed += max((steps - drawn).max(), (drawn - steps + 0.02).max()) > width

    assert missed <= binom.ppf(0.999, 2000, 0.05)
    assert uniform_width(0, 0.05) == 1.0
