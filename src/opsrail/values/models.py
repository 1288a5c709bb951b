"""Models as values: an immutable version, and what it said about one request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from opsrail.errors import ModelUnavailable
from opsrail.values.columns import Column

PYTHON_FORM = "python-function"
"""What the artifact of an author's function calls itself."""


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One immutable version of a model.

    Attributes:
        name: Of the model, e.g. `claims-fraud`.
        number: Of the version, from 1.
        digest: `sha256:<hex>` of the artifact's bytes.
        runtime: Name of the adapter that loads it, e.g. `onnx`.
        training_digest: `sha256:<hex>` of the training rows.
        metrics: Figures measured when it was trained, e.g. {"auc": 0.763}.
        card: What it is for, what it was made from, its limits.
        created_at_ms: Epoch ms.
    """

    name: str
    number: int
    digest: str
    runtime: str
    training_digest: str
    metrics: Mapping[str, float]
    card: Mapping[str, object]
    created_at_ms: int


@dataclass(slots=True, unsafe_hash=True)
class Score:
    """What a model said about one request. Nobody changes one; why it is not frozen: see `decisions.ViewRead`.

    Attributes:
        value: Probability of the positive class, in [0, 1].
        confidence: How well scores like this one are backed by evidence, in [0, 1]; see `opsrail.values.confidence`.
        digest: `sha256:<hex>` of the model's artifact.
        unknown: Features whose value the model was never trained on, or that were missing, in column order. A model may
            answer all the same; a policy may send such requests to a person.
        cost_usd: What the time cost that the model took for it, where its pool has a price.

    Raises:
        ModelUnavailable: value or confidence is not in [0, 1] (NaN included). The decision falls back.
    """

    value: float
    confidence: float
    digest: str
    unknown: tuple[str, ...] = ()
    cost_usd: float = field(default=0.0, compare=False)

    def __post_init__(self) -> None:
        if not (0.0 <= self.value <= 1.0 and 0.0 <= self.confidence <= 1.0):
            raise ModelUnavailable(
                f"Model {self.digest} gave score {self.value} with confidence {self.confidence}; both must be in [0, 1]. "
                "Roll back to a version that answers in range."
            )


class AuthorFunction(NamedTuple):
    """A function of the author's that scores one row.

    Attributes:
        function: Row of named features -> score in [0, 1], or (score, confidence).
        columns: What rows are checked by before; none: nothing is checked.
    """

    function: Callable[[Mapping[str, Any]], Any]
    columns: tuple[Column, ...]
