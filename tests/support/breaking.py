"""Models that break the process they run in, each in its own way, when a row says so. Loaded in a child by name."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from opsrail.errors import ArtifactRefused, InvalidInput
from opsrail.ports import ModelRuntime
from opsrail.values.models import Score

FACTORY = "tests.support.breaking:runtimes"


class BreakingModel:
    """Scores `x`; does what `deed` says first."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self._kept: list[bytes] = []

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        for row in rows:
            self._do(str(row.get("deed", "")))
        return [Score(float(str(row["x"])), 1.0, self.digest, (str(os.getpid()),)) for row in rows]

    def _do(self, deed: str) -> None:
        if deed == "abort":
            os.abort()
        elif deed == "segfault":
            ctypes.string_at(0)
        elif deed == "exit":
            os._exit(0)
        elif deed == "print":
            print("a library says something", flush=True)
        elif deed == "memory":
            while True:
                self._kept.append(b"m" * 50_000_000)
        elif deed == "hang":
            while True:
                signal.pause()
        elif deed == "hold":  # in native code, with the interpreter's lock
            ctypes.PyDLL(None).sleep(1_000)
        elif deed == "raise":
            raise ZeroDivisionError("a value of the row")
        elif deed == "refuse":
            raise InvalidInput("no such row")
        elif deed.startswith("nap "):
            time.sleep(float(deed.removeprefix("nap ")))
        elif deed == "environment":
            raise ArtifactRefused(" ".join(sorted(os.environ)))


class BreakingRuntime:
    name = "breaking"

    def load(self, artifact: bytes, expected_digest: str) -> BreakingModel:
        if artifact == b"refused":
            raise ArtifactRefused("not this one")
        if artifact == b"dies":
            os.abort()
        while (
            artifact.startswith(b"/") and Path(artifact.decode()).exists()
        ):  # held until it is gone
            time.sleep(0.01)
        return BreakingModel(expected_digest)


def runtimes(**_: object) -> Mapping[str, ModelRuntime]:
    return {BreakingRuntime.name: BreakingRuntime()}
