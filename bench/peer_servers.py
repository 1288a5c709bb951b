"""The model servers that opsrail is measured beside: how each is started, asked, read and set.

Every one serves the same ONNX file on one thread of ONNX Runtime, set as its own documentation says for one core and many
small requests. Where a peer can batch, both ways are here and the better one counts. Nothing any of them does reports home.
"""

from __future__ import annotations

from bench.servers import Server
from bench.tabular import instances, rows, tensor

BATCH = 64
"""Most rows of a batch, as many as opsrail takes."""
WAIT_S = 0.002
"""How long a batch may wait for more rows. Longer waits cost each of the few connections of a closed loop more than they
save; shorter ones hardly gather anything on one core."""


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
LITSERVE_PLAIN = _server("litserve", args=(1, 0), settings=LITSERVE)
LITSERVE_BATCH = _server(
    "litserve", way="batch", args=(BATCH, WAIT_S), settings=f"{LITSERVE}; {BATCHING}"
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
RAY_PLAIN = _server("ray", args=(1, 0), settings=RAY)
RAY_BATCH = _server(
    "ray",
    way="batch",
    args=(BATCH, WAIT_S),
    settings=f"{RAY}; @serve.batch, {BATCHING}",
)
PEER_FAMILIES: dict[str, list[Server]] = {
    "fastapi": [FASTAPI],
    "mlserver": [MLSERVER_PLAIN, MLSERVER_BATCH],
    "kserve": [KSERVE],
    "litserve": [LITSERVE_PLAIN, LITSERVE_BATCH],
    "bentoml": [BENTOML_PLAIN, BENTOML_BATCH],
    "ray": [RAY_PLAIN, RAY_BATCH],
}
