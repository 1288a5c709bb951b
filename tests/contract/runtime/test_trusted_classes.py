"""Every class that skops files may hold is one whose models really load, and score as scikit-learn does."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import ExtraTreesClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from opsrail.connect.skops import SkopsRuntime
from opsrail.values.canonical import digest
from tests.contract.runtime.boosters import rows_of, training_rows
from tests.contract.runtime.sklearn_models import packed, written


def _linear() -> Any:
    return LogisticRegression(max_iter=1000)


MODELS: dict[str, Callable[[], Any]] = {
    "imputed": lambda: make_pipeline(
        SimpleImputer(add_indicator=True), StandardScaler(), _linear()
    ),
    "extra trees": lambda: ExtraTreesClassifier(5, random_state=1),
    "voting": lambda: VotingClassifier([("a", _linear()), ("b", GaussianNB())], voting="soft"),
    "network by adam": lambda: MLPClassifier(max_iter=5, random_state=1),
    "network by sgd": lambda: MLPClassifier(max_iter=5, random_state=1, solver="sgd"),
    "one-hot columns": lambda: make_pipeline(
        ColumnTransformer(
            [
                ("words", OneHotEncoder(handle_unknown="ignore"), [2]),
                ("rest", StandardScaler(), [0, 1]),
            ]
        ),
        _linear(),
    ),
    "ordinal columns": lambda: make_pipeline(
        ColumnTransformer([("words", OrdinalEncoder(), [2]), ("rest", StandardScaler(), [0])]),
        _linear(),
    ),
}


@pytest.mark.parametrize("kind", MODELS)
def test_what_is_trusted_loads_and_scores_as_scikit_learn_does(kind: str) -> None:
    numbers, truths = training_rows(200)
    numbers = np.nan_to_num(numbers)
    with warnings.catch_warnings(action="ignore"):
        model = MODELS[kind]().fit(numbers, truths)
    artifact = packed(written(model))

    loaded = SkopsRuntime().load(artifact, digest(artifact))

    scores = [score.value for score in loaded.score(rows_of(numbers[:20]))]
    assert scores == pytest.approx(model.predict_proba(numbers[:20])[:, 1], abs=1e-12)
