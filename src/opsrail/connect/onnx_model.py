"""One ONNX model in memory: what `opsrail.connect.onnx` loads, kept apart so that its packages load with the first model."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

from opsrail.connect.onnx_reasons import (
    REFERENCE_KEY,
    OnnxReasons,
    Reference,
    cells_of,
    reasons_of,
    reference_of,
)
from opsrail.errors import ArtifactRefused, ModelUnavailable
from opsrail.values.columns import Column, columns_from_json, encode
from opsrail.values.confidence import ConfidenceTable, entropy_confidence
from opsrail.values.explanations import Contributions, ModelCells
from opsrail.values.models import Score

COLUMNS_KEY = "opsrail.columns"
CONFIDENCE_KEY = "opsrail.confidence"
ROUNDING = 1e-6
"""How far past 0 or 1 a float32 probability may stand by rounding alone: eight steps of 2**-23, lifted to a round number."""


def open_model(artifact: bytes, digest: str) -> OnnxModel:
    """Return the model of a checked artifact, after one trial run.

    Raises:
        ArtifactRefused: it is not a model as the head of `opsrail.connect.onnx` describes. Terminal: nothing was loaded.
    """
    session = _session(artifact, digest)
    metadata = session.get_modelmeta().custom_metadata_map
    if COLUMNS_KEY not in metadata:
        raise ArtifactRefused(
            f"Model {digest} does not say what its columns are; write {COLUMNS_KEY} into its metadata "
            "with columns_to_json."
        )
    columns = columns_from_json(metadata[COLUMNS_KEY])
    output = _check_signature(session, columns, digest)
    reference = reference_of(metadata.get(REFERENCE_KEY), len(columns), digest)
    model = OnnxModel(
        session,
        output,
        columns,
        _confidence(metadata.get(CONFIDENCE_KEY), digest),
        digest,
        reference,
    )
    model.try_out()
    model.explain_by(artifact)
    return model


class OnnxModel:
    """One model in memory. `score` may be called from several threads at once."""

    def __init__(
        self,
        session: Any,
        output: str,
        columns: Sequence[Column],
        confidence: Callable[[float], float],
        digest: str,
        reference: Reference,
    ) -> None:
        self.digest = digest
        self.columns = tuple(columns)
        self._session = session
        self._input: str = session.get_inputs()[0].name
        self._output = output
        self._confidence = confidence
        stand_ins = [math.nan if column.missing is None else column.missing for column in columns]
        self._missing = np.array(stand_ins, dtype=np.float32)
        self._artifact: bytes | None = None
        self._reference = reference
        self._reasons: OnnxReasons | None = None

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        """Return one score a row of named features, in order. Blocking, on one core.

        Raises:
            InvalidInput: a feature is absent or of the wrong type. Terminal; all faults of all rows are listed and
                none was scored.
            ModelUnavailable: the runtime failed, or answered something that is no probability. The decision falls back.
        """
        if not rows:
            return []
        numbers = np.array(encode(self.columns, rows, model=self.digest), dtype=np.float32)
        values = self._run(numbers)
        return [
            Score(value, self._confidence(value), self.digest, unknown)
            for value, unknown in zip(values, self._unknown(numbers), strict=True)
        ]

    def explain_by(self, artifact: bytes) -> None:
        """Keep the artifact until it is first asked for reasons: reading a forest takes time that loading need not take."""
        self._artifact = artifact

    def contributions(self, rows: Sequence[Mapping[str, object]]) -> list[Contributions] | None:
        """Return the exact contributions to each row's score; None when the artifact's graph is not one that is read.

        Raises:
            InvalidInput, ModelUnavailable: as `score`.
        """
        reasons = self._read_reasons()
        if reasons is None or not rows:
            return None if reasons is None else []
        numbers = np.array(encode(self.columns, rows, model=self.digest), dtype=np.float32)
        return reasons.contributions(numbers, self._run(numbers))

    def cells(self) -> ModelCells:
        """Return where scores may change."""
        reasons = self._read_reasons()
        if reasons is not None:
            return ModelCells(reasons.is_whole, reasons.cells())
        return ModelCells(False, cells_of(self.columns, self._reference))

    def reach(self, row: Mapping[str, object], free: Sequence[str]) -> tuple[float, float]:
        """Return bounds of a row's score when the free features may be anything that training saw."""
        reasons = self._read_reasons()
        if reasons is None:
            return 0.0, 1.0
        numbers = np.array(encode(self.columns, [row], model=self.digest), dtype=np.float32)
        places = [place for place, column in enumerate(self.columns) if column.name in free]
        return reasons.reach(numbers[0], places)

    def _read_reasons(self) -> OnnxReasons | None:
        if (artifact := self._artifact) is not None:
            self._reasons = reasons_of(artifact, self.columns, self._reference, self._run)
            self._artifact = None
        return self._reasons

    def try_out(self) -> None:
        """Score two rows of zeros. Raises ArtifactRefused when what comes out are not two probabilities."""
        try:
            self._run(np.zeros((2, len(self.columns)), dtype=np.float32))
        except ModelUnavailable as error:
            raise ArtifactRefused(f"{error} It failed its trial run and was not loaded.") from error

    def _run(self, numbers: Any) -> list[float]:
        """Return the probability of each row; float32 [rows, columns] in."""
        try:
            (answer,) = self._session.run([self._output], {self._input: numbers})
        except Exception as error:  # the runtime's errors share no narrower root
            raise ModelUnavailable(f"Model {self.digest} failed: {error}") from error
        if answer.shape == (len(numbers), 2):
            answer = answer[:, 1]
        if answer.size != len(numbers) or len(answer) != len(numbers):
            raise ModelUnavailable(
                f"Model {self.digest} answered {list(answer.shape)} to {len(numbers)} rows; export it so that it "
                "gives each row one probability."
            )
        values: list[float] = answer.ravel().tolist()
        if not all(-ROUNDING <= value <= 1.0 + ROUNDING for value in values):
            raise ModelUnavailable(f"Model {self.digest} answered a score outside [0, 1], or NaN.")
        return [min(1.0, max(0.0, value)) for value in values]

    def _unknown(self, numbers: Any) -> list[tuple[str, ...]]:
        """Return for each row the features whose number is their column's stand-in."""
        unknown: list[tuple[str, ...]] = [()] * len(numbers)
        for row, column in np.argwhere(numbers == self._missing).tolist():
            unknown[row] += (self.columns[column].name,)
        return unknown


