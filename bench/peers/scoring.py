"""The model as each peer calls it: ONNX Runtime on one thread, the file that opsrail serves too."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime

NAMES = tuple(f"x{place}" for place in range(20))
"""The numbers of a question, in the order of the model's columns."""


class Model:
    """A session of its own in the process that scores."""

    def __init__(self, path: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self._name = self._session.get_inputs()[0].name

    def scores(self, rows: object) -> list[float]:
        """Return the probability of each row [n][20]."""
        numbers = np.asarray(rows, dtype=np.float32)
        answer = self._session.run(["probabilities"], {self._name: numbers})[0]
        found: list[float] = answer[:, 1].tolist()
        return found


def row_of(facts: dict[str, float]) -> list[float]:
    """Return the numbers of a question in the model's order."""
    return [facts[name] for name in NAMES]
