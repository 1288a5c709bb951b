from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from opsrail.cases.loader import load_file
from opsrail.connect.python import PythonRuntime
from opsrail.decide.python_model import PythonModel
from opsrail.errors import InvalidInput, ModelUnavailable
from opsrail.ports import LoadedModel, warm_up

FILE = """
from pydantic import BaseModel
from opsrail import Band, DecisionPoint, Number, Policy, PythonModel

class Loan(BaseModel):
    amount_usd: float

def by_amount(row):
    return min(1.0, row["amount_usd"] / {limit})

loans = DecisionPoint("loan-risk", request=Loan, deadline_ms=30_000,
    policy=Policy(bands=[Band("pay", below=0.5), Band("review", below=1.01)]))
model = PythonModel("loan-rules", by_amount, columns=[Number("amount_usd")])
"""


def loaded(function: Any) -> LoadedModel:
    model = PythonModel("rules", function)
    return PythonRuntime({model.digest: model.function}).load(model.artifact, model.digest)


def written(folder: Path, limit: int, comment: str = "") -> PythonModel:
    path = folder / "loans.py"
    path.write_text(FILE.replace("{limit}", str(limit)) + comment, encoding="utf-8")
    (model,) = load_file(path).models
    return model


def test_a_function_of_the_file_is_found_and_scores(tmp_path: Path) -> None:
    model = written(tmp_path, 1000)
    runtime = PythonRuntime({model.digest: model.function})

    scores = runtime.load(model.artifact, model.digest).score([{"amount_usd": 250.0}])

    assert [score.value for score in scores] == [0.25]


def test_code_makes_the_version_comments_do_not(tmp_path: Path) -> None:
    first = written(tmp_path, 1000)

    assert written(tmp_path, 1000, "\n# a comment\n").digest == first.digest
    assert written(tmp_path, 1001).digest != first.digest


def test_a_function_may_say_how_sure_it_is() -> None:
    (score,) = loaded(lambda row: (0.25, 0.75)).score([{}])

    assert (score.value, score.confidence) == (0.25, 0.75)


def test_a_function_without_columns_is_not_tried_out_with_rows_that_have_nothing() -> None:
    model = loaded(lambda row: row["amount_usd"] / 1_000)

    warm_up(model)

    assert model.score([{"amount_usd": 500.0}])[0].value == 0.5


def raises(row: Mapping[str, Any]) -> float:
    raise KeyError("Ann Example, 12 Some Street")


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (raises, r"its function failed at rows\[0\]: KeyError in test_python_models.py:\d+$"),
        (lambda row: None, "its function failed"),
        (lambda row: "high", r"its function failed at rows\[0\]: ValueError$"),
        (lambda row: 1.5, "must be in"),
        (lambda row: float("nan"), "must be in"),
        (lambda row: (0.5, 2.0), "must be in"),
        (lambda row: row.update(age=1) or 0.5, "its function failed"),
    ],
)
def test_a_function_that_fails_makes_the_model_unavailable(function: Any, told: str) -> None:
    with pytest.raises(ModelUnavailable, match=told):
        loaded(function).score([{"age": 1}])


async def a_coroutine(row: Mapping[str, Any]) -> float:
    await asyncio.sleep(0)
    return 0.5


def test_what_cannot_be_a_model_is_refused_with_all_faults() -> None:
    function: Any = a_coroutine

    with pytest.raises(InvalidInput) as caught:
        PythonModel("Rules!", function)

    assert [fault.place for fault in caught.value.faults] == ["name", "function"]
