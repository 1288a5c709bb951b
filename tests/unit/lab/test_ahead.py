"""What is promised of decisions to come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, hypergeom

from opsrail.errors import InvalidInput
from opsrail.lab import tune
from opsrail.lab.ahead import COUNT_RATIO, PLACE_RATIO, Ahead, chance_ahead, share_at, upper_ahead
from opsrail.lab.bounds import array, upper
from opsrail.lab.curve import draw

FRAUD = ["approved is fraud <= 5%"]
SCORES = np.arange(4000) / 4000


@given(
    st.integers(1, 10**9), st.sampled_from([0.2, 0.05, 0.01]), st.integers(1, 6),
    st.integers(1, 4), st.floats(1e-3, 1e3),
)  # fmt: skip
def test_all_stairs_together_are_no_more_than_the_level(
    horizon: int, level: float, starts: int, risks: int, ratio: float
) -> None:
    asked = Ahead(horizon, level, starts, risks)
    x, b = asked.stairs(ratio)
    widths = np.diff(np.append(x * risks, 1.0))

    assert (np.diff(b) <= 0).all()
    assert x[0] * risks + (widths * b).sum() <= level * (1 - PLACE_RATIO) + 1e-9
    assert x[0] - asked.unsure > 0
    assert asked.unsure * risks == pytest.approx(COUNT_RATIO * level)


@settings(max_examples=60)
@given(
    st.floats(1e-5, 0.94), st.sampled_from([0.01, 0.02, 0.05, 0.1, 0.37]),
    st.integers(0, 3000), st.integers(0, 900),
)  # fmt: skip
def test_no_count_in_between_is_worse_than_the_ends(
    x: float, limit: float, low: int, more: int
) -> None:
    counts = np.arange(max(1, low), max(1, low + more) + 1)
    allowed = np.floor(limit * counts + 1e-9)
    each = beta.ppf(x, allowed + 1, counts - allowed)

    found = share_at(x, limit, array([low]), array([low + more]))[0]
    assert found <= each.min() * (1 + 1e-9)


@pytest.mark.parametrize(
    ("bad", "of", "coming", "most"),
    [(0, 60, 60, 2), (12, 2300, 2400, 24), (3, 500, 5000, 60), (40, 900, 100, 9), (5, 30, 40, 11)],
)
def test_the_chance_at_one_threshold_is_the_exact_hypergeometric_one(
    bad: int, of: int, coming: int, most: int
) -> None:
    exact = hypergeom.cdf(bad, of + coming, bad + most + 1, of)
    found = chance_ahead(array([bad]), array([of]), array([coming]), array([most]))[0]

    assert found == pytest.approx(exact, rel=0.02, abs=1e-4)


@pytest.mark.parametrize("total", [5, 20, 33, 60])
def test_at_one_threshold_it_is_broken_no_more_often_than_stated(total: int) -> None:
    """All splits of 60 and 60 with so many bad, by their exact chances."""
    counts = np.arange(min(total, 60) + 1)
    chances = hypergeom.pmf(counts, 120, total, 60)
    for most in (2, 5, 11):
        p_values = hypergeom.cdf(counts, 120, counts + most + 1, 60)
        is_broken = (p_values <= 0.05) & (total - counts > most)
        assert chances[is_broken].sum() <= 0.05


def test_a_bound_of_those_to_come_is_above_that_of_the_share_and_comes_near_it() -> None:
    bad, of = array([10]), array([2000])
    share = upper(bad, of, 0.05)[0]
    bounds = [upper_ahead(bad, of, array([coming]), 0.05)[0] for coming in (500, 5000, 10**7)]

    assert bounds[0] > bounds[1] > bounds[2] > share * 0.999
    assert bounds[2] == pytest.approx(share, rel=0.01)
    assert upper_ahead(array([0]), array([0]), array([10]), 0.05)[0] == 1.0


def test_what_is_promised_of_fewer_decisions_to_come_automates_less() -> None:
    chance = np.random.default_rng(5)
    labels = (chance.random(4000) < 0.3 * SCORES**2).astype(float)
    ends = [
        tune(SCORES, labels, risks=FRAUD, horizon=horizon).approve_below or 0.0
        for horizon in (500, 4000, 10**6, None)
    ]

    assert 0 < ends[0] < ends[1] < ends[2] <= ends[3]


def test_the_horizon_is_said_wherever_the_promise_is() -> None:
    found = tune(SCORES, SCORES >= 0.6, risks=FRAUD, horizon=5000)
    said = found.said()

    assert said[0].startswith(
        "Promised with 0.95 confidence for the next 5,000 decisions: approved"
    )
    assert "bounds the share among those to come at" in said[0]
    assert any("When it is live, the share in the long run" in one for one in said)
    assert found.record()["horizon"] == found.content()["guarantee"][0]["horizon"] == 5000
    assert "for the next 5,000 decisions" in draw(found)
    assert found.promises[0].p_value <= found.promises[0].level
    assert found.further[-1].more_labels is None


def test_too_few_labels_say_how_many_more_it_takes_for_decisions_to_come() -> None:
    found = tune(np.full(300, 0.2), np.zeros(300), risks=["approved is fraud <= 1%"], horizon=5000)

    assert not found.is_kept
    assert found.said()[0].startswith("Not promised for the next 5,000 decisions")
    (more,) = found.further
    assert more.more_labels is not None
    count = 300 + round(1.1 * more.more_labels)
    assert tune([0.2] * count, [0] * count, risks=["approved is fraud <= 1%"], horizon=5000).is_kept


@pytest.mark.parametrize("horizon", [0, -5, 10**10])
def test_a_horizon_out_of_range_is_refused(horizon: int) -> None:
    with pytest.raises(InvalidInput, match=r"horizon: .* is not a count from 1"):
        tune(SCORES, SCORES >= 0.6, risks=FRAUD, horizon=horizon)
