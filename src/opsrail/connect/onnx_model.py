"""One ONNX model in memory: what `opsrail.connect.onnx` loads, kept apart so that its packages load with the first model."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import numpy as np
import onnxruntime

from opsrail.connect.onnx_reasons import OnnxReasons, reasons_of
from opsrail.connect.reference import REFERENCE_KEY, Reference, cells_of, reference_of
from opsrail.connect.tabular import TabularModel, confidence_of
from opsrail.errors import ArtifactRefused, ModelUnavailable
from opsrail.values.columns import Column, columns_from_json
from opsrail.values.explanations import Contributions, ModelCells

COLUMNS_KEY = "opsrail.columns"
CONFIDENCE_KEY = "opsrail.confidence"
LARGEST_BOUND = 64
"""Rows of the largest batch with buffers of its own. Ours: as many as a lane scores at once; above, they bring nothing."""

TRIAL_S = 10.0
"""Time for a trial whose work its rows do not bound. Ours: a model that loops for ever is to be refused, not waited for."""
APART = 1e-4
"""How far a score may move by the row beside it. Ours: far above what the order of float32 sums does, below what decides."""


def open_model(
    artifact: bytes, digest: str, threads: int = 1, *, is_bounded: bool = False
) -> OnnxModel:
    """Return the model of a checked artifact, after one trial run.

    Args:
        is_bounded: What `check_artifact` said: its work is bounded by its rows.

    Raises:
        ArtifactRefused: it is not a model as the head of `opsrail.connect.onnx` describes. Terminal: nothing was loaded.
    """
    session = _session(artifact, digest, threads)
    metadata = _metadata(session, digest)
    if COLUMNS_KEY not in metadata:
        raise ArtifactRefused(
            f"Model {digest} does not say what its columns are; write {COLUMNS_KEY} into its metadata "
            "with columns_to_json."
        )
    columns = columns_from_json(metadata[COLUMNS_KEY])
    output = _check_signature(session, columns, digest)
    reference = reference_of(metadata.get(REFERENCE_KEY), len(columns), digest, REFERENCE_KEY)
    model = OnnxModel(
        session,
        output,
        columns,
        confidence_of(metadata.get(CONFIDENCE_KEY), digest, CONFIDENCE_KEY),
        digest,
        reference,
    )
    model.is_bounded = is_bounded
    model.try_out()
    model.explain_by(artifact)
    return model


def read_told(artifact: bytes, digest: str) -> tuple[int, tuple[Column, ...]]:
    """Return how many columns a checked model's input has, and what they are if it says so.

    Raises:
        ArtifactRefused: it cannot be loaded, or its input is none of [rows, columns]. Terminal.
    """
    session = _session(artifact, digest, 1)
    shapes = [tensor.shape for tensor in session.get_inputs()]
    if len(shapes) != 1 or len(shapes[0]) != 2 or not isinstance(shapes[0][1], int):
        raise ArtifactRefused(
            f"Model {digest} has inputs {shapes}; export it with one float32 input [rows, columns]."
        )
    told = _metadata(session, digest).get(COLUMNS_KEY)
    return shapes[0][1], () if told is None else columns_from_json(told)


class OnnxModel(TabularModel):
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
        super().__init__(columns, confidence, digest)
        self.is_bounded = False
        self._session = session
        self._input: str = session.get_inputs()[0].name
        self._output = output
        self._artifact: bytes | None = None
        self._reference = reference
        self._reasons: OnnxReasons | None = None
        self._buffers: dict[int, deque[_Buffers]] = {}
        self._largest_bound = LARGEST_BOUND
        self._options: Any = None

    def try_out(self) -> None:
        """Score rows alone and beside each other, in time.

        Raises:
            ArtifactRefused: what comes out are no probabilities, they hang on what else is in the batch, or it takes longer
                than `TRIAL_S`.
        """
        with nullcontext() if self.is_bounded else self._in_time():
            super().try_out()
            self._check_apart()

    def _check_apart(self) -> None:
        """Refuse a model whose score of a row hangs on the rows beside it: batches are cut as requests come."""
        rows = self._encoder.zeros(2)
        rows[1] = 1.0
        with suppress(ModelUnavailable):  # a row of ones need not make sense to it
            alone = self._run(rows[:1]) + self._run(rows[1:])
            is_repeatable = self._run(rows[:1]) == alone[:1]
            moved = [abs(one - other) for one, other in zip(alone, self._run(rows), strict=True)]
            if is_repeatable and max(moved) > APART:
                raise ArtifactRefused(
                    f"Model {self.digest} scores a row otherwise beside another one than alone; export it so that its "
                    "rows do not touch each other."
                )

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        """End what the session runs in the block once it takes too long; without buffers, which would go around that."""
        self._largest_bound, self._options = 0, onnxruntime.RunOptions()
        timer = threading.Timer(TRIAL_S, setattr, (self._options, "terminate", True))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            self._largest_bound, self._options = LARGEST_BOUND, None

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
        numbers = self._encoder.numbers(rows)
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
        numbers = self._encoder.numbers([row])
        places = [place for place, column in enumerate(self.columns) if column.name in free]
        return reasons.reach(numbers[0], places)

    def _read_reasons(self) -> OnnxReasons | None:
        if (artifact := self._artifact) is not None:
            self._reasons = reasons_of(artifact, self.columns, self._reference, self._run)
            self._artifact = None
        return self._reasons

    def _answer(self, numbers: Any) -> Any:
        """Return the model's output; through buffers that are bound before, where the batch is one of many of its size."""
        count = len(numbers)
        if count > self._largest_bound:
            return self._session.run([self._output], {self._input: numbers}, self._options)[0]
        idle = self._buffers.get(count)
        if idle is None:
            answer = self._session.run([self._output], {self._input: numbers})[0]
            self._buffers[count] = deque((_Buffers(self, numbers, answer),))
            return answer
        try:
            buffers = idle.pop()
        except IndexError:  # another thread scores a batch of this size now
            return self._session.run([self._output], {self._input: numbers})[0]
        try:
            return buffers.run(self._session, numbers)
        finally:
            idle.append(buffers)


class _Buffers:
    """Memory for batches of one size that the session reads from and writes to without asking for any.

    One row through 100 trees: 6.8 us with arrays made by each call, 5.0 us so; 8 rows: 14 and 12.
    """

    def __init__(self, model: Any, numbers: Any, answer: Any) -> None:
        self._numbers = np.zeros_like(numbers)
        self._answer = np.zeros_like(answer)
        self._binding = model._session.io_binding()
        for bind, name, array in (
            (self._binding.bind_input, model._input, self._numbers),
            (self._binding.bind_output, model._output, self._answer),
        ):
            bind(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

    def run(self, session: Any, numbers: Any) -> Any:
        self._numbers[:] = numbers
        session.run_with_iobinding(self._binding)
        return self._answer.copy()


def _session(artifact: bytes, model: str, threads: int) -> Any:
    """Return the runtime's session: no spinning, the CPU alone."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised; what it would print says the same
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(
            artifact, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # the runtime's errors share no narrower root
        raise ArtifactRefused(f"Model {model} cannot be loaded: {error}") from error


def _metadata(session: Any, model: str) -> dict[str, str]:
    try:
        found: dict[str, str] = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError as error:
        raise ArtifactRefused(f"Model {model} has metadata that is not text.") from error
    return found


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