def _session(artifact: bytes, model: str) -> Any:
    """Return the runtime's session: one thread, no spinning, the CPU alone."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # many small calls: a second thread costs more than it brings
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised; what it would print says the same
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(artifact, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors share no narrower root
        raise ArtifactRefused(f"Model {model} cannot be loaded: {error}") from error


def _check_signature(session: Any, columns: Sequence[Column], model: str) -> str:
    """Return the name of the output that holds the scores. Raises ArtifactRefused when it does not fit."""
    inputs = [(tensor.type, tensor.shape) for tensor in session.get_inputs()]
    outputs = [tensor.name for tensor in session.get_outputs() if tensor.type == "tensor(float)"]
    fits = len(inputs) == 1 and inputs[0][0] == "tensor(float)" and len(inputs[0][1]) == 2
    if not fits or inputs[0][1][1] not in (len(columns), None) or len(outputs) != 1:
        raise ArtifactRefused(
            f"Model {model} has inputs {inputs} and {len(outputs)} float32 outputs; export it with one float32 "
            f"input [rows, {len(columns)}] and one float32 output (zipmap off)."
        )
    return str(outputs[0])


def _confidence(text: str | None, model: str) -> Callable[[float], float]:
    """Return what gives a score its confidence: the measured table if the artifact carries one."""
    if text is None:
        return entropy_confidence
    try:
        entry = json.loads(text)
        return ConfidenceTable(tuple(entry["edges"]), tuple(entry["confidences"])).at
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused(
            f"Model {model}: its {CONFIDENCE_KEY} cannot be read ({error}); export it anew."
        ) from error
