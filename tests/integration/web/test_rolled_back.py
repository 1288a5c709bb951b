"""F23: an old copy of the database is put back: it is served for reading until an operator has looked at it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from opsrail.app import DATABASE
from tests.integration.web.conftest import END_S, ROOT, Served

CLAIM = {"claim_id": "c-1", "amount": 120.5}


def settled(client: httpx.Client, number: int) -> str:
    """Let a case in and wait for its end; return its id."""
    claim = {**CLAIM, "claim_id": f"c-{number}"}
    answer = client.post("/v1/cases/claims-intake", json=claim, headers={"Prefer": "wait=20"})
    assert (answer.status_code, answer.json()["state"]) == (200, "settled")
    return str(answer.json()["id"])


def rolled_back(serving: Callable[..., Served], folder: Path) -> tuple[str, str]:
    """Make an installation whose database is older than its external checkpoint; return a case kept and one lost."""
    served = serving()
    with httpx.Client(base_url=served.url, timeout=60) as client:
        kept = settled(client, 1)
    served.stop()
    backup = folder.with_name("backup.db")
    shutil.copy(folder / DATABASE, backup)
    served = serving()
    with httpx.Client(base_url=served.url, timeout=60) as client:
        lost = settled(client, 2)
    served.stop()
    for leftover in folder.glob(f"{DATABASE}-*"):
        leftover.unlink()
    shutil.copy(backup, folder / DATABASE)
    return kept, lost


def acknowledge(folder: Path) -> None:
    words = ["ledger", "acknowledge", "--data", str(folder), "--by", "ann", "--reason", "restored"]
    subprocess.run(
        [sys.executable, "-m", "opsrail", *words],
        check=True,
        cwd=ROOT,
        timeout=END_S,
        env=os.environ,
    )


def test_a_rolled_back_database_is_read_only_until_an_operator_acknowledges_it(
    serving: Callable[..., Served], tmp_path: Path
) -> None:
    folder = tmp_path / "installation"
    kept, lost = rolled_back(serving, folder)
    served = serving()
    with httpx.Client(base_url=served.url, timeout=60) as client:
        refused = client.post("/v1/cases/claims-intake", json=CLAIM)
        ready = client.get("/readyz")
        read = client.get(f"/v1/cases/{kept}")
        gone = client.get(f"/v1/cases/{lost}")
        alive = client.get("/healthz")
        acknowledge(folder)
        deadline = time.monotonic() + END_S
        while client.get("/readyz").status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.2)
        later = settled(client, 3)
        entries = client.get("/v1/ledger/checkpoint").status_code
    status, said = served.stop()

    assert (refused.status_code, refused.json()["type"]) == (503, "urn:opsrail:problem:read-only")
    assert "opsrail ledger acknowledge" in refused.json()["detail"]
    assert (ready.status_code, [one["name"] for one in ready.json()["findings"]][:1]) == (
        503,
        ["ledger"],
    )
    assert (read.status_code, gone.status_code, alive.status_code) == (200, 404, 200)
    assert "The ledger was rolled back" in served.said_before
    assert (later != kept, entries, status, said) == (True, 200, 0, "")


def test_a_process_that_waits_for_an_operator_stops_in_order(
    serving: Callable[..., Served], tmp_path: Path
) -> None:
    rolled_back(serving, tmp_path / "installation")

    assert serving().stop() == (0, "")
