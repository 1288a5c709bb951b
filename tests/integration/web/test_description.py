"""Schemathesis asks everything that the description allows, and much that it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.integration.web.conftest import ROOT, Served

SETTING = {"OPSRAIL_WEB__API_KEY": "for-this-test-alone"}
"""The key of the settings: admin everywhere, and no route takes it away."""
ADMIN = {"authorization": f"Bearer {SETTING['OPSRAIL_WEB__API_KEY']}"}
KEEPER = {"name": "keeper", "grants": [{"role": "admin"}]}
CONFIG = Path(__file__).with_name("schemathesis.toml")


def inhabited(serving: Callable[..., Served], **more: str) -> Served:
    """Serve an installation that has a user, with more settings of the environment."""
    served = serving(**SETTING, **more)
    made = httpx.post(f"{served.url}/v1/users", json=KEEPER, headers=ADMIN, timeout=20)
    assert made.status_code == 201, made.text
    return served


def asked(
    url: str, folder: Path, *how: str, time_limit_s: float
) -> subprocess.CompletedProcess[str]:
    """Run schemathesis with all its checks."""
    described = folder / "openapi.json"
    described.write_text(httpx.get(f"{url}/v1/openapi.json", headers=ADMIN, timeout=20).text)
    program = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG)]
    return subprocess.run(
        [*program, "run", str(described), "--url", url, "--checks", "all", *how],
        cwd=ROOT,
        env={**os.environ, **SETTING},
        capture_output=True,
        text=True,
        timeout=time_limit_s,
    )


def test_the_server_does_what_its_description_says(
    serving: Callable[..., Served], tmp_path: Path
) -> None:
    served = inhabited(serving)
    run = asked(served.url, tmp_path, "--max-examples", "4", "--seed", "1", time_limit_s=500)
    status, said = served.stop()

    assert run.returncode == 0, run.stdout[-8000:]
    assert (status, "Traceback" in said) == (0, False)


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["2", "3"])
def test_it_does_so_for_whatever_else_is_asked(
    serving: Callable[..., Served], tmp_path: Path, seed: str
) -> None:
    served = inhabited(serving)
    run = asked(served.url, tmp_path, "--max-examples", "30", "--seed", seed, time_limit_s=1_500)
    status, said = served.stop()

    assert run.returncode == 0, run.stdout[-8000:]
    assert (status, "Traceback" in said) == (0, False)


@pytest.mark.slow
@pytest.mark.connected
def test_it_does_so_on_postgresql(
    serving: Callable[..., Served], tmp_path: Path, database_url: str
) -> None:
    store = {"OPSRAIL_STORE__URL": database_url, "OPSRAIL_STORE__ALLOW_WEAK": "true"}
    served = inhabited(serving, **store)
    run = asked(served.url, tmp_path, "--max-examples", "10", "--seed", "2", time_limit_s=900)
    status, said = served.stop()

    assert run.returncode == 0, run.stdout[-8000:]
    assert (status, "Traceback" in said) == (0, False)
