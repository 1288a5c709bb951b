"""The servers of `python -m bench serve` that are ours start, and answer the load generator."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.serve import closed
from bench.servers import ECHO, OPSRAIL, Server, started
from bench.tabular import write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "model.onnx"
    write_model(path)
    return path


@pytest.mark.parametrize("server", [OPSRAIL, ECHO], ids=lambda server: server.name)
def test_ours_answers_eight_callers(server: Server, model: Path, tmp_path: Path) -> None:
    with started(server, model, tmp_path / "served") as running:
        _, figures = closed(running, 8, 0.5)

    assert figures["c8|per_s"] > 0
