"""Triton's own clients, unchanged, against a server of ours: HTTP and gRPC, JSON and raw, packed or not."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import grpc
import httpx
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from google.protobuf.json_format import MessageToDict
from tritonclient.utils import InferenceServerException

from tests.integration.web.conftest import Served
from tests.support.ports import free_port

LIVE = "tests.integration.web.serving_live"
KEY = "a-key-of-sixteen-or-more"
Rows = tuple[list[str], list[float]]
ROWS: Rows = (["c-1", "c-2", "c-3"], [100.0, 1_500.0, 2_000.0])


class Ends(NamedTuple):
    """Where a server answers.

    Attributes:
        http: `host:port`.
        grpc: `host:port`.
    """

    served: Served
    http: str
    grpc: str


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ends]:
    port = free_port()
    folder = tmp_path_factory.mktemp("served")
    served = Served(folder, program=LIVE, OPSRAIL_WEB__GRPC_PORT=str(port))
    yield Ends(served, served.url.removeprefix("http://"), f"127.0.0.1:{port}")
    served.close()


@pytest.fixture(params=["http", "grpc"])
def client(ends: Ends, request: pytest.FixtureRequest) -> Iterator[Any]:
    module = getattr(tritonclient, request.param)
    address = getattr(ends, request.param)
    with module.InferenceServerClient(address) as made:
        made.module = module
        yield made


def inputs_of(module: Any, rows: Rows = ROWS, **how: bool) -> list[Any]:
    ids, amounts = rows
    made = [
        module.InferInput("claim_id", [len(ids)], "BYTES"),
        module.InferInput("amount", [len(ids), 1], "FP32"),
    ]
    made[0].set_data_from_numpy(np.array(ids, dtype=np.object_), **how)
    made[1].set_data_from_numpy(np.array(amounts, dtype=np.float32).reshape(-1, 1), **how)
    return made


def test_a_client_learns_who_serves_and_what_a_model_takes(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("fraud-risk")
    assert client.is_model_ready("fraud-risk", "1")

    server = told(client.get_server_metadata())
    model = told(client.get_model_metadata("fraud-risk"))

    assert server["name"] == "opsrail"
    assert (model["name"], model["versions"], model["platform"]) == ("fraud-risk", ["1"], "opsrail")
    assert [one["name"] for one in model["inputs"]][:3] == ["claim_id", "age", "amount"]
    assert [one["datatype"] for one in model["outputs"]] == [
        "FP64",
        "FP64",
        "BYTES",
        "BYTES",
        "BOOL",
    ]


def test_each_row_is_a_decision_that_is_found_again(client: Any, ends: Ends) -> None:
    answer = client.infer("fraud-risk", inputs_of(client.module), request_id="r-7")

    assert answer.as_numpy("score").tolist() == pytest.approx([0.05, 0.75, 1.0])
    assert answer.as_numpy("confidence").tolist() == [1.0, 1.0, 1.0]
    assert answer.as_numpy("verdict").tolist() == [b"approve", b"review", b"review"]
    assert answer.as_numpy("degraded").tolist() == [False, False, False]
    for claim, found in zip(ROWS[0], answer.as_numpy("decision_id").tolist(), strict=True):
        record = httpx.get(f"http://{ends.http}/v1/decisions/{found.decode()}", timeout=60).json()
        assert record["features"][0]["values"]["claim_id"] == claim
    assert told(answer.get_response())["id"] == "r-7"
    assert told(answer.get_response())["model_version"] == "1"


def test_only_the_outputs_that_were_named_come_in_their_order(client: Any) -> None:
    named = [client.module.InferRequestedOutput(name) for name in ("verdict", "score")]
    answer = client.infer("fraud-risk", inputs_of(client.module), outputs=named, model_version="1")

    assert [one["name"] for one in told(answer.get_response())["outputs"]] == ["verdict", "score"]
    assert answer.as_numpy("verdict").tolist() == [b"approve", b"review", b"review"]


@pytest.mark.parametrize(
    ("model", "version", "said"),
    [("none-such", "", "no model"), ("fraud-risk", "7", "no version '7'")],
)
def test_what_is_not_there_is_told_in_the_clients_own_error(
    client: Any, model: str, version: str, said: str
) -> None:
    with pytest.raises(InferenceServerException, match=said):
        client.infer(model, inputs_of(client.module), model_version=version)


def test_a_row_that_does_not_fit_is_named_and_nothing_was_decided(client: Any) -> None:
    wrong = inputs_of(client.module, (["c-1", "c-2"], [1.0, -5.0]))

    with pytest.raises(
        InferenceServerException, match=r"rows\[1\].amount: Input should be greater"
    ):
        client.infer("fraud-risk", wrong)


@pytest.mark.parametrize("packed", ["gzip", "deflate"])
@pytest.mark.parametrize("is_raw", [True, False])
def test_bodies_may_be_packed(ends: Ends, packed: str, is_raw: bool) -> None:
    module = tritonclient.http
    with module.InferenceServerClient(ends.http) as client:
        answer = client.infer(
            "fraud-risk",
            inputs_of(module, binary_data=is_raw),
            outputs=[module.InferRequestedOutput("verdict", binary_data=is_raw)],
            request_compression_algorithm=packed,
        )

    verdicts = ["approve", "review", "review"]
    assert answer.as_numpy("verdict").tolist() == (
        [verdict.encode() for verdict in verdicts] if is_raw else verdicts
    )


def test_a_packed_bomb_is_refused_before_it_goes_off(ends: Ends) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    answer = httpx.post(
        f"http://{ends.http}/v2/models/fraud-risk/infer",
        content=bomb,
        headers={"content-encoding": "gzip"},
        timeout=60,
    )

    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


def test_over_grpc_too_large_a_message_is_refused_packed_or_not(ends: Ends) -> None:
    module = tritonclient.grpc
    large = inputs_of(module, (["c" * 40] * 50_000, [1.0] * 50_000))
    with module.InferenceServerClient(ends.grpc) as client:
        for packed in (None, "gzip"):
            with pytest.raises(InferenceServerException) as refused:
                client.infer("fraud-risk", large, compression_algorithm=packed)
            assert refused.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
        assert client.is_server_live()


@pytest.mark.parametrize(
    "content", [b"\xff\xff\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\xff\xfe"]
)
def test_over_grpc_what_is_no_message_is_the_callers_fault(ends: Ends, content: bytes) -> None:
    with grpc.insecure_channel(ends.grpc) as channel:
        ask = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as refused:
            ask(content, timeout=10)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no ModelInferRequest" in refused.value.details()


def test_over_grpc_a_deadline_that_is_short_is_kept_by_the_fallback(
    serving: Callable[..., Served],
) -> None:
    port = free_port()
    serving("slow", OPSRAIL_WEB__GRPC_PORT=str(port))
    module = tritonclient.grpc
    with module.InferenceServerClient(f"127.0.0.1:{port}") as client:
        answer = client.infer("fraud-risk", inputs_of(module), client_timeout=6)

    assert answer.as_numpy("degraded").tolist() == [True, True, True]
    assert answer.as_numpy("score").tolist() == [-1.0, -1.0, -1.0]


def test_over_grpc_the_same_key_gives_the_same_decisions(ends: Ends) -> None:
    module = tritonclient.grpc
    with module.InferenceServerClient(ends.grpc) as client:
        first, second, other = (
            client.infer("fraud-risk", inputs_of(module), headers={"idempotency-key": key})
            for key in ("k-1", '"k-1"', "k-2")
        )

    ids = [answer.as_numpy("decision_id").tolist() for answer in (first, second, other)]
    assert ids[0] == ids[1]
    assert not set(ids[0]) & set(ids[2])


def test_where_a_key_is_needed_both_ask_for_it(serving: Callable[..., Served]) -> None:
    port = free_port()
    served = serving(program=LIVE, OPSRAIL_WEB__GRPC_PORT=str(port), OPSRAIL_WEB__API_KEY=KEY)
    http, grpc = served.url.removeprefix("http://"), f"127.0.0.1:{port}"
    for module, address in ((tritonclient.http, http), (tritonclient.grpc, grpc)):
        with module.InferenceServerClient(address) as client:
            assert client.is_server_live()
            with pytest.raises(InferenceServerException, match="no API key"):
                client.infer("fraud-risk", inputs_of(module))
            answer = client.infer(
                "fraud-risk", inputs_of(module), headers={"authorization": f"Bearer {KEY}"}
            )
            assert answer.as_numpy("verdict").tolist()[0] == b"approve"


def test_both_end_in_order(serving: Callable[..., Served]) -> None:
    port = free_port()
    served = serving(program=LIVE, OPSRAIL_WEB__GRPC_PORT=str(port))
    with tritonclient.grpc.InferenceServerClient(f"127.0.0.1:{port}") as client:
        assert client.is_server_live()
    status, said = served.stop()

    assert (status, "Traceback" in said) == (0, False)


def test_a_grpc_port_that_is_taken_is_refused_with_its_setting(
    serving: Callable[..., Served],
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(pytest.fail.Exception, match=r"web\.grpc_port"):
            serving(OPSRAIL_WEB__GRPC_PORT=str(port))


def told(answer: Any) -> dict[str, Any]:
    """Return a dict, or a message of the protocol as one."""
    if isinstance(answer, dict):
        return answer
    plain: dict[str, Any] = MessageToDict(answer, preserving_proto_field_name=True)
    return plain
