"""Agreement between judges: against scikit-learn, published examples, and what must hold of every table."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from sklearn.metrics import cohen_kappa_score

from opsrail.lab import Rating, agreed, confusion, fleiss, kappa

MANY = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1], [7, 7, 0, 0, 0], [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip
"""Ten subjects, fourteen raters. Source: the worked example of Wikipedia's article on Fleiss' kappa, 0.210."""
GAPS = ["111", "2232", "3333", "3333", "2222", "1234", "4444", "1121", "2222", "555", "11", "3"]
"""Twelve units, four raters, gaps; one rater alone saw the last. Source: Krippendorff 2011, Computing Krippendorff's
Alpha-Reliability, where alpha for nominal data is 0.743: of the 40 values that can be paired."""
VERDICTS = some.sampled_from(["approve", "decline", "ask"])


def counted(rows: list[str]) -> list[list[int]]:
    return [[row.count(verdict) for verdict in "12345"] for row in rows]


def test_fleiss_kappa_is_what_was_published() -> None:
    assert fleiss(MANY).value == pytest.approx(0.210, abs=5e-4)


def test_what_one_judge_alone_judged_changes_nothing_and_takes_no_kappa_below_minus_one() -> None:
    table = counted(GAPS)
    apart = fleiss([[1, 1], *[[0, 1]] * 98])

    assert fleiss(table) == fleiss(table[:-1])
    assert fleiss(table).value == pytest.approx(0.743, abs=0.03)
    assert (apart.value, apart.low, apart.high) == (-1.0, -1.0, 1.0)


def test_kappa_of_unequal_many_judges_is_pairwise_agreement_beyond_chance() -> None:
    found = fleiss(counted(GAPS))
    pairs = [[one == two for one, two in combinations(row, 2)] for row in GAPS[:-1]]
    observed = np.mean([np.mean(row) for row in pairs])
    chance = sum(np.mean([row.count(one) / len(row) for row in GAPS[:-1]]) ** 2 for one in "12345")

    assert found.value == pytest.approx((observed - chance) / (1 - chance))


def test_cohens_kappa_is_what_was_published() -> None:
    found = kappa([[20, 5], [10, 15]])

    assert found.value == pytest.approx(0.4)


@given(some.lists(some.tuples(VERDICTS, VERDICTS), min_size=2, max_size=60))
def test_cohens_kappa_is_that_of_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    mine, theirs = [one for one, _ in pairs], [one for _, one in pairs]
    found = kappa(confusion(mine, theirs).counts)
    if found.value is None:
        assert len(set(mine) | set(theirs)) == 1
        return
    assert found.value == pytest.approx(cohen_kappa_score(mine, theirs), abs=1e-9)
    assert found.low <= found.value <= found.high


@given(some.lists(some.lists(some.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=30))
def test_fleiss_kappa_lies_in_its_interval_and_does_not_mind_the_order(
    table: list[list[int]],
) -> None:
    found, turned = fleiss(table), fleiss([row[::-1] for row in table[::-1]])
    if found.value is None:
        assert turned.value is None
        return
    assert -1.0 <= found.low <= found.high <= 1.0
    assert -1.0 - 1e-9 <= found.value <= 1.0 + 1e-9
    assert found.low - 1e-9 <= found.value <= found.high + 1e-9
    assert turned.value == pytest.approx(found.value)


@given(some.lists(some.tuples(VERDICTS, VERDICTS), min_size=2, max_size=40))
def test_of_two_judges_fleiss_kappa_is_scotts_pi(pairs: list[tuple[str, str]]) -> None:
    names = ["approve", "decline", "ask"]
    found = fleiss([[pair.count(name) for name in names] for pair in pairs])
    shares = [sum(pair.count(name) for pair in pairs) / (2 * len(pairs)) for name in names]
    chance = sum(share**2 for share in shares)
    observed = sum(one == two for one, two in pairs) / len(pairs)
    if chance > 1 - 1e-12:
        assert found.value is None
        return
    assert found.value == pytest.approx((observed - chance) / (1 - chance))


def test_an_interval_holds_the_kappa_of_all_about_as_often_as_it_says() -> None:
    chance = np.random.default_rng(5)
    truth = chance.integers(0, 2, 40_000)

    def rated(items: np.ndarray) -> np.ndarray:
        said = np.where(chance.random((len(items), 3)) < 0.85, items[:, None], 1 - items[:, None])
        return np.stack([(said == verdict).sum(axis=1) for verdict in (0, 1)], axis=1)

    whole = fleiss(rated(truth)).value
    held = [
        found.low <= (whole or 0.0) <= found.high
        for found in (fleiss(rated(chance.choice(truth, 60))) for _ in range(400))
    ]

    assert 0.92 < np.mean(held) < 0.98


def test_two_judges_are_cohens_and_more_are_fleiss_and_what_one_alone_judged_is_left_out() -> None:
    two = [Rating(str(n), who, "ab"[n % 2]) for n in range(8) for who in ("ann", "bob")]
    three = [*two, Rating("0", "cem", "a"), Rating("99", "cem", "b")]
    alone = agreed([Rating("1", "ann", "a"), Rating("1", "ann", "b"), Rating("2", "bob", "a")])

    assert (agreed(two).method, agreed(two).kappa.value, agreed(two).items) == ("cohen", 1.0, 8)
    assert (agreed(three).method, agreed(three).judges, agreed(three).items) == ("fleiss", 3, 8)
    assert (alone.method, alone.kappa.value, alone.items) == ("none", None, 0)


@pytest.mark.parametrize("table", [[], [[1, 0]], [[3, 0], [2, 0]], [[0, 0]]])
def test_without_two_judges_or_two_verdicts_there_is_no_kappa(table: list[list[int]]) -> None:
    found = fleiss(table)

    assert (found.value, found.low, found.high) == (None, -1.0, 1.0)
