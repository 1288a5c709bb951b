"""Scores with functions of the author's own files, in this process.

An artifact is the line of JSON that `opsrail.decide.python_model` writes: it names the function and the digest of its code.
It holds no code, so nothing of a stranger's runs: a function is called only if a file of this process defines exactly it.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from opsrail.connect.intact import check_intact
from opsrail.errors import ArtifactRefused, ModelUnavailable
from opsrail.values.columns import encode
from opsrail.values.confidence import entropy_confidence
from opsrail.values.models import PYTHON_FORM, AuthorFunction, Score

LARGEST_LINE_BYTES = 8_000_000
"""Ours: the codes of a hundred thousand words, several times over."""


class PythonRuntime:
    """Finds the functions that artifacts name.

    Args:
        functions: By the digest of their artifact.
    """

    name = "python"

    def __init__(self, functions: Mapping[str, AuthorFunction]) -> None:
        self._functions = functions

    def load(self, artifact: bytes, expected_digest: str) -> PythonFunctionModel:
        """Return the function as a model.

        Raises:
            ArtifactRefused: the digest differs, or no file of this process defines the function as it was registered.
                Terminal.
        """
        check_intact(artifact, expected_digest, LARGEST_LINE_BYTES)
        name, code = _named(artifact)
        function = self._functions.get(expected_digest)
        if function is None:
            raise ArtifactRefused(
                f"Function {name!r} with code {code[:12]} is not in the files of this process; serve the file that defines "
                "it, or register its code of today as the next version: opsrail models import FILE.py. A file may define "
                "both until the new one is live."
            )
        return PythonFunctionModel(function, expected_digest)


class PythonFunctionModel:
    """One function of a row. `score` may be called from several threads at once if the function may."""

    def __init__(self, function: AuthorFunction, model_digest: str) -> None:
        self.digest = model_digest
        self.columns = function.columns
        self._function = function.function

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        """Return one score a row, in order. Blocking, as long as the function takes.

        Raises:
            InvalidInput: a feature is absent or of the wrong type. Terminal; all faults of all rows are listed and
                none was scored.
            ModelUnavailable: the function failed, or gave what is no score. The decision falls back.
        """
        numbers = encode(self.columns, rows, model=self.digest)
        return [
            self._score(row, position, codes)
            for position, (row, codes) in enumerate(zip(rows, numbers, strict=True))
        ]

    def _score(self, row: Mapping[str, object], position: int, codes: Sequence[float]) -> Score:
        try:
            said = self._function(MappingProxyType(dict(row)))
            value, confidence = said if isinstance(said, tuple) else (said, None)
            value = float(value)
            confidence = entropy_confidence(value) if confidence is None else float(confidence)
        except Exception as fault:  # whatever the author's function raises
            raise ModelUnavailable(
                f"Model {self.digest}: its function failed at rows[{position}]: {type(fault).__name__}{_place(fault)}"
            ) from fault
        unknown = tuple(
            column.name
            for column, code in zip(self.columns, codes, strict=True)
            if column.missing is not None and (code == column.missing or code != code)
        )
        return Score(value, confidence, self.digest, unknown)


def _place(fault: Exception) -> str:
    """Return the author's line that failed; never what the exception says, which may repeat what was asked."""
    _, *frames = traceback.extract_tb(fault.__traceback__)
    theirs = [frame for frame in frames if frame.filename == frames[0].filename]
    return f" in {Path(theirs[-1].filename).name}:{theirs[-1].lineno}" if theirs else ""


def _named(artifact: bytes) -> tuple[str, str]:
    try:
        head = json.loads(artifact)
        if not isinstance(head, dict) or head.get("format") != PYTHON_FORM:
            raise ValueError("it is not one line that names a function")
        return str(head["name"]), str(head["code"])
    except (KeyError, RecursionError, ValueError) as error:
        raise ArtifactRefused(f"The artifact names no function: {str(error)[:200]}.") from error
