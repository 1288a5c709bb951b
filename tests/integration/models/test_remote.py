"""Remote models against real servers: another opsrail, and ones that behave as servers should not."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from opsrail.connect.catalog import runtimes
from opsrail.connect.remote_runtimes import RemoteGrpcRuntime, RemoteHttpRuntime
from opsrail.decide.decider import Request
from opsrail.errors import InvalidInput, ModelUnavailable
from opsrail.ports import LoadedModel
from opsrail.registry.pools import PoolRuntimes
from opsrail.registry.rollout import Stage
from opsrail.values.canonical import canonical
from opsrail.values.decisions import Decision
from opsrail.values.pools import Pool
from tests.integration.web.conftest import Served
from tests.support.ports import free_port
from tests.support.remotes import description, loaded
from tests.unit.web import claims
from tests.unit.web.conftest import app_of

LIVE = "tests.integration.web.serving_live"
KEY = "a-key-of-sixteen-or-more"
ROWS: list[dict[str, object]] = [
    {"claim_id": "c-1", "amount": 500.0, "make": "Honda"},
    {"claim_id": "c-2", "amount": 1_500.0, "make": "Lada"},
]
Answering = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Return the URLs of another opsrail, over HTTP and gRPC; it wants a key."""
    port = free_port()
    folder = tmp_path_factory.mktemp("served")
    other = Served(folder, program=LIVE, OPSRAIL_WEB__GRPC_PORT=str(port), OPSRAIL_WEB__API_KEY=KEY)
    yield other.url, f"grpc://127.0.0.1:{port}"
    other.close()


@pytest.fixture(autouse=True)
def known_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSRAIL_TEST_KEY", KEY)


def models_of(served: tuple[str, str], **change: Any) -> list[LoadedModel]:
    http, grpc = served
    change = {"secret": "env:OPSRAIL_TEST_KEY", **change}
    return [
        loaded(RemoteHttpRuntime(), description(http, **change)),
        loaded(RemoteGrpcRuntime(), description(grpc, **change)),
    ]


@pytest.mark.parametrize("is_raw", [True, False])
@pytest.mark.parametrize("version", ["", "1"])
def test_another_opsrail_scores_rows_over_both(
    served: tuple[str, str], is_raw: bool, version: str
) -> None:
    for model in models_of(served, raw=is_raw, version=version):
        scores = model.score(ROWS)

        assert [score.value for score in scores] == [0.25, 0.75]
        assert [score.confidence for score in scores] == [1.0, 1.0]
        assert {score.digest for score in scores} == {model.digest}
        assert model.score(ROWS[1:])[0].value == 0.75


def test_rows_that_the_server_refuses_are_the_rows_fault(served: tuple[str, str]) -> None:
    for model in models_of(served):
        with pytest.raises(InvalidInput, match=r"rows\[0\]\.amount"):
            model.score([{"claim_id": "c-1", "amount": -5.0}])


@pytest.mark.parametrize(
    "change",
    [{"secret": None}, {"model": "none-such"}, {"version": "9"}, {"score": {"name": "verdict"}}],
)
def test_what_is_the_servers_own_makes_the_model_unavailable_or_the_output_wrong(
    served: tuple[str, str], change: dict[str, Any]
) -> None:
    for model in models_of(served, **change):
        with pytest.raises(ModelUnavailable):
            model.score(ROWS)


def test_nobody_there_is_unavailable_at_once() -> None:
    port = free_port()
    for model in models_of((f"http://127.0.0.1:{port}", f"grpc://127.0.0.1:{port}")):
        with pytest.raises(ModelUnavailable):
            model.score(ROWS)


def test_a_server_that_never_answers_is_left_in_time() -> None:
    loop = asyncio.new_event_loop()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        urls = (f"http://127.0.0.1:{port}", f"grpc://127.0.0.1:{port}")
        for model in models_of(urls, timeout_ms=200):
            began_s = loop.time()
            with pytest.raises(ModelUnavailable):
                model.score(ROWS)
            assert loop.time() - began_s < 10.0
    loop.close()


def test_a_server_that_is_back_is_asked_again_soon(tmp_path: Path) -> None:
    port = free_port()
    model = loaded(RemoteGrpcRuntime(), description(f"grpc://127.0.0.1:{port}"))
    for _ in range(20):
        with pytest.raises(ModelUnavailable):
            model.score(ROWS)
    other = Served(tmp_path, program=LIVE, OPSRAIL_WEB__GRPC_PORT=str(port))
    loop = asyncio.new_event_loop()
    until_s, scores = loop.time() + 20, None
    while scores is None and loop.time() < until_s:
        with suppress(ModelUnavailable):
            scores = model.score(ROWS)
    loop.close()
    other.close()

    assert scores is not None


# -- servers that behave as they should not -------------------------------------------------------------------------------


@contextmanager
def answering(answer: Answering) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            answer(self)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def saying(status: int, body: bytes, **headers: str) -> Answering:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(1_000):
            handler.wfile.write(b" " * 100_000)
    except OSError:  # the caller has gone, as it should
        pass


