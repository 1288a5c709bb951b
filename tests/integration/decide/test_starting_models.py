"""From outside: a live version whose first call does not return, and what the server, its callers and neighbours see."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.decide.waking import DEADLINE_MS
from tests.support.served import END_S, ROOT, Served

START_S = 20.0
"""Under the 60 s that a load may take, well over the 5 s that the start waits for it."""
QUICK_MS = DEADLINE_MS / 2
"""A reply that waited for the model takes the deadline, at least."""
SLEEPER = """
import time
from pathlib import Path
from pydantic import BaseModel
from opsrail import Band, DecisionPoint, Number, Policy, PythonModel

class Question(BaseModel):
    x: float = 0.5

bands = Policy([Band("approve", below=1.01)])

def late(row):
    while not Path(FILE).exists():
        time.sleep(0.05)
    return row["x"]

def prompt(row):
    return row["x"]

late_model = PythonModel("asleep", late, columns=[Number("x")])
prompt_model = PythonModel("steady", prompt, columns=[Number("x")])
asleep = DecisionPoint(
    "asleep", request=Question, policy=bands, fallback=lambda facts: "review", deadline_ms=2_000
)
steady = DecisionPoint(
    "steady", request=Question, policy=bands, fallback=lambda facts: "review", deadline_ms=2_000
)
"""


def ask(client: httpx.Client, point: str) -> tuple[float, dict[str, Any]]:
    """Ask once; return the milliseconds it took and the decision."""
    begun_s = time.perf_counter()
    answer = client.post(f"/v1/decisions/{point}", json={"x": 0.25})
    assert answer.status_code == 200, answer.text
    return 1000 * (time.perf_counter() - begun_s), answer.json()


def findings(readiness: httpx.Response) -> dict[str, str]:
    return {each["name"]: each["message"] for each in readiness.json()["findings"]}


def is_ready(client: httpx.Client, point: str) -> bool:
    return client.get(f"/v2/models/{point}/ready").status_code == 200


def until(holds: Callable[[], bool]) -> None:
    end_s = time.monotonic() + END_S
    while not holds():
        assert time.monotonic() < end_s, "it never came to be"
        time.sleep(0.1)


def check_asleep(client: httpx.Client, points: Sequence[str]) -> None:
    """Points whose models are being started fall back at once and say so; the other one answers."""
    for point in points:
        asked = [ask(client, point) for _ in range(5)]
        assert {decision["degraded_why"] for _, decision in asked} == {"model-starting"}
        assert {decision["verdict"] for _, decision in asked} == {"review"}
        assert min(took_ms for took_ms, _ in asked) < QUICK_MS
        assert not is_ready(client, point)
    _, steady = ask(client, "steady")
    readiness = client.get("/readyz")

    assert (steady["degraded"], steady["score"]) == (False, 0.25)
    assert is_ready(client, "steady")
    assert (readiness.status_code, readiness.json()["status"]) == (200, "degraded")
    told = findings(readiness)
    for point in points:
        assert told[f"models.{point}"].startswith(f"loading: {point}/1 (live)")
    assert "models.steady" not in told


@contextmanager
def waking(awaken: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.decide.waking", str(awaken)],
        cwd=ROOT,
        env=os.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    try:
        yield child, child.stdout.readline().strip()
    finally:
        child.kill()
        child.communicate()


def test_versions_whose_first_call_hangs_delay_neither_start_nor_answers_and_answer_once_warm(
    tmp_path: Path,
) -> None:
    begun_s = time.monotonic()
    with (
        waking(tmp_path / "awake") as (_, url),
        httpx.Client(base_url=url, timeout=END_S) as client,
    ):
        assert client.get("/healthz").status_code == 200
        assert time.monotonic() - begun_s < START_S
        check_asleep(client, ["asleep", "apart"])
        (tmp_path / "awake").touch()
        for point in ("asleep", "apart"):
            until(partial(is_ready, client, point))
            _, awake = ask(client, point)
            assert (awake["degraded"], awake["score"]) == (False, 0.25)
            assert f"models.{point}" not in findings(client.get("/readyz"))


@pytest.mark.slow
def test_a_server_whose_models_hang_while_they_are_loaded_stops_when_asked(
    tmp_path: Path,
) -> None:
    with waking(tmp_path / "never") as (child, url):
        assert httpx.get(f"{url}/healthz", timeout=END_S).status_code == 200
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=START_S) == 0


def test_a_function_whose_first_call_hangs_keeps_a_server_neither_from_starting_nor_from_stopping(
    tmp_path: Path,
) -> None:
    file, data = tmp_path / "points.py", tmp_path / "data"
    file.write_text(SLEEPER.replace("FILE", repr(str(tmp_path / "never"))))
    for name in ("asleep", "steady"):
        opsrail(data, "models", "import", str(file), "--name", name)
        opsrail(data, "models", "promote", name, name, "1", "--stage", "live", "--reason", "first")

    begun_s = time.monotonic()
    served = Served(file, data)
    try:
        assert time.monotonic() - begun_s < START_S
        with httpx.Client(base_url=served.url, timeout=END_S) as client:
            check_asleep(client, ["asleep"])
        assert served.stop() == 0
    finally:
        served.close()


def opsrail(data: Path, *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "opsrail", *words, "--json", "--data", str(data)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", ROOT)))},
        capture_output=True,
        text=True,
        timeout=END_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)
