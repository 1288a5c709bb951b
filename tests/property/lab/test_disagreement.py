"""What the comparison's statistics promise, held against simulated requests: coverage, false discoveries, agreement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from opsrail.lab.agreement import confusion, kappa, paired
from opsrail.lab.disagreement import disagree
from opsrail.lab.rates import count_for, rate
from opsrail.lab.segments import adjusted, segments_of, worst_segments
from opsrail.lab.shifts import distance, shift, stability

COUNT = 1_200
RUNS = 400


def requests(random: np.random.Generator) -> dict[str, list[object]]:
    """Return fields as requests have them: words of unequal frequency, one that hangs on another, a number with gaps."""
    area = random.choice(["city", "town", "farm"], COUNT, p=[0.6, 0.3, 0.1])
    make = random.choice([f"make-{number}" for number in range(12)], COUNT)
    agency = np.where(random.random(COUNT) < 0.8, area, "internet")
    age = random.gamma(6.0, 7.0, COUNT)
    age[random.random(COUNT) < 0.05] = np.nan
    return {
        "area": area.tolist(),
        "make": make.tolist(),
        "agency": agency.tolist(),
        "age": age.tolist(),
    }


def told(hits: NDArray[np.bool_], fields: dict[str, list[object]]) -> set[tuple[str, str]]:
    found = worst_segments(hits, fields, false_discovery=0.05)
    return {(one.field, one.segment) for one in found if one.is_worse}


def test_where_no_segment_is_worse_one_is_told_in_at_most_five_of_a_hundred_runs() -> None:
    false = 0
    for seed in range(RUNS):
        random = np.random.default_rng(seed)
        fields = requests(random)
        false += bool(told(random.random(COUNT) < 0.1, fields))

    assert (
        false / RUNS <= 0.05
    )  # that of Fisher's test is well below; 0.05 +- 0.027 would be chance


def test_beside_segments_that_are_worse_few_others_are_told() -> None:
    shares, found = [], 0
    for seed in range(RUNS // 3):
        random = np.random.default_rng(seed)
        fields = requests(random)
        is_bad = np.array([one in ("make-3", "make-7") for one in fields["make"]])
        named = told(random.random(COUNT) < np.where(is_bad, 0.3, 0.08), fields)
        right = {("make", "make-3"), ("make", "make-7")}
        found += len(named & right)
        shares.append(len(named - right) / max(1, len(named)))

    assert np.mean(shares) <= 0.05
    assert found / (2 * len(shares)) >= 0.9


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40))
def test_adjusting_keeps_the_order_and_finds_what_stepping_up_finds(p_values: list[float]) -> None:
    q_values = adjusted(p_values)

    ranked = sorted(p_values)
    passing = [
        rank
        for rank, value in enumerate(ranked, 1)
        if value <= 0.05 * rank / len(ranked) * (1 + 1e-12)
    ]
    limit = ranked[max(passing) - 1] if passing else -1.0
    assert [q <= 0.05 * (1 + 1e-12) for q in q_values] == [p <= limit for p in p_values]
    assert all(q >= p for p, q in zip(p_values, q_values, strict=True))
    assert np.all(np.diff(q_values[np.argsort(p_values)]) >= 0)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3, 0.5])
def test_the_interval_of_a_rate_holds_the_true_one_as_often_as_it_says(share: float) -> None:
    hits = np.random.default_rng(7).binomial(300, share, 4_000)

    intervals = [rate(int(count), 300) for count in hits]

    held = np.mean([one.low <= share <= one.high for one in intervals])
    assert 0.935 <= held <= 0.98


@given(st.integers(0, 200), st.integers(1, 200))
def test_an_interval_holds_what_was_seen(hits: int, of: int) -> None:
    found = rate(min(hits, of), of)

    assert found.ratio is not None
    assert 0.0 <= found.low <= found.ratio + 1e-12
    assert found.ratio - 1e-12 <= found.high <= 1.0


def test_so_many_decisions_as_are_said_give_such_an_interval() -> None:
    of = count_for(0.01, 0.05)

    found = rate(round(0.05 * of), of)

    assert (found.high - found.low) / 2 == pytest.approx(0.01, rel=0.02)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=2, max_size=60))
def test_agreement_beyond_chance_is_what_another_library_says(pairs: list[tuple[str, str]]) -> None:
    mine, theirs = [one for one, _ in pairs], [one for _, one in pairs]

    found = kappa(confusion(mine, theirs).counts)

    if len({*mine, *theirs}) == 1:
        assert found.value is None
    else:
        assert found.value is not None
        assert found.value == pytest.approx(cohen_kappa_score(mine, theirs))
        assert found.low <= found.value <= found.high


def test_the_interval_of_kappa_holds_the_true_one_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    shares = np.array([[0.5, 0.06, 0.02], [0.04, 0.2, 0.03], [0.01, 0.04, 0.1]])
    true = kappa(shares * 1_000_000).value
    assert true is not None

    tables = random.multinomial(400, shares.ravel(), 2_000).reshape(-1, 3, 3)
    intervals = [kappa(table) for table in tables]

    held = np.mean([one.low <= true <= one.high for one in intervals])
    assert 0.93 <= held <= 0.97


def test_who_errs_more_is_told_by_chance_in_five_of_a_hundred_at_most() -> None:
    random = np.random.default_rng(5)
    p_values = [
        paired(random.random(300) < 0.1, random.random(300) < 0.1).p_value for _ in range(800)
    ]

    assert np.mean(np.array(p_values) <= 0.05) <= 0.05
    assert paired(random.random(900) < 0.2, random.random(900) < 0.1).p_value < 1e-4


def test_scores_of_one_distribution_are_close_and_shifted_ones_are_not() -> None:
    random = np.random.default_rng(1)
    one, same, other = random.beta(2, 8, 5_000), random.beta(2, 8, 5_000), random.beta(3, 6, 5_000)

    assert distance(one, same) < 0.03
    assert stability(one, same) < 0.01
    assert distance(one, other) > 0.2
    assert stability(one, other) > 0.25
    assert distance(one, one) == stability(one, one) == 0.0
    assert shift([], [0.5]) is None
    few = shift([0.5] * 99, [0.5] * 200)
    assert few is not None
    assert few.psi is None


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=60))
def test_every_value_has_a_segment_and_ranges_keep_the_order(values: list[float | None]) -> None:
    names = segments_of(values).tolist()

    assert len(names) == len(values)
    for value, name in zip(values, names, strict=True):
        assert (value is None) == (name == "(not told)")
    known = sorted(
        (value, name) for value, name in zip(values, names, strict=True) if value is not None
    )
    runs = [
        name for place, (_, name) in enumerate(known) if not place or known[place - 1][1] != name
    ]
    assert len(runs) == len(set(runs))


@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, "pay", "stop", "review"]), st.sampled_from([None, "pay", "stop"])
        ),
        max_size=60,
    )
)
def test_every_decision_is_compared_referred_or_unknown(
    pairs: list[tuple[str | None, str | None]],
) -> None:
    mine, theirs = [one for one, _ in pairs], [one for _, one in pairs]

    found = disagree(mine, theirs, referred=["review"])

    assert found.rate.of + found.referred + found.unknown == len(pairs)
    assert found.rate.hits == sum(
        None not in (one, other) and one not in ("review", other) for one, other in pairs
    )
    assert sum(map(sum, found.confusion.counts)) == found.rate.of + found.referred
