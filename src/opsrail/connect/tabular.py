"""What models over named columns share: reading rows, and turning probabilities into scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from opsrail.connect.encoder import Encoder
from opsrail.errors import ArtifactRefused, ModelUnavailable
from opsrail.values.columns import Column
from opsrail.values.confidence import ConfidenceTable, entropy_confidence
from opsrail.values.models import Score

ROUNDING = 1e-6
"""How far past 0 or 1 a float32 probability may stand by rounding alone: eight steps of 2**-23, lifted to a round number."""
TRIAL_ROWS = 2


class TabularModel:
    """A model that reads an array of numbers. `score` may be called from several threads at once.

    Args:
        confidence: Score -> confidence.
        kind: What the model computes with.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        confidence: Callable[[float], float],
        digest: str,
        kind: Literal["float32", "float64"] = "float32",
    ) -> None:
        self.digest = digest
        self.columns = tuple(columns)
        self.kind: str = kind
        self._encoder = Encoder(self.columns, digest, kind)
        self._confidence = confidence

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        """Return one score a row of named features, in order. Blocking, on one core.

        Raises:
            InvalidInput: a feature is absent or of the wrong type. Terminal; all faults of all rows are listed and
                none was scored.
            ModelUnavailable: the runtime failed, or answered something that is no probability. The decision falls back.
        """
        if not rows:
            return []
        numbers = self._encoder.numbers(rows)
        confidence, digest = self._confidence, self.digest
        return [
            Score(value, confidence(value), digest, unknown)
            for value, unknown in zip(
                self._run(numbers), self._encoder.unknown(numbers), strict=True
            )
        ]

    def score_array(self, numbers: Any) -> list[float]:
        """Return the probability of each row of numbers, as `opsrail.ports.ArrayModel` says."""
        return self._run(numbers)

    def try_out(self) -> None:
        """Score two rows of zeros. Raises ArtifactRefused when what comes out are not two probabilities."""
        try:
            self._run(self._encoder.zeros(TRIAL_ROWS))
        except ModelUnavailable as error:
            raise ArtifactRefused(f"{error} It failed its trial run and was not loaded.") from error

    def _run(self, numbers: Any) -> list[float]:
        """Return the probability of each row; [rows, columns] in."""
        try:
            answer = self._answer(numbers)
        except Exception as error:  # the runtimes' errors share no narrower root
            raise ModelUnavailable(f"Model {self.digest} failed: {error}") from error
        if answer.shape == (len(numbers), 2):
            answer = answer[:, 1]
        if answer.size != len(numbers) or len(answer) != len(numbers):
            raise ModelUnavailable(
                f"Model {self.digest} answered {list(answer.shape)} to {len(numbers)} rows; export it so that it "
                "gives each row one probability."
            )
        values: list[float] = answer.ravel().tolist()
        if min(values) >= 0.0 and max(values) <= 1.0 and sum(values) >= 0.0:  # NaN shows in the sum
            return values
        if not all(-ROUNDING <= value <= 1.0 + ROUNDING for value in values):
            raise ModelUnavailable(f"Model {self.digest} answered a score outside [0, 1], or NaN.")
        return [min(1.0, max(0.0, value)) for value in values]

    def _answer(self, numbers: Any) -> Any:
        """Return what the runtime answers: an array [rows], [rows, 1] or [rows, 2]."""
        raise NotImplementedError


def confidence_of(told: object, model: str, place: str) -> Callable[[float], float]:
    """Return what gives a score its confidence: the measured table if the artifact carries one.

    Args:
        told: `{"edges": [...], "confidences": [...]}`, as JSON text or read; None: there is none.
        place: Where it stands, for the error.

    Raises:
        ArtifactRefused: it makes no sense. Terminal: nothing was loaded.
    """
    if told is None:
        return entropy_confidence
    try:
        entry: Any = json.loads(told) if isinstance(told, str) else told
        return ConfidenceTable(tuple(entry["edges"]), tuple(entry["confidences"])).at
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused(
            f"Model {model}: its {place} cannot be read ({error}); export it anew."
        ) from error
