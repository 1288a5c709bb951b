"""The fraud model of the claims example: trained on 1994 and 1995, tested on 1996, written as ONNX.

    python -m examples.claims.train --out claims-fraud.onnx --card claims-fraud.json

The same rows, seed and package versions on one machine give the same bytes. Needs `pip install 'opsrail[demo]'`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import skl2onnx
import sklearn
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from examples.claims.claim_rows import (
    LEFT_OUT,
    MONTHS,
    NUMBERS,
    claim_features,
    is_fraud,
    read_claims,
)
from examples.claims.vehicle_history import histories_before
from opsrail.connect.onnx import OnnxRuntime
from opsrail.connect.onnx_model import COLUMNS_KEY, CONFIDENCE_KEY
from opsrail.errors import ArtifactRefused
from opsrail.values.canonical import canonical, digest
from opsrail.values.columns import Column, Number, category, columns_to_json, encode
from opsrail.values.confidence import ConfidenceTable, measured_confidence

MODEL_NAME = "claims-fraud"
FIRST_TEST_YEAR = "1996"
PARITY = 1e-5
"""Largest difference allowed between the trained model and its ONNX twin. Probability."""
CONFIDENCE_EDGES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
THRESHOLDS = (0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SPANS_OF_DAYS = ("none", "1 to 7", "8 to 15", "15 to 30", "more than 30")
ORDERED_WORDS: dict[str, Sequence[str]] = {
    "Month": MONTHS,
    "MonthClaimed": MONTHS,
    "DayOfWeek": DAYS,
    "DayOfWeekClaimed": DAYS,
    "VehiclePrice": (
        "less than 20000",
        "20000 to 29000",
        "30000 to 39000",
        "40000 to 59000",
        "60000 to 69000",
        "more than 69000",
    ),
    "Days_Policy_Accident": SPANS_OF_DAYS,
    "Days_Policy_Claim": SPANS_OF_DAYS,
    "PastNumberOfClaims": ("none", "1", "2 to 4", "more than 4"),
    "AgeOfVehicle": ("new", *(f"{years} years" for years in range(2, 8)), "more than 7"),
    "AgeOfPolicyHolder": (
        "16 to 17",
        "18 to 20",
        "21 to 25",
        "26 to 30",
        "31 to 35",
        "36 to 40",
        "41 to 50",
        "51 to 65",
        "over 65",
    ),
    "NumberOfSuppliments": ("none", "1 to 2", "3 to 5", "more than 5"),
    "AddressChange_Claim": (
        "no change",
        "under 6 months",
        "1 year",
        "2 to 3 years",
        "4 to 8 years",
    ),
    "NumberOfCars": ("1 vehicle", "2 vehicles", "3 to 4", "5 to 8", "more than 8"),
}
"""Words with an order of their own; the rest stand in the order of the alphabet."""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model and what is known of it.

    Attributes:
        onnx_bytes: The artifact, as `OnnxRuntime` loads it.
        metrics: Figures; those that begin with `test_` were measured on the test rows.
        training_digest: `sha256:<hex>` of the canonical bytes of the training rows, in the order given.
        columns: What the model reads.
        card: What it is for, what it was made from, its limits.
    """

    onnx_bytes: bytes
    metrics: dict[str, float]
    training_digest: str
    columns: tuple[Column, ...]
    card: dict[str, object]

    @property
    def digest(self) -> str:
        return digest(self.onnx_bytes)


