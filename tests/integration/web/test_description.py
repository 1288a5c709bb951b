"""Schemathesis asks everything that the description allows, and much that it does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.web.conftest import ROOT, Served

NO_USERS = ("--exclude-operation-id", "add_user")
"""The first user that is made shuts out who has no key, as it should."""
SETTINGS = Path(__file__).with_name("schemathesis.toml")


def asked(url: str, *how: str, time_limit_s: float) -> subprocess.CompletedProcess[str]:
    """Run schemathesis with all its checks."""
    program = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(SETTINGS)]
    return subprocess.run(
        [*program, "run", f"{url}/v1/openapi.json", "--checks", "all", *NO_USERS, *how],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=time_limit_s,
    )


def test_the_server_does_what_its_description_says(serving: Callable[..., Served]) -> None:
    served = serving()
    run = asked(served.url, "--max-examples", "4", "--seed", "1", time_limit_s=200)
    status, said = served.stop()

    assert run.returncode == 0, run.stdout[-8000:]
    assert (status, "Traceback" in said) == (0, False)


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["2", "3"])
def test_it_does_so_for_whatever_else_is_asked(serving: Callable[..., Served], seed: str) -> None:
    served = serving()
    run = asked(served.url, "--max-examples", "30", "--seed", seed, time_limit_s=1_500)
    status, said = served.stop()

    assert run.returncode == 0, run.stdout[-8000:]
    assert (status, "Traceback" in said) == (0, False)
