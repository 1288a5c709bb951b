"""The model that every server of `bench serve` and `bench burst` serves, and the questions they are asked.

One ONNX file: 100 boosted trees over twenty numbers, trained from a seed. Question `n` is the same for all servers: row
`n % ROWS` of drawn numbers, its first number replaced by `n / 1e7`, so that no two questions are alike and no cache helps.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import skl2onnx
from sklearn.ensemble import GradientBoostingClassifier

from opsrail.connect.onnx_model import COLUMNS_KEY
from opsrail.values.columns import Number, columns_to_json

SEED = 7
TREES = 100
TRAINING_ROWS = 4_000
ROWS = 256
NAMES = tuple(f"x{place}" for place in range(20))
DIGITS = 7
"""Of a question's number, behind `0.`; ten million questions before one comes again."""
Slot = tuple[str, str]
"""What stands before and after the digits of the question's number."""


def trained_rows() -> tuple[Any, Any]:
    """Return the training rows, float32 [rows, 20], and which of them are of the positive class."""
    chance = np.random.default_rng(SEED)
    numbers = chance.random((TRAINING_ROWS, len(NAMES)), dtype=np.float32)
    weights = chance.normal(size=len(NAMES))
    signal = (numbers - 0.5) @ weights + 2 * (numbers[:, 0] - 0.5) * (numbers[:, 1] > 0.5)
    return numbers, signal + chance.normal(scale=0.3, size=TRAINING_ROWS) > 0.4


def write_model(path: Path) -> None:
    """Train the model and write it. Seconds."""
    numbers, truths = trained_rows()
    model = GradientBoostingClassifier(n_estimators=TREES, max_depth=3, random_state=SEED)
    model.fit(numbers, truths)
    graph = skl2onnx.to_onnx(model, numbers[:1], options={"zipmap": False}, target_opset=21)
    columns = columns_to_json([Number(name) for name in NAMES])
    onnx.helper.set_model_props(graph, {COLUMNS_KEY: columns})
    path.write_bytes(graph.SerializeToString(deterministic=True))


def drawn() -> list[list[str]]:
    """Return the rows as texts of six decimals [ROWS][20]."""
    chance = np.random.default_rng(SEED + 1)
    rows = chance.random((ROWS, len(NAMES)))
    return [[f"{value:.6f}" for value in row] for row in rows.tolist()]


def flat(row: Sequence[str]) -> Slot:
    """Return a question as one JSON object of named numbers."""
    rest = "".join(f',"{name}":{text}' for name, text in zip(NAMES[1:], row[1:], strict=True))
    return f'{{"{NAMES[0]}":0.', f"{rest}}}"


def instances(row: Sequence[str]) -> Slot:
    """Return a question as KServe's first protocol has it."""
    return '{"instances":[[0.', f",{','.join(row[1:])}]]}}"


def rows(row: Sequence[str]) -> Slot:
    """Return a question as an array of rows under a name, as BentoML's batching needs it."""
    return '{"rows":[[0.', f",{','.join(row[1:])}]]}}"


def tensor(row: Sequence[str]) -> Slot:
    """Return a question as the Open Inference Protocol, version 2, has it."""
    head = f'{{"inputs":[{{"name":"input","shape":[1,{len(NAMES)}],"datatype":"FP32","data":[0.'
    return head, f",{','.join(row[1:])}]}}]}}"


class Truth:
    """What the model itself says."""

    def __init__(self, model: Path) -> None:
        self._session: Any = onnxruntime.InferenceSession(
            str(model), providers=["CPUExecutionProvider"]
        )
        self._rows = np.array(drawn(), dtype=np.float64)

    def scores(self, questions: Sequence[int]) -> list[float]:
        """Return the probability that each question must be answered with."""
        rows = self._rows[[number % ROWS for number in questions]]
        rows[:, 0] = [number % 10**DIGITS / 10**DIGITS for number in questions]
        name = self._session.get_inputs()[0].name
        answers = self._session.run(["probabilities"], {name: rows.astype(np.float32)})[0]
        found: list[float] = answers[:, 1].tolist()
        return found
