"""F19: a model server that fails gets hardly more to do than it was asked for."""

from __future__ import annotations

import asyncio
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import orjson
import pytest

from opsrail.clock import SystemClock
from opsrail.decide.asking import AskLimits
from opsrail.decide.breaker import Limits
from opsrail.decide.decider import Decider, Request
from opsrail.decide.point import DecisionPoint
from opsrail.decide.policy import Band, Policy
from opsrail.errors import ModelUnavailable
from opsrail.features.features import Features
from opsrail.ledger.chain import WriterChain
from opsrail.registry.registry import Registry
from opsrail.registry.rollout import Stage
from opsrail.store.sqlite import SqliteStore
from opsrail.values.decisions import Decision
from opsrail.values.models import Score
from tests.support.decisions import Claim

OFFERED = 300
AMPLIFICATION = 1.2
"""Source: FAULTS F19."""
TIMEOUT_S = 5.0


class Upstream:
    """A model server of its own; counts what it is asked, and fails when told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.rows = 0
        self.fails: Callable[[int], bool] = lambda number: False
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                upstream.asked += 1
                rows = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
                upstream.rows += len(rows)
                is_broken = upstream.fails(upstream.asked)
                body = orjson.dumps([] if is_broken else [0.1] * len(rows))
                self.send_response(500 if is_broken else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class RemoteModel:
    """Asks the upstream once a call, never again by itself."""

    is_remote = True

    def __init__(self, url: str, digest: str) -> None:
        self.digest = digest
        self._url = url

    def score(self, rows: Sequence[Mapping[str, object]]) -> list[Score]:
        asked = urllib.request.Request(self._url, orjson.dumps(list(rows)))  # noqa: S310 - our own
        try:
            with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:  # noqa: S310
                return [Score(value, 1.0, self.digest) for value in orjson.loads(answer.read())]
        except urllib.error.HTTPError as failed:
            failed.close()
            raise ModelUnavailable(f"the model server answered {failed.code}") from failed


class RemoteRuntime:
    name = "remote"

    def load(self, artifact: bytes, expected_digest: str) -> RemoteModel:
        return RemoteModel(artifact.decode(), expected_digest)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


async def offered(upstream: Upstream, folder: Path, breaker: Limits) -> list[Decision]:
    """Ask a point whose model is the upstream, on a real database, eight at a time; return the decisions."""
    clock = SystemClock()
    store = SqliteStore(folder / "opsrail.db", chain=WriterChain(clock), clock=clock)
    await store.open()
    registry = Registry(store, {"remote": RemoteRuntime()}, clock)
    limits = AskLimits(breaker=breaker)
    decider = Decider(store, registry, Features(store, (), clock), clock, limits=limits)
    version = await registry.register(
        "far", upstream.url.encode(), runtime="remote", training_digest="sha256:" + "0" * 64, by="t"
    )
    await registry.promote("far-risk", version, Stage.LIVE, by="t", reason="rehearsal")
    point = DecisionPoint(
        "far-risk",
        request=Claim,
        policy=Policy[Claim]([Band("approve", below=1.01)]),
        deadline_ms=5_000,
    )
    numbers, decisions = iter(range(OFFERED)), list[Decision]()

    async def one_after_another() -> None:
        for number in numbers:
            request = Request(point, Claim(age=number), f"{number:032x}", "tester")
            decisions.append(await decider.decide(request))

    await asyncio.gather(*(one_after_another() for _ in range(8)))
    decider.close()
    await store.close()
    return decisions


NEVER = Limits(least_count=1_000_000)


async def test_a_model_server_that_always_fails_is_asked_a_fifth_more_at_most(
    upstream: Upstream, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Without its breaker: the budget alone holds."""
    upstream.fails = lambda number: True

    decisions = await offered(upstream, tmp_path, NEVER)

    assert len(decisions) == OFFERED
    assert {decision.degraded_why for decision in decisions} == {"model-unavailable"}
    assert upstream.rows <= AMPLIFICATION * OFFERED  # calls are fewer: one takes many rows
    request.node.user_properties.append(("asked_per_offered", upstream.asked / OFFERED))
    request.node.user_properties.append(("rows_per_offered", upstream.rows / OFFERED))


async def test_with_its_breaker_it_is_left_alone(upstream: Upstream, tmp_path: Path) -> None:
    upstream.fails = lambda number: True

    decisions = await offered(upstream, tmp_path, Limits())

    assert {decision.degraded for decision in decisions} == {True}
    assert upstream.asked <= 40  # 10 calls open it; eight are under way, each with its retries


async def test_of_a_model_server_that_fails_now_and_then_callers_see_nothing(
    upstream: Upstream, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    upstream.fails = lambda number: number % 25 == 0

    decisions = await offered(upstream, tmp_path, Limits())

    degraded = sum(decision.degraded for decision in decisions)
    assert degraded <= 0.01 * OFFERED
    assert upstream.rows <= AMPLIFICATION * OFFERED
    request.node.user_properties.append(("degraded", degraded))
