"""Every runtime that computes in this process passes the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from opsrail.testing.contracts.runtime import InProcessContract, RuntimeContract, Subject
from tests.contract.runtime import boosters, subjects

MAKERS: dict[str, Callable[[], Subject]] = {
    "onnx": subjects.onnx,
    "lightgbm": boosters.lightgbm_subject,
    "xgboost-json": boosters.xgboost_subject,
    "xgboost-ubj": lambda: boosters.xgboost_subject("ubj"),
}


@pytest.fixture(scope="module", params=MAKERS)
def subject(request: pytest.FixtureRequest) -> Subject:
    return MAKERS[request.param]()


class TestRuntimes(RuntimeContract, InProcessContract):
    pass
