"""What we need from models: artifacts that become something to ask, and what some of them can do beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Protocol, runtime_checkable

from opsrail.errors import InvalidInput
from opsrail.values.columns import Column, trial_rows
from opsrail.values.containers import Described, Signature
from opsrail.values.explanations import Contributions, ModelCells
from opsrail.values.models import Score


class LoadedModel(Protocol):
    """A model version in memory, ready to score. Blocking: called off the event loop.

    One that asks another machine says so with an attribute `is_remote = True`. Then its faults are retried and late answers
    hedged, from a budget, so it must not retry by itself; a fault that may pass is ModelUnavailable, one that is this row's
    own is InvalidInput. One that takes several calls at the same time says how many: `at_once = 8`.

    One whose work is bounded by its rows, which holds no loop and waits for nothing, says so with `is_bounded = True`: while
    its calls are short they are made on the event loop itself, since a thread would cost more than the model.
    """

    digest: str

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        """Return one score a row of named features, in order."""
        ...


def is_remote(model: LoadedModel) -> bool:
    """Return whether a model is asked over a network; models in this process need not say that they are not."""
    return getattr(model, "is_remote", False) is True


def is_bounded(model: LoadedModel) -> bool:
    """Return whether a model's calls may be made on the event loop while they are short."""
    return getattr(model, "is_bounded", False) is True and not is_remote(model)


def calls_at_once(model: LoadedModel) -> int:
    """Return how many calls a model takes at the same time, 1 unless it says more."""
    return max(1, int(getattr(model, "at_once", 1)))


@runtime_checkable
class ColumnedModel(Protocol):
    """A loaded model that says which columns it reads. Optional: others cannot be tried out before they are asked."""

    columns: tuple[Column, ...]


@runtime_checkable
class ArrayModel(Protocol):
    """A loaded model that also takes the numbers that its columns make of rows. Optional: others get rows.

    Attributes:
        kind: What it computes with, `float32` or `float64`.
    """

    columns: tuple[Column, ...]
    kind: str

    def score_array(self, numbers: Any) -> list[float]:
        """Return the probability of each row: the same as `LoadedModel.score` gives. Blocking.

        Args:
            numbers: As `Column.code` gives them, of `kind` [rows, columns], not empty.

        Raises:
            ModelUnavailable: the runtime failed, or answered something that is no probability.
        """
        ...


TRIAL_ROWS = (1, 8, 64)
"""Sizes of the batches that warm a model. Ours: a lone request, a few, and a full batch at the usual limit."""


def warm_up(model: LoadedModel) -> None:
    """Have a model score trial batches, so that the first request meets no code that was never run. Blocking.

    One that names no columns is not tried: nobody knows what its rows hold.

    Raises:
        ModelUnavailable: it failed.
    """
    if isinstance(model, ColumnedModel) and model.columns:
        for count in TRIAL_ROWS:
            with suppress(InvalidInput):  # a row of zeros need not make sense to it
                model.score(trial_rows(model.columns, count))


class ModelHealth(NamedTuple):
    """How the processes fare in which a model runs.

    Attributes:
        state: `serving`, `quarantined` or `trial`.
        children: Of them, how many are ready.
        wanted: How many should be.
        crashes: Deaths since it was loaded.
        quarantined_for_s: How long it is still left alone; 0 unless quarantined.
    """

    state: str
    children: int
    wanted: int
    crashes: int
    quarantined_for_s: float


@runtime_checkable
class SupervisedModel(Protocol):
    """A loaded model that runs in processes of its own. Optional.

    Attributes:
        is_scalable: Whether it may have more or fewer than it has.
        busy_s: Seconds of work that all of them did.
        start_s: How long the last one took to be ready.
    """

    is_scalable: bool
    busy_s: float
    start_s: float

    def health(self) -> ModelHealth:
        """Return how they fare."""
        ...

    def release(self) -> None:
        """End its quarantine, as an operator says, and start it again."""
        ...

    def scale(self, wanted: int) -> None:
        """Have so many processes ready, within the bounds that it was given. Does not block."""
        ...


@runtime_checkable
class ClosableModel(Protocol):
    """A loaded model that holds more than memory. Optional."""

    def close(self) -> None:
        """Release it; nothing is asked of it any more. Blocking: seconds at most."""
        ...


@runtime_checkable
class ContributingModel(Protocol):
    """A loaded model that can say what each feature added to a score. Optional: others are asked as black boxes.

    Blocking, as `LoadedModel`. A booster's own `pred_contrib` fits: the last column is the baseline.
    """

    def contributions(self, rows: Sequence[Mapping[str, object]]) -> list[Contributions] | None:
        """Return the contributions to each row's score, in order; None when this artifact has no exact ones after all.

        Raises:
            InvalidInput, ModelUnavailable: as `LoadedModel.score`.
        """
        ...


@runtime_checkable
class CellModel(Protocol):
    """A loaded model that can say where its score may change. Optional: without, no smallest change is proven."""

    def cells(self) -> ModelCells:
        """Return where scores may change. Called once a search."""
        ...

    def reach(self, row: Mapping[str, object], free: Sequence[str]) -> tuple[float, float]:
        """Return bounds of a row's score when the features named may be anything training saw; (0, 1) always holds."""
        ...


class ModelRuntime(Protocol):
    """Loads artifacts of one kind, never by pickle."""

    name: str

    def load(self, artifact: bytes, expected_digest: str) -> LoadedModel:
        """Return the model. Raises ArtifactRefused when the digest differs or the artifact is not allowed."""
        ...


class ModelFormat(Protocol):
    """Makes artifacts of one kind of file, as training leaves it. Blocking."""

    def describe(self, content: bytes) -> Described:
        """Return what the file tells of its model. Raises ArtifactRefused when it is damaged or not allowed."""
        ...

    def artifact(self, content: bytes, signature: Signature) -> bytes:
        """Return what a runtime loads: the same file with the same signature gives the same bytes."""
        ...
