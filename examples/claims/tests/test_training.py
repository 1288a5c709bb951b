"""Training on a slice: seconds. The whole years are trained on in tests/integration/models."""

from __future__ import annotations

import pytest

from examples.claims.claim_rows import LEFT_OUT, claim_features, read_claims
from examples.claims.train import (
    Band,
    TrainedModel,
    bands,
    checked_parity,
    fitted,
    split_by_year,
    to_onnx,
    train,
)
from examples.claims.vehicle_history import history_of
from opsrail.connect.onnx import OnnxRuntime
from opsrail.errors import ArtifactRefused
from opsrail.values.columns import Number
from opsrail.values.confidence import ConfidenceTable


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    return read_claims()[:2500]


@pytest.fixture(scope="module")
def model(rows: list[dict[str, str]]) -> TrainedModel:
    return train(rows[:2000], rows[2000:])


def test_the_same_rows_and_seed_give_the_same_bytes(
    rows: list[dict[str, str]], model: TrainedModel
) -> None:
    assert train(rows[:2000], rows[2000:]) == model


def test_another_seed_gives_another_model_of_the_same_rows(
    rows: list[dict[str, str]], model: TrainedModel
) -> None:
    other = train(rows[:2000], rows[2000:], seed=1)

    assert other.digest != model.digest
    assert other.training_digest == model.training_digest


def test_one_changed_training_row_gives_another_training_digest(
    rows: list[dict[str, str]], model: TrainedModel
) -> None:
    changed = [rows[0] | {"Age": "99"}, *rows[1:2000]]

    assert train(changed, rows[2000:]).training_digest != model.training_digest


def test_the_model_reads_features_and_history_but_nothing_left_out(model: TrainedModel) -> None:
    names = {column.name for column in model.columns}

    assert {"vehicle-history.settled_count", "vehicle-history.fraud_ratio", "Make", "Age"} <= names
    assert not names & LEFT_OUT.keys()


def test_a_claim_of_words_never_seen_is_scored_all_the_same(
    rows: list[dict[str, str]], model: TrainedModel
) -> None:
    claim = rows[0] | {"Make": "Lada", "MonthClaimed": "0", "Age": "0"}
    features = claim_features(claim) | history_of(None)

    (score,) = OnnxRuntime().load(model.onnx_bytes, model.digest).score([features])

    assert 0.0 < score.value < 0.2
    assert set(score.unknown) == {"Make", "MonthClaimed", "Age"}


def test_years_are_split_before_1996(rows: list[dict[str, str]]) -> None:
    training, test = split_by_year(read_claims())

    assert (len(training), len(test)) == (11_337, 4_083)
    assert {row["Year"] for row in test} == {"1996"}


def test_a_twin_that_answers_differently_is_refused() -> None:
    columns = (Number("a"),)
    numbers = [[float(step)] for step in range(200)]
    truths = [step > 100 for step in range(200)]
    artifact = to_onnx(fitted(numbers, truths, 0), columns, ConfidenceTable((), (1.0,)))
    turned = fitted(numbers, [not truth for truth in truths], 0)

    with pytest.raises(ArtifactRefused, match="do not use it"):
        checked_parity(artifact, turned, columns, [{"a": 150.0}])


def test_bands_count_what_is_automated_and_what_is_missed() -> None:
    scores, truths = [0.1, 0.2, 0.3, 0.4], [False, True, False, True]

    table = bands(scores, truths, [0.05, 0.25, 1.01])

    assert table == [
        Band(0.05, 0.0, 1.0, 0.0),
        Band(0.25, 0.5, 0.5, 0.5),
        Band(1.01, 1.0, 0.0, 0.5),
    ]
