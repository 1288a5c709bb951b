"""A child process that serves, and what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
END_S = 120


class Served:
    """A serving process.

    Attributes:
        url: Where it answers.
        said_before: What it said before it answered.
    """

    def __init__(
        self,
        folder: Path,
        *words: str,
        program: str = "tests.integration.web.serving",
        **environ: str,
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", program, str(folder), *words],
            cwd=ROOT,
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        said = ""
        while not (line := self._process.stdout.readline()).startswith("http://"):
            said += line
            if not line:
                self._process.communicate(timeout=END_S)
                pytest.fail(f"it ended before it answered: {said}")
        self.said_before, self.url = said, line.strip()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal and return the exit status and what was said since."""
        self._process.send_signal(number)
        return self.ended()

    def ended(self) -> tuple[int, str]:
        """Wait for the end; return the exit status and what was said since."""
        said, _ = self._process.communicate(timeout=END_S)
        return self._process.returncode, said

    def close(self) -> None:
        """End it at once if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate(timeout=END_S)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Return what starts a process on this test's folder."""
    started: list[Served] = []

    def start(*words: str, **how: str) -> Served:
        started.append(Served(tmp_path / "installation", *words, **how))
        return started[-1]

    yield start
    for served in started:
        served.close()
