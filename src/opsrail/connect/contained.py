"""What models share that come in containers: their signature tells confidence and what is known of their features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from opsrail.connect.reference import cells_of, reference_of
from opsrail.connect.tabular import TabularModel, confidence_of
from opsrail.errors import ArtifactRefused
from opsrail.values.containers import Signature
from opsrail.values.explanations import ModelCells

NO_EDGES: Mapping[int, tuple[float, ...]] = {}


class ContainedModel(TabularModel):
    """A model with the signature that its container told. Raises ArtifactRefused when that makes no sense.

    Args:
        edges: Numbers at which the score may change, by column; none: they are not known.
        is_whole: Whether it changes nowhere else.
    """

    def __init__(
        self,
        signature: Signature,
        digest: str,
        kind: Literal["float32", "float64"],
        edges: Mapping[int, tuple[float, ...]] = NO_EDGES,
        *,
        is_whole: bool = False,
    ) -> None:
        confidence = confidence_of(signature.confidence, digest, "confidence")
        super().__init__(signature.columns, confidence, digest, kind)
        told: Any = signature.reference
        self._edges = edges
        self._is_whole = is_whole
        self._reference = reference_of(told, len(self.columns), digest, "reference")

    def cells(self) -> ModelCells:
        """Return where scores may change."""
        edges = self._edges
        cells = cells_of(self.columns, self._reference, lambda place: edges.get(place, ()))
        return ModelCells(self._is_whole, cells)

    def reach(self, row: Mapping[str, object], free: Sequence[str]) -> tuple[float, float]:
        """Return bounds that always hold."""
        return 0.0, 1.0


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
