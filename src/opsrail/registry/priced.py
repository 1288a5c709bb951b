"""A loaded model whose time costs money: each batch is timed, and each score carries its part of what that cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from opsrail.clock import Clock
from opsrail.ports import (
    CellModel,
    ClosableModel,
    ContributingModel,
    LoadedModel,
    SupervisedModel,
    calls_at_once,
    is_bounded,
    is_remote,
)
from opsrail.registry.spending import Budget
from opsrail.values.explanations import Contributions, ModelCells
from opsrail.values.models import Score

Row = Mapping[str, object]


class Priced:
    """A model in a pool that costs. It can what the model can; time that a failed batch took is paid as well.

    Args:
        cost_usd_per_s: Of the device it keeps busy.
        budget: Of the pool.
    """

    def __init__(
        self, model: LoadedModel, cost_usd_per_s: float, budget: Budget, clock: Clock
    ) -> None:
        self.digest = model.digest
        self.is_remote = is_remote(model)
        self.is_bounded = is_bounded(model)
        self.at_once = calls_at_once(model)
        self.model = model
        self._cost_usd_per_s = cost_usd_per_s
        self._budget = budget
        self._now_s = clock.monotonic_s

    def score(self, rows: Sequence[Row]) -> list[Score]:
        """Return one score a row, with what it cost."""
        begun_s = self._now_s()
        try:
            scores = self.model.score(rows)
        finally:
            now_s = self._now_s()
            cost_usd = (now_s - begun_s) * self._cost_usd_per_s
            self._budget.add(cost_usd, now_s)
        part_usd = cost_usd / max(1, len(rows))
        return [replace(score, cost_usd=score.cost_usd + part_usd) for score in scores]

    def contributions(self, rows: Sequence[Row]) -> list[Contributions] | None:
        """Return what the model says."""
        return self.model.contributions(rows) if isinstance(self.model, ContributingModel) else None

    def cells(self) -> ModelCells:
        """Return what the model says."""
        return self.model.cells() if isinstance(self.model, CellModel) else ModelCells(False, {})

    def reach(self, row: Row, free: Sequence[str]) -> tuple[float, float]:
        """Return what the model says."""
        return self.model.reach(row, free) if isinstance(self.model, CellModel) else (0.0, 1.0)

    def close(self) -> None:
        """Release the model."""
        if isinstance(self.model, ClosableModel):
            self.model.close()


def supervised(model: LoadedModel | None) -> SupervisedModel | None:
    """Return a model's processes, None when it has none of its own."""
    inner: Any = model.model if isinstance(model, Priced) else model
    return inner if isinstance(inner, SupervisedModel) else None
