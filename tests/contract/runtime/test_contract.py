"""Every runtime that computes in this process passes the contract."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from opsrail.testing.contracts.runtime import InProcessContract, RuntimeContract, Subject
from tests.contract.runtime import boosters, sklearn_models, subjects

MAKERS: dict[str, Callable[[], Subject]] = {
    "onnx": subjects.onnx,
    "python": subjects.python,
    "lightgbm": boosters.lightgbm_subject,
    "xgboost-json": boosters.xgboost_subject,
    "xgboost-ubj": lambda: boosters.xgboost_subject("ubj"),
    **{f"sklearn-{kind}": partial(sklearn_models.subject, kind) for kind in sklearn_models.MODELS},
}


@pytest.fixture(scope="module", params=MAKERS)
def subject(request: pytest.FixtureRequest) -> Subject:
    return MAKERS[request.param]()


class TestRuntimes(RuntimeContract, InProcessContract):
    pass
