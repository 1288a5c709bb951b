"""The fraud model of the claims example, trained on all of 1994 and 1995, tested on all of 1996."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from examples.claims.claim_rows import claim_features, is_fraud, read_claims
from examples.claims.train import PARITY, TrainedModel, bands, split_by_year, train
from examples.claims.vehicle_history import histories_before
from opsrail.connect.onnx import OnnxRuntime
from opsrail.errors import ArtifactRefused
from opsrail.values.models import Score

pytestmark = pytest.mark.slow

PRINT_DIGEST = """
from examples.claims.claim_rows import read_claims
from examples.claims.train import train
rows = read_claims()
print(train(rows[:1000], rows[1000:1200]).digest)
"""


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return train(*split_by_year(read_claims()))


@pytest.fixture(scope="module")
def scores(model: TrainedModel) -> list[Score]:
    rows = read_claims()
    features = [
        claim_features(row) | history
        for row, history in zip(rows, histories_before(rows), strict=True)
        if row["Year"] == "1996"
    ]
    return OnnxRuntime().load(model.onnx_bytes, model.digest).score(features)


def test_claims_of_a_later_year_are_ranked_better_than_by_chance(model: TrainedModel) -> None:
    assert model.metrics["test_auc"] >= 0.74
    assert model.metrics["test_average_precision"] >= 2 * model.metrics["test_fraud_ratio"]


def test_the_scores_are_about_right_as_probabilities(model: TrainedModel) -> None:
    assert model.metrics["test_calibration_slope"] == pytest.approx(1.0, abs=0.2)
    assert model.metrics["test_mean_score"] == pytest.approx(
        model.metrics["test_fraud_ratio"], abs=0.01
    )


def test_the_artifact_answers_as_the_model_that_was_trained(model: TrainedModel) -> None:
    assert model.metrics["parity_difference"] <= PARITY


def test_half_of_1996_could_be_approved_while_people_see_nine_frauds_in_ten(
    scores: list[Score],
) -> None:
    truths = [is_fraud(row) for row in split_by_year(read_claims())[1]]

    (band,) = bands([score.value for score in scores], truths, [0.05])

    assert band.automated_ratio >= 0.5
    assert band.caught_ratio >= 0.9
    assert band.missed_ratio <= 0.01


def test_rare_scores_are_trusted_less_than_common_ones(scores: list[Score]) -> None:
    lowest, highest = min(scores, key=lambda s: s.value), max(scores, key=lambda s: s.value)

    assert lowest.confidence > 0.97
    assert highest.confidence < 0.85


def test_of_1996_only_the_ages_are_missing(scores: list[Score]) -> None:
    assert {name for score in scores for name in score.unknown} == {"Age"}


def test_any_changed_byte_of_the_artifact_is_found(model: TrainedModel) -> None:
    for place in range(0, len(model.onnx_bytes), 997):
        changed = bytearray(model.onnx_bytes)
        changed[place] ^= 0x10
        with pytest.raises(ArtifactRefused, match="it was changed"):
            OnnxRuntime().load(bytes(changed), model.digest)


def test_another_process_with_another_order_of_sets_writes_the_same_bytes() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("0", "6")  # sets of the operator domains come out in both orders
    }

    assert len(digests) == 1