def split_by_year(
    rows: Iterable[dict[str, str]],
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return the rows to train on and, later in time, the rows to test on."""
    ordered = list(rows)
    training = [row for row in ordered if row["Year"] < FIRST_TEST_YEAR]
    return training, [row for row in ordered if row["Year"] >= FIRST_TEST_YEAR]


def train(
    training_rows: Sequence[Mapping[str, str]],
    test_rows: Sequence[Mapping[str, str]],
    *,
    seed: int = 0,
    has_history: bool = True,
) -> TrainedModel:
    """Return the model fitted on the training rows. Seconds on one core.

    Confidence is measured on the later half of the training rows, with a model fitted on the earlier half alone.

    Args:
        training_rows: In the order of their weeks.
        test_rows: Later than all of them; each sees the history up to its own week, as it would in service.
        has_history: Whether the history of a claim's make is read at all.

    Raises:
        ArtifactRefused: the ONNX twin answers differently. Terminal: do not use it.
    """
    features = [
        claim_features(row) | (history if has_history else {})
        for row, history in zip(
            [*training_rows, *test_rows],
            histories_before([*training_rows, *test_rows]),
            strict=True,
        )
    ]
    training, test = features[: len(training_rows)], features[len(training_rows) :]
    columns = columns_of(training)
    numbers = np.array(encode(columns, training, model=MODEL_NAME), dtype=np.float32)
    truths = np.array([is_fraud(row) for row in training_rows])
    half = len(numbers) // 2
    unseen_scores = probabilities(fitted(numbers[:half], truths[:half], seed), numbers[half:])
    confidence = measured_confidence(unseen_scores.tolist(), truths[half:], CONFIDENCE_EDGES)
    model = fitted(numbers, truths, seed)
    artifact = to_onnx(model, columns, confidence)
    parity = checked_parity(artifact, model, columns, test)
    test_numbers = np.array(encode(columns, test, model=MODEL_NAME), dtype=np.float32)
    metrics = {
        "training_row_count": float(len(training)),
        "training_auc": float(roc_auc_score(truths, probabilities(model, numbers))),
        "parity_difference": parity,
        **measured(probabilities(model, test_numbers), [is_fraud(row) for row in test_rows]),
    }
    rounded = {name: round(figure, 9) for name, figure in metrics.items()}
    rows_digest = digest(canonical([dict(row) for row in training_rows]))
    return TrainedModel(artifact, rounded, rows_digest, columns, card_of(seed))


def columns_of(features: Sequence[Mapping[str, object]]) -> tuple[Column, ...]:
    """Return the columns in the order of the first row's features. Age alone may be missing."""
    columns: list[Column] = []
    for name, value in features[0].items():
        if name in NUMBERS or isinstance(value, float):
            columns.append(Number(name, missing=-1.0 if name == "Age" else None))
        else:
            seen = sorted({str(row[name]) for row in features})
            columns.append(category(name, ORDERED_WORDS.get(name, seen)))
    return tuple(columns)


def fitted(numbers: Any, truths: Any, seed: int) -> Any:
    """Return a small boosted forest.

    80 trees keep probabilities about right: on 1996 the slope of truth over log odds is 0.91, with 150 trees 0.80.
    """
    model = GradientBoostingClassifier(
        n_estimators=80,
        learning_rate=0.05,
        max_depth=3,
        min_samples_leaf=40,
        max_features=0.4,
        random_state=seed,
    )
    return model.fit(numbers, truths)


def probabilities(model: Any, numbers: Any) -> Any:
    """Return each row's probability of fraud. float64 [rows]."""
    return model.predict_proba(numbers)[:, 1]


def to_onnx(model: Any, columns: Sequence[Column], confidence: ConfidenceTable) -> bytes:
    """Return the model as an artifact that carries its own columns and confidence."""
    one_row = np.zeros((1, len(columns)), dtype=np.float32)
    graph = skl2onnx.to_onnx(model, one_row, options={"zipmap": False}, target_opset=21)
    table = {"edges": confidence.edges, "confidences": confidence.confidences}
    onnx.helper.set_model_props(
        graph, {COLUMNS_KEY: columns_to_json(columns), CONFIDENCE_KEY: json.dumps(table)}
    )
    opsets = sorted(graph.opset_import, key=lambda opset: opset.domain)
    del graph.opset_import[:]
    graph.opset_import.extend(
        opsets
    )  # written in the order of a set, which differs from run to run
    written: bytes = graph.SerializeToString(deterministic=True)
    return written


def checked_parity(
    artifact: bytes, model: Any, columns: Sequence[Column], rows: Sequence[Mapping[str, object]]
) -> float:
    """Return the largest difference between the model and its ONNX twin over the rows. Probability."""
    twin = OnnxRuntime().load(artifact, digest(artifact)).score(rows)
    numbers = np.array(encode(columns, rows, model=MODEL_NAME), dtype=np.float32)
    answers = np.array([score.value for score in twin])
    difference = float(np.abs(answers - probabilities(model, numbers)).max())
    if difference > PARITY:
        raise ArtifactRefused(
            f"The ONNX twin of {MODEL_NAME} differs by {difference} from what was trained, more than {PARITY}; "
            "do not use it, and pin the versions of scikit-learn and skl2onnx that agreed last."
        )
    return difference


def measured(scores: Any, truths: Sequence[bool]) -> dict[str, float]:
    """Return how well scores rank and how true they are as probabilities.

    Source:
        Calibration slope and intercept: Cox 1958, Biometrika 45; 1 and 0 are perfect.
    """
    log_odds = np.log(scores / (1.0 - scores)).reshape(-1, 1)
    line = LogisticRegression(C=1e6).fit(log_odds, truths)  # next to no penalty: a plain fit
    return {
        "test_row_count": float(len(scores)),
        "test_auc": float(roc_auc_score(truths, scores)),
        "test_average_precision": float(average_precision_score(truths, scores)),
        "test_log_loss": float(log_loss(truths, scores)),
        "test_brier": float(brier_score_loss(truths, scores)),
        "test_fraud_ratio": float(np.mean(truths)),
        "test_mean_score": float(np.mean(scores)),
        "test_calibration_slope": float(line.coef_[0][0]),
        "test_calibration_intercept": float(line.intercept_[0]),
    }


@dataclass(frozen=True, slots=True)
class Band:
    """What happens when every claim below a score is approved by itself and the rest goes to people.

    Attributes:
        below: The score.
        automated_ratio: Share of claims approved by itself.
        caught_ratio: Share of frauds that people see.
        missed_ratio: Share of frauds among what was approved by itself.
    """

    below: float
    automated_ratio: float
    caught_ratio: float
    missed_ratio: float


def bands(
    scores: Sequence[float], truths: Sequence[bool], thresholds: Sequence[float]
) -> list[Band]:
    """Return one band a threshold. `truths` holds at least one fraud."""
    table = []
    for below in thresholds:
        passed = [truth for score, truth in zip(scores, truths, strict=True) if score < below]
        caught = 1.0 - sum(passed) / sum(truths)
        missed = sum(passed) / len(passed) if passed else 0.0
        table.append(Band(below, len(passed) / len(scores), caught, missed))
    return table


def card_of(seed: int) -> dict[str, object]:
    """Return the model card."""
    return {
        "purpose": "Rank new vehicle claims by the risk of fraud, so that people look at the risky ones. It never declines.",
        "training": "Claims of 1994 and 1995 of one US insurer; see examples/claims/data/SOURCE.md.",
        "test": "Claims of 1996, later than all it was trained on. The size of the forest was chosen with sight of 1996, "
        "so the figures are honest about time, less so about that choice.",
        "left_out": dict(LEFT_OUT),
        "history": "A claim counts as settled when its week ends; real settlement takes longer.",
        "probabilities": "Not calibrated further; the calibration slope and intercept of the test say how far off they are.",
        "confidence": "One minus the width of the 95 % Wilson interval of the fraud rate among claims with such a score, "
        "in the later half of the training rows, scored by a model fitted on the earlier half.",
        "limits": "Three decades old, one insurer, 6 % fraud as labelled then. Age is read. Above a score of about 0.05 the "
        "ranking is weak: claims scored 0.06 are about as often fraud as claims scored 0.2.",
        "seed": seed,
        "made_with": {
            "numpy": np.__version__,
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
            "scikit-learn": sklearn.__version__,
            "skl2onnx": skl2onnx.__version__,
        },
    }


def main() -> None:
    """Train, write the artifact and its card, and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="where the ONNX artifact goes")
    parser.add_argument("--card", type=Path, help="where card, metrics and digests go, as JSON")
    places = parser.parse_args()
    training_rows, test_rows = split_by_year(read_claims())
    model = train(training_rows, test_rows)
    summary = {
        "name": MODEL_NAME,
        "digest": model.digest,
        "training_digest": model.training_digest,
        "metrics": model.metrics,
        "card": model.card,
    }
    if places.out:
        places.out.write_bytes(model.onnx_bytes)
    if places.card:
        places.card.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