def trickling(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(100):
            handler.wfile.write(b" ")
            threading.Event().wait(0.05)
    except OSError:  # as above
        pass


def heading(handler: BaseHTTPRequestHandler) -> None:
    """Send a header letter by letter, each well within a timeout that counts from one to the next."""
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-told: ")
        for _ in range(200):
            handler.wfile.write(b"a")
            threading.Event().wait(0.05)
    except OSError:  # as above
        pass


SCORES = {"name": "score", "datatype": "FP64", "shape": [2], "data": [0.1, 0.2]}


@pytest.mark.parametrize(
    "answer",
    [
        saying(302, b"", location="http://169.254.169.254/latest/meta-data"),
        saying(307, b"", location="/elsewhere"),
        saying(500, b"Traceback"),
        saying(503, b'{"error": "busy"}'),
        saying(429, b"{}"),
        saying(404, b'{"error": "no such model"}'),
        saying(200, b""),
        saying(200, b"<html>"),
        saying(200, b"{}"),
        saying(200, json.dumps({"outputs": [{**SCORES, "shape": [10**9]}]}).encode()),
        saying(200, json.dumps({"outputs": [SCORES]}).encode(), inference_header_content_length="7"),
        saying(200, json.dumps({"outputs": [SCORES]}).encode(), content_encoding="gzip"),
        endless,
        trickling,
    ],
)  # fmt: skip
def test_whatever_else_is_answered_makes_the_model_unavailable(answer: Answering) -> None:
    with answering(answer) as url:
        model = loaded(RemoteHttpRuntime(), description(url, timeout_ms=400, confidence=None))
        with pytest.raises(ModelUnavailable):
            model.score(ROWS)


@pytest.mark.parametrize("answer", [trickling, heading])
def test_a_server_that_sends_letter_by_letter_holds_nobody_beyond_the_time(
    answer: Answering,
) -> None:
    loop = asyncio.new_event_loop()
    with answering(answer) as url:
        model = loaded(RemoteHttpRuntime(), description(url, timeout_ms=400, confidence=None))
        began_s = loop.time()
        with pytest.raises(ModelUnavailable, match=r"in 0\.4 s"):
            model.score(ROWS)
        assert loop.time() - began_s < 3.0
    loop.close()


def test_no_redirect_is_followed_and_no_proxy_of_the_environment_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def elsewhere(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        saying(200, json.dumps({"outputs": [SCORES]}).encode())(handler)

    with answering(elsewhere) as other:
        monkeypatch.setenv("http_proxy", other)
        monkeypatch.setenv("grpc_proxy", other)
        with answering(saying(307, b"", location=f"{other}/there")) as url:
            model = loaded(RemoteHttpRuntime(), description(url, confidence=None))
            with pytest.raises(ModelUnavailable, match="answered 307"):
                model.score(ROWS)

    assert asked == []


# -- on the decision road ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["remote-http", "remote-grpc"])
async def test_a_decision_rests_on_the_score_of_another_opsrail_and_falls_back_without(
    served: tuple[str, str], kind: str
) -> None:
    url = served[kind == "remote-grpc"]
    app = app_of()
    app.registry.pools._placed["local"]._given = PoolRuntimes(Pool(), runtimes())
    told = description(url, secret="env:OPSRAIL_TEST_KEY")
    async with app.running():
        version = await app.registry.register(
            "elsewhere",
            canonical(told),
            runtime=kind,
            training_digest="sha256:" + "0" * 64,
            by="ann",
        )
        await app.registry.promote("fraud-risk", version, Stage.LIVE, by="ann", reason="try")
        claim = claims.Claim(claim_id="c-1", amount=1_500)
        question = Request(claims.fraud, claim, correlation_id="0" * 31 + "1", actor="ann")
        decision = await app.decider.decide(question)

    assert (decision.score, decision.verdict, decision.degraded) == (0.75, "review", False)
    assert decision.model is not None
    assert (decision.model.name, decision.model.digest) == ("elsewhere", version.digest)


async def test_a_call_that_hangs_keeps_no_other_question_from_being_answered() -> None:
    is_hanging, is_over = threading.Event(), threading.Event()

    def hold_the_first(handler: BaseHTTPRequestHandler) -> None:
        if not is_hanging.is_set():
            is_hanging.set()
            is_over.wait(20)
        saying(200, json.dumps({"outputs": [{**SCORES, "shape": [1], "data": [0.75]}]}).encode())(
            handler
        )

    app = app_of()
    app.registry.pools._placed["local"]._given = PoolRuntimes(Pool(), runtimes())
    with answering(hold_the_first) as url:
        async with app.running():
            version = await app.registry.register(
                "elsewhere",
                canonical(description(url, confidence=None, timeout_ms=20_000)),
                runtime="remote-http",
                training_digest="sha256:" + "0" * 64,
                by="ann",
            )
            await app.registry.promote("fraud-risk", version, Stage.LIVE, by="ann", reason="try")

            def ask(number: int) -> asyncio.Task[Decision]:
                claim = claims.Claim(claim_id=f"c-{number}", amount=500 + number)
                question = Request(
                    claims.fraud,
                    claim,
                    correlation_id="0" * 31 + "1",
                    actor="ann",
                    budget_ms=10_000,
                )
                return asyncio.ensure_future(app.decider.decide(question))

            held = ask(1)
            await asyncio.to_thread(is_hanging.wait, 10)
            others = [await ask(number) for number in range(2, 5)]
            was_held = not held.done()
            is_over.set()
            assert (await held).score == 0.75

    assert was_held
    assert [other.score for other in others] == [0.75] * 3
