"""The real servers that features and models come from, each in an environment of its own (`make connected`)."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from opsrail.clock import SystemClock

ROOT = Path(__file__).resolve().parents[2]
START_S = 120
SCRIPT_S = 240
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "FEAST_USAGE": "False",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""What keeps both from calling home."""


def program(environment: str, name: str = "python") -> str:
    """Return a program of an environment; without it the test is skipped at home and fails in CI."""
    found = ROOT / f".venv-{environment}" / "bin" / name
    if not found.exists():
        why = f"{environment} is not installed: make .venv-{environment}/.installed"
        if os.environ.get("CI"):
            pytest.fail(f"{why} (CI must have it)")
        pytest.skip(why)
    return str(found)


def said(*words: str, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a program to its good end and return what it printed."""
    done = subprocess.run(
        words,
        cwd=cwd,
        env={**os.environ, **QUIET, **(env or {})},
        capture_output=True,
        text=True,
        timeout=SCRIPT_S,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@contextmanager
def server(
    url: str, *words: str, cwd: Path, meanwhile: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Run a server until it is healthy, and while the block runs.

    Args:
        meanwhile: What is begun while it starts.
    """
    with (cwd / "server.log").open("w") as log:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env={**os.environ, **QUIET},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            meanwhile()
            _await(lambda: _is_healthy(url), process, cwd / "server.log")
            yield
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and the workers that it started: they are a group of their own, and hold nothing that is kept."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=10)


def _await(is_ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    clock = SystemClock()
    until_s = clock.monotonic_s() + START_S
    while not is_ready():
        assert process.poll() is None, log.read_text()[-3000:]
        assert clock.monotonic_s() < until_s, log.read_text()[-3000:]
        subprocess.run(["sleep", "0.2"], check=True)


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
