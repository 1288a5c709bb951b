"""Tests along a path, beside MAPIE's."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mapie.risk_control import (
    BinaryClassificationController,
    FWERFixedSequenceTesting,
    control_fwer,
)

from opsrail.lab.labels import Labels, read_labels
from opsrail.lab.risk import Risk
from opsrail.lab.sequence import Path, levels, start_step, steps_along

FRAUD = Risk("", "verdict", ("approve",), True, 0.1)
HONEST = Risk("", "verdict", ("decline",), False, 0.3)
p_values = st.lists(
    st.sampled_from([0.001, 0.01, 0.02, 0.03, 0.04, 0.06, 0.5]), min_size=1, max_size=12
)


def labels_of(scores: object, truths: object, ratios: object = None) -> Labels:
    return read_labels(scores, truths, ratios, np.random.default_rng(0))  # type: ignore[arg-type]


@given(p_values)
def test_one_start_passes_what_mapies_fixed_sequence_passes(worst: list[float]) -> None:
    found = np.flatnonzero(levels(np.array(worst), [(0, 0.05)]) > 0)

    assert found.tolist() == control_fwer(np.array(worst), 0.05, "fixed_sequence").tolist()


@given(p_values, st.integers(2, 4))
def test_several_starts_pass_all_that_mapies_pass(worst: list[float], count: int) -> None:
    count = min(count, len(worst))
    starts = [(place * (len(worst) // count), 0.05 / count) for place in range(count)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = control_fwer(np.array(worst), 0.05, FWERFixedSequenceTesting(n_starts=count))
    ours = np.flatnonzero(levels(np.array(worst), starts) > 0)

    assert set(theirs.tolist()) <= set(ours.tolist())


def test_a_run_takes_the_part_of_each_start_it_reaches_along() -> None:
    worst = np.array([0.02, 0.02, 0.04, 0.06, 0.02, 0.02])

    assert levels(worst, [(0, 0.025), (1, 0.025)]).tolist() == [0.025, 0.025, 0.05, 0, 0, 0]
    assert levels(worst, [(0, 0.025), (4, 0.025)]).tolist() == [0.025, 0.025, 0, 0, 0.025, 0.025]
    assert levels(worst, [(2, 0.05)]).tolist() == [0, 0, 0.05, 0, 0, 0]
    assert levels(worst, [(1, 0.01), (1, 0.01)]).tolist() == [0, 0.02, 0, 0, 0, 0]
    assert levels(worst, []).tolist() == [0] * 6


@given(st.integers(1, 6), st.data())
def test_all_that_goes_wrong_together_is_no_more_than_the_level(
    count: int, data: st.DataObject
) -> None:
    """The proof by enumeration: with any set of true nulls, what must fall for a null to be passed adds up to the level."""
    is_null = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    starts = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=4))
    level = 0.05
    parts = [(start, level / len(starts)) for start in starts]
    spent: dict[int, float] = {}
    for falls in itertools.product((0.0, 1.0), repeat=count):
        passed = levels(np.array(falls), parts)
        wrong = [step for step in range(count) if passed[step] > 0 and is_null[step]]
        if wrong:
            spent[wrong[0]] = max(spent.get(wrong[0], 0.0), passed[wrong[0]])

    assert sum(spent.values()) <= level + 1e-12


def test_counts_are_those_of_every_score_up_to_a_step() -> None:
    labels = labels_of([0.3, 0.1, 0.1, 0.9, 0.3], [1, 0, 1, 1, 0])
    steps = steps_along(Path(("approve",)), labels, [FRAUD])

    assert steps.keys.tolist() == [0.1, 0.3, 0.9]
    assert steps.bad.tolist() == [[1, 2, 3]]
    assert steps.of.tolist() == [[2, 4, 5]]


def test_declines_begin_at_the_highest_score() -> None:
    labels = labels_of([0.3, 0.1, 0.9], [1, 0, 0])
    steps = steps_along(Path(("decline",)), labels, [HONEST])

    assert steps.keys.tolist() == pytest.approx([0.1, 0.7, 0.9])
    assert steps.bad.tolist() == [[1, 1, 2]]


def test_a_share_of_all_and_a_share_of_a_truth_are_of_the_same_number_at_every_step() -> None:
    labels = labels_of([0.1, 0.2, 0.3, 0.4], [1, 0, 0, 1])
    among = Risk("", "truth", ("approve",), True, 0.5)
    both = Risk("", "all", ("approve",), True, 0.5)
    steps = steps_along(Path(("approve",)), labels, [among, both])

    assert steps.bad.tolist() == [[1, 1, 1, 2], [1, 1, 1, 2]]
    assert steps.of.tolist() == [[2, 2, 2, 2], [4, 4, 4, 4]]


def test_what_nothing_is_known_of_counts_as_what_must_not_happen() -> None:
    nan = float("nan")
    labels = labels_of([0.1, 0.2, 0.3, 0.4], [0, nan, 0, nan])
    among = Risk("", "truth", ("approve",), True, 0.5)
    honest = Risk("", "verdict", ("approve",), False, 0.5)
    steps = steps_along(Path(("approve",)), labels, [FRAUD, among, honest])

    assert steps.bad.tolist() == [[0, 1, 1, 2], [0, 1, 1, 2], [1, 2, 3, 4]]
    assert steps.of.tolist() == [[1, 2, 3, 4], [0, 1, 1, 2], [1, 2, 3, 4]]


def test_what_was_not_looked_at_by_chance_is_left_out_and_the_rest_is_thinned_alike() -> None:
    count = 4000
    scores = np.linspace(0, 1, count)
    ratios = np.where(scores < 0.5, 1.0, 0.25)
    chance = np.random.default_rng(1)
    truths = np.where(chance.random(count) < ratios, 0.0, np.nan)
    steps = steps_along(Path(("approve",)), labels_of(scores, truths, ratios), [FRAUD])
    half = int(np.searchsorted(steps.keys, 0.5)) - 1

    assert steps.of[0, half] == 2000
    assert steps.of[0, half + 1] == pytest.approx(500, abs=80)
    assert steps.of[0, -1] == pytest.approx(1000, abs=120)
    assert not steps.bad.any()


def test_a_start_is_the_step_of_the_last_score_up_to_it() -> None:
    keys = np.array([0.1, 0.3, 0.9])

    assert [start_step(keys, start) for start in (0.05, 0.1, 0.2, 1.0)] == [None, 0, 0, 2]


def test_p_values_are_mapies_where_its_rounding_lets_them_be() -> None:
    """MAPIE's risk of declining honest requests is one less its precision; it rounds counts up after a division."""
    chance = np.random.default_rng(3)
    scores = np.round(chance.beta(0.6, 2, 1500), 3)
    truths = (chance.random(1500) < 1.4 * scores).astype(int)
    thresholds = np.linspace(0.2, 0.9, 15)
    controller = BinaryClassificationController(
        predict_function=lambda rows: np.column_stack([1 - rows[:, 0], rows[:, 0]]),
        risk="precision",
        target_level=0.7,
        confidence_level=0.95,
        list_predict_params=thresholds,
        fwer_method="bonferroni",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        controller.calibrate(scores.reshape(-1, 1), truths)
    steps = steps_along(Path(("decline",)), labels_of(scores, truths), [HONEST])
    places = [start_step(steps.keys, 1 - threshold + 1e-12) for threshold in thresholds]
    ours = np.array([steps.p_values[0, place] for place in places if place is not None])
    theirs = np.asarray(controller.p_values, dtype=float).ravel()
    valid = thresholds[ours <= 0.05 / len(thresholds)]

    assert len(ours) == len(theirs)
    assert (ours <= theirs + 1e-12).all()
    assert np.isclose(ours, theirs, rtol=1e-9).mean() > 0.5
    assert set(np.ravel(controller.valid_predict_params)) <= set(valid)
    assert valid.size
