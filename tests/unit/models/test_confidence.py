from __future__ import annotations

import math

import pytest

from opsrail.errors import ModelUnavailable
from opsrail.values.confidence import (
    ConfidenceTable,
    entropy_confidence,
    measured_confidence,
    wilson_width,
)
from opsrail.values.models import Score


def test_many_like_cases_give_more_confidence_than_few() -> None:
    scores = [0.1] * 1000 + [0.6] * 10
    truths = [False] * 900 + [True] * 100 + [False] * 5 + [True] * 5

    table = measured_confidence(scores, truths, [0.5])

    assert table.at(0.1) > 0.95
    assert table.at(0.6) < 0.5


def test_a_band_that_nobody_has_seen_has_no_confidence() -> None:
    assert measured_confidence([0.1], [False], [0.5]).at(0.7) == 0.0


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263, 0.2553 to 0.3662.
    assert wilson_width(81, 263) == pytest.approx(0.3662 - 0.2553, abs=1e-4)
    # The same table: 0 of 20, 0.0000 to 0.1611.
    assert wilson_width(0, 20) == pytest.approx(0.1611, abs=1e-4)


def test_a_score_on_an_edge_belongs_above_it() -> None:
    table = ConfidenceTable((0.2, 0.6), (0.9, 0.8, 0.7))

    assert [table.at(score) for score in (0.0, 0.19, 0.2, 0.6, 1.0)] == [0.9, 0.9, 0.8, 0.7, 0.7]


@pytest.mark.parametrize(
    ("edges", "confidences"),
    [
        ((), ()),
        ((0.5,), (1.0,)),
        ((0.5, 0.5), (1.0, 1.0, 1.0)),
        ((0.6, 0.5), (1.0, 1.0, 1.0)),
        ((0.0,), (1.0, 1.0)),
        ((1.0,), (1.0, 1.0)),
        ((math.nan,), (1.0, 1.0)),
        ((0.5,), (1.0, 1.1)),
        ((0.5,), (math.nan, 1.0)),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(
    edges: tuple[float, ...], confidences: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="must"):
        ConfidenceTable(edges, confidences)


def test_without_a_table_an_even_chance_has_no_confidence_and_a_certain_one_has_all() -> None:
    assert [entropy_confidence(score) for score in (0.0, 0.5, 1.0)] == [1.0, 0.0, 1.0]
    assert entropy_confidence(0.06) == pytest.approx(entropy_confidence(0.94))


@pytest.mark.parametrize(
    ("value", "confidence"), [(-0.1, 0.5), (1.1, 0.5), (math.nan, 0.5), (0.5, math.nan), (0.5, 2.0)]
)
def test_a_score_out_of_range_cannot_be_made(value: float, confidence: float) -> None:
    with pytest.raises(ModelUnavailable, match="Model sha256:00 gave score"):
        Score(value, confidence, "sha256:00")
