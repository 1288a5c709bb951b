"""A model runtime for tests: the model is a function of named features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opsrail.errors import ArtifactRefused
from opsrail.values.models import Score


class FunctionRuntime:
    """Loads models that are functions; the artifact is the name under which the test handed the function in."""

    name = "function"

    def __init__(self, functions: Mapping[str, Callable[[Mapping[str, Any]], float]]) -> None:
        self._functions = functions

    def load(self, artifact: bytes, expected_digest: str) -> FunctionModel:
        """Return the function as a model."""
        function = self._functions.get(artifact.decode())
        if function is None:
            raise ArtifactRefused(f"this test has no model function named {artifact.decode()!r}")
        return FunctionModel(function, expected_digest)


class FunctionModel:
    """A function of one row of features that returns a score in [0, 1]; its confidence is always 1."""

    def __init__(self, function: Callable[[Mapping[str, Any]], float], digest: str) -> None:
        self.digest = digest
        self._function = function

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        """Return one score a row."""
        return [Score(self._function(row), 1.0, self.digest) for row in rows]
