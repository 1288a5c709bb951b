"""The model servers that opsrail is measured beside: how each is started, asked, read and set.

Every one serves the same ONNX file on one thread of ONNX Runtime, set as its own documentation says for one core and many
small requests. Where a peer can batch, both ways are here and the better one counts. Nothing any of them does reports home.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bench.figures import say
from bench.servers import ECHO, OPSRAIL, Server
from bench.tabular import instances, rows, tensor

T = TypeVar("T")
BATCH = 64
"""Most rows of a batch, as many as opsrail takes."""
WAIT_S = 0.002
"""How long a batch may wait for more rows. Longer waits cost each of the few connections of a closed loop more than they
save; shorter ones hardly gather anything on one core."""

SETTLE_S = 3.0
"""Ray Serve's HAProxy takes on a new setting once more after its first answers, and closes connections then."""


def _server(family: str, *, way: str = "", args: tuple[object, ...] = (), **said: object) -> Server:
    return Server(
        f"{family}{'-' if way else ''}{way}",
        family,
        family,
        f".venv-bench-{family}",
        lambda model, port, folder: ("-m", f"bench.peers.{family}_serve", model, port, *args),
        **said,  # type: ignore[arg-type]
    )


BATCHING = f"batches of at most {BATCH} rows that wait for at most {1000 * WAIT_S:.0f} ms"
BENTOML_OFF = {"BENTOML_DO_NOT_TRACK": "true", "BENTOML_METRICS_ENABLED": "false"}
BENTOML = "bentoml serve, one worker, coroutine, access log and metrics off; no record"
LITSERVE = "LitServer, one worker, one HTTP server, fast_queue; no record"
MLSERVER = "no parallel workers, uvloop, access log, metrics and gzip off; no record"
RAY = "one replica behind HAProxy, throughput settings, access log off, no dashboard; no record"
FASTAPI = _server(
    "fastapi",
    settings="uvicorn, uvloop, httptools, pydantic, the model called inline; no record",
)
LITSERVE_PLAIN = _server("litserve", args=(1, 0, 30), settings=LITSERVE)
LITSERVE_BATCH = _server(
    "litserve", way="batch", args=(BATCH, WAIT_S, 30), settings=f"{LITSERVE}; {BATCHING}"
)
LITSERVE_SHED = _server(
    "litserve",
    way="shed",
    args=(BATCH, WAIT_S, 0.04),
    settings=f"{LITSERVE}; {BATCHING}; timeout=0.04: what queued longer is refused",
)
BENTOML_PLAIN = _server(
    "bentoml",
    args=("plain",),
    slots=rows,
    score=(0,),
    mark="[",
    environ=BENTOML_OFF,
    settings=BENTOML,
)
BENTOML_BATCH = _server(
    "bentoml",
    way="batch",
    args=("batch",),
    slots=rows,
    score=(0,),
    mark="[",
    environ=BENTOML_OFF,
    settings=f"{BENTOML}; adaptive batching, at most {BATCH} rows",
)
MLSERVER_PLAIN = _server(
    "mlserver",
    args=(0, 0),
    path="/v2/models/tabular/infer",
    slots=tensor,
    score=("outputs", 0, "data", 0),
    mark='"outputs"',
    settings=MLSERVER,
)
MLSERVER_BATCH = _server(
    "mlserver",
    way="batch",
    args=(BATCH, WAIT_S),
    path="/v2/models/tabular/infer",
    slots=tensor,
    score=("outputs", 0, "data", 0),
    mark='"outputs"',
    settings=f"{MLSERVER}; {BATCHING}",
)
KSERVE = _server(
    "kserve",
    path="/v1/models/tabular:predict",
    slots=instances,
    score=("predictions", 0),
    mark='"predictions"',
    settings="Python server, first protocol, one worker, uvloop, gRPC and logs off; no record",
)
RAY_PLAIN = _server("ray", args=(1, 0, 512, -1), settings=RAY, settle_s=SETTLE_S)
RAY_BATCH = _server(
    "ray",
    way="batch",
    args=(BATCH, WAIT_S, 512, -1),
    settings=f"{RAY}; @serve.batch, {BATCHING}",
    settle_s=SETTLE_S,
)
RAY_SHED = _server(
    "ray",
    way="shed",
    args=(BATCH, WAIT_S, BATCH, 16),
    settings=f"{RAY}; @serve.batch, {BATCHING}; max_ongoing_requests={BATCH}, max_queued_requests=16",
    settle_s=SETTLE_S,
)
PEER_FAMILIES: dict[str, list[Server]] = {
    "fastapi": [FASTAPI],
    "mlserver": [MLSERVER_PLAIN, MLSERVER_BATCH],
    "kserve": [KSERVE],
    "litserve": [LITSERVE_PLAIN, LITSERVE_BATCH],
    "bentoml": [BENTOML_PLAIN, BENTOML_BATCH],
    "ray": [RAY_PLAIN, RAY_BATCH],
}
BURST_FAMILIES: dict[str, list[Server]] = {
    "litserve": [LITSERVE_BATCH, LITSERVE_SHED],
    "ray": [RAY_BATCH, RAY_SHED],
    "fastapi": [FASTAPI],
}
"""Those of `bench burst`: batching, as it is and told to refuse what it cannot answer soon."""


def choose(
    known: Mapping[str, Sequence[Server]], families: Sequence[str]
) -> tuple[list[Server], dict[str, dict[str, Any]]]:
    """Return the peers that are installed, and why the others are left out."""
    chosen: list[Server] = []
    skipped: dict[str, dict[str, Any]] = {}
    for family in families:
        for server in known[family]:
            if server.is_installed:
                chosen.append(server)
            else:
                why = f"skipped: {server.venv} is not there; make {server.venv}/.installed"
                skipped[server.name] = {"skipped": why}
                say(f"{server.name}: {why}")
    return chosen, skipped


def told_of(servers: Sequence[Server]) -> dict[str, dict[str, Any]]:
    """Return version and settings of each server."""
    return {
        server.name: {"version": _version(server), "settings": server.settings}
        for server in servers
    }


def _version(server: Server) -> str:
    program = f"from importlib.metadata import version; print(version({server.package!r}))"
    done = subprocess.run(
        [str(server.python), "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def tried(server: Server, measure: Callable[[Path], T], folder: Path) -> T | str:
    """Measure a server; a peer that fails gets a second try, then what it died of is returned and it is left out.

    Args:
        measure: Takes a folder that does not exist yet.

    Raises:
        SystemExit: opsrail or the echo failed; there is nothing to report.
    """
    try:
        return measure(folder)
    except SystemExit as fault:
        if server in (OPSRAIL, ECHO):
            raise
        say(f"{fault}\n{server.name}: once more")
    try:
        return measure(folder.with_name(f"{folder.name}-again"))
    except SystemExit as fault:
        say(f"{fault}\n{server.name}: left out")
        return f"failed twice: {str(fault)[:500]}"
