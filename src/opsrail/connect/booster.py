"""What models of LightGBM and XGBoost share: exact contributions out of the booster's own trees."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

from opsrail.connect.contained import ContainedModel
from opsrail.errors import ModelUnavailable
from opsrail.values.explanations import Contributions

AGREEMENT = 1e-5
"""How far a booster's contributions may sum from its score. Probability. Ours: as for ONNX models."""


class BoosterModel(ContainedModel):
    """A booster in memory. `score` may be called from several threads at once."""

    def contributions(self, rows: Sequence[Mapping[str, object]]) -> list[Contributions] | None:
        """Return the exact contributions to each row's score; None where they do not come to the scores.

        Raises:
            InvalidInput, ModelUnavailable: as `score`.
        """
        if not rows:
            return []
        numbers = self._encoder.numbers(rows)
        told = self._parts(numbers)
        if told.shape != (len(rows), len(self.columns) + 1):
            raise ModelUnavailable(f"Model {self.digest} did not explain each of {len(rows)} rows.")
        names = [column.name for column in self.columns]
        found = []
        for row, score in zip(told.tolist(), self._run(numbers), strict=True):
            parts = dict(zip(names, row[:-1], strict=True))
            one = Contributions("exact-tree", "log-odds", "training-cover", row[-1], parts)
            if not abs(one.score - score) <= AGREEMENT:
                return None
            found.append(one)
        return found

    def _parts(self, numbers: Any) -> Any:
        """Return what each column adds, the baseline last. float64 [rows, columns + 1]."""
        raise NotImplementedError


def pointer(array: Any) -> ctypes.c_void_p:
    """Return the address of an array's numbers, for C."""
    return ctypes.c_void_p(array.ctypes.data)
