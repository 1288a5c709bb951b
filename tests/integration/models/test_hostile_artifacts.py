"""Damaged artifacts are refused or loaded; the process that reads them lives, in bounded time and memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.runtime.test_contract import MAKERS

ROOT = Path(__file__).parents[3]
COUNT = 300


@pytest.mark.slow
@pytest.mark.parametrize("runtime", MAKERS)
def test_a_process_lives_through_damaged_artifacts(runtime: str) -> None:
    child = "tests.integration.models.hostile_child"
    command = [sys.executable, "-X", "faulthandler", "-m", child, runtime, "2026", str(COUNT)]

    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stderr[-3000:]
    refused, loaded = map(int, done.stdout.split()[-2:])
    assert refused + loaded == COUNT
    assert refused > 0
