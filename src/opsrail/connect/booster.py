"""What models of LightGBM and XGBoost share: exact contributions out of the booster's own trees."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from opsrail.connect.tabular import TabularModel, confidence_of
from opsrail.errors import ArtifactRefused, ModelUnavailable
from opsrail.values.columns import Category, Column
from opsrail.values.containers import Signature
from opsrail.values.explanations import Contributions, FeatureCells, ModelCells

AGREEMENT = 1e-5
"""How far a booster's contributions may sum from its score. Probability. Ours: as for ONNX models."""


class BoosterModel(TabularModel):
    """A booster in memory. `score` may be called from several threads at once."""

    def __init__(self, signature: Signature, digest: str, kind: Any) -> None:
        confidence = confidence_of(signature.confidence, digest, "confidence")
        super().__init__(signature.columns, confidence, digest, kind)
        self._lows, self._highs = (
            _ends(signature, end, digest, len(signature.columns)) for end in ("lows", "highs")
        )

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

    def cells(self) -> ModelCells:
        """Return what is known of each feature. Where its trees split is not told."""
        return ModelCells(
            False,
            {
                column.name: FeatureCells((), _codes(column), low, high)
                for column, low, high in zip(self.columns, self._lows, self._highs, strict=True)
            },
        )

    def reach(self, row: Mapping[str, object], free: Sequence[str]) -> tuple[float, float]:
        """Return bounds that always hold."""
        return 0.0, 1.0

    def _parts(self, numbers: Any) -> Any:
        """Return what each column adds, the baseline last. float64 [rows, columns + 1]."""
        raise NotImplementedError


def pointer(array: Any) -> ctypes.c_void_p:
    """Return the address of an array's numbers, for C."""
    return ctypes.c_void_p(array.ctypes.data)


def check_columns(signature: Signature, names: Sequence[str], count: int, model: str) -> None:
    """Refuse a signature that is of another model.

    Args:
        names: As the native file has them; none: it tells no names.

    Raises:
        ArtifactRefused: the columns are others, or in another order. Terminal: nothing was loaded.
    """
    told = [column.name for column in signature.columns]
    if len(told) != count or (names and told != list(names)):
        raise ArtifactRefused(
            f"Model {model} reads {list(names) or f'{count} features'}, its signature says {told}; import it anew."
        )


def _codes(column: Column) -> Mapping[str, float] | None:
    return column.codes if isinstance(column, Category) else None


def _ends(signature: Signature, end: str, model: str, columns: int) -> list[float | None]:
    told = (signature.reference or {}).get(end) or [None] * columns
    is_sound = isinstance(told, list) and len(told) == columns
    if not is_sound or not all(one is None or np.isfinite(one) for one in told):
        raise ArtifactRefused(
            f"Model {model}: its reference's {end} cannot be read; import it anew."
        )
    return told
