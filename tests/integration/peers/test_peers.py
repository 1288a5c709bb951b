"""KServe's and MLServer's own clients ask an opsrail, and an opsrail asks their servers.

They live in environments of their own (`make .venv-bench-kserve/.installed`, `make .venv-bench-mlserver/.installed`).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from opsrail.clock import SystemClock
from opsrail.connect.remote_runtimes import RemoteGrpcRuntime, RemoteHttpRuntime
from opsrail.errors import InvalidInput, ModelUnavailable
from opsrail.ports import LoadedModel
from tests.integration.web.conftest import ROOT, Served
from tests.integration.web.conftest import serving as serving  # the fixture
from tests.integration.web.test_inference import LIVE
from tests.support.ports import free_port
from tests.support.remotes import description, loaded

pytestmark = [pytest.mark.connected, pytest.mark.slow]
HERE = Path(__file__).parent
START_S = 90
COLUMNS = [{"name": "first", "missing": 0.5}, {"name": "second", "missing": None}]
ROWS: list[dict[str, object]] = [{"first": first / 8, "second": 1.0} for first in (0, 1, 4, 8)]


def interpreter(name: str) -> str:
    """Return the interpreter of a peer's environment; skip the test where there is none."""
    found = ROOT / f".venv-bench-{name}" / "bin" / "python"
    if not found.exists():
        pytest.skip(f"{name} is not installed: make .venv-bench-{name}/.installed")
    return str(found)


def said(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd=HERE)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture
def ends(serving: Callable[..., Served]) -> tuple[str, str]:
    port = free_port()
    served = serving(program=LIVE, OPSRAIL_WEB__GRPC_PORT=str(port))
    return served.url, f"127.0.0.1:{port}"


def test_kserves_clients_work_unchanged(ends: tuple[str, str]) -> None:
    shown = json.loads(said(interpreter("kserve"), "kserve_client.py", *ends).splitlines()[-1])

    assert len(shown["answers"]) == 4
    for answer in shown["answers"]:
        assert (answer["id"], answer["model"]) == ("r-1", "fraud-risk")
        assert answer["score"] == pytest.approx([0.05, 0.75])
        assert answer["verdict"] == ["approve", "review"]
        assert answer["degraded"] == [False, False]
    assert "must name at least one tensor" in shown["refused"]


@pytest.mark.parametrize("options", [[], ["--batch-size", "3"], ["--binary-data"]])
def test_mlservers_client_works_unchanged(
    ends: tuple[str, str], tmp_path: Path, options: list[str]
) -> None:
    python = Path(interpreter("mlserver"))
    asked, answered = tmp_path / "asked.jsonl", tmp_path / "answered.jsonl"
    asked.write_text(
        "".join(json.dumps(inference(100.0 * at, f"r-{at}")) + "\n" for at in range(9))
    )
    address = ends[0].removeprefix("http://")
    files = ("-i", str(asked), "-o", str(answered))
    words = (str(python), str(python.with_name("mlserver")), "infer", "-u", address)
    said(*words, "-m", "fraud-risk", *files, "-w", "2", *options)
    answers = sorted(
        map(json.loads, answered.read_text().splitlines()), key=lambda one: str(one["id"])
    )

    assert [one["id"] for one in answers] == [f"r-{at}" for at in range(9)]
    for at, answer in enumerate(answers):
        outputs = {one["name"]: one["data"] for one in answer["outputs"]}
        assert outputs["score"] == pytest.approx([0.05 * at])
        assert outputs["verdict"] == ["approve"]


def inference(amount: float, name: str) -> dict[str, Any]:
    return {
        "id": name,
        "inputs": [
            {"name": "claim_id", "datatype": "BYTES", "shape": [1, 1], "data": [name]},
            {"name": "amount", "datatype": "FP64", "shape": [1, 1], "data": [amount]},
        ],
    }


# -- their servers -------------------------------------------------------------------------------------------------------


@contextmanager
def started(url: str, *words: str, cwd: Path = HERE, **environ: str) -> Iterator[None]:
    """Run a server until its `half` is ready, and while the block runs."""
    clock = SystemClock()
    process = subprocess.Popen(
        words,
        cwd=cwd,
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until_s = clock.monotonic_s() + START_S
        while not is_ready(url):
            assert process.poll() is None, "it ended before it was ready"
            assert clock.monotonic_s() < until_s, "it was not ready in time"
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.3)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v2/models/half/ready", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def kserve() -> Iterator[tuple[str, str]]:
    http, grpc = free_port(), free_port()
    ports = ("--http_port", str(http), "--grpc_port", str(grpc))
    with started(f"http://127.0.0.1:{http}", interpreter("kserve"), "kserve_server.py", *ports):
        yield f"http://127.0.0.1:{http}", f"grpc://127.0.0.1:{grpc}"


@pytest.fixture(scope="module")
def mlserver() -> Iterator[tuple[str, str]]:
    http, grpc, metrics = free_port(), free_port(), free_port()
    python = Path(interpreter("mlserver"))
    with started(
        f"http://127.0.0.1:{http}",
        str(python),
        str(python.with_name("mlserver")),
        "start",
        ".",
        cwd=HERE / "mlserver_models",
        MLSERVER_HTTP_PORT=str(http),
        MLSERVER_GRPC_PORT=str(grpc),
        MLSERVER_METRICS_PORT=str(metrics),
        MLSERVER_PARALLEL_WORKERS="0",
        MLSERVER_HOST="127.0.0.1",
        PYTHONPATH=str(HERE / "mlserver_models"),
    ):
        yield f"http://127.0.0.1:{http}", f"grpc://127.0.0.1:{grpc}"


def models_of(urls: tuple[str, str], **change: Any) -> list[LoadedModel]:
    inputs = [{"name": "x", "datatype": "FP32", "columns": COLUMNS}]
    told = {"model": "half", "inputs": inputs, "score": {"name": "p"}, "confidence": None, **change}
    http, grpc = urls
    return [
        loaded(RemoteHttpRuntime(), description(http, **told)),
        loaded(RemoteGrpcRuntime(), description(grpc, **told)),
    ]


@pytest.mark.parametrize(
    ("server", "is_raw", "which"),
    [
        ("kserve", False, ("http", "grpc")),
        ("kserve", True, ("http", "grpc")),
        ("mlserver", False, ("http", "grpc")),
        ("mlserver", True, ("grpc",)),  # over HTTP it knows JSON alone
    ],
)
def test_their_models_score_our_rows(
    request: pytest.FixtureRequest, server: str, is_raw: bool, which: tuple[str, ...]
) -> None:
    models = dict(
        zip(("http", "grpc"), models_of(request.getfixturevalue(server), raw=is_raw), strict=True)
    )
    for kind in which:
        scores = models[kind].score(ROWS)

        assert [score.value for score in scores] == [0.0, 0.0625, 0.25, 0.5]
        assert [score.unknown for score in scores] == [(), (), ("first",), ()]


@pytest.mark.parametrize("server", ["kserve", "mlserver"])
def test_what_they_do_not_have_is_unavailable(request: pytest.FixtureRequest, server: str) -> None:
    urls = request.getfixturevalue(server)
    for change in ({"model": "none-such"}, {"score": {"name": "q"}}):
        for model in models_of(urls, **change):
            with pytest.raises((ModelUnavailable, InvalidInput)):
                model.score(ROWS)
