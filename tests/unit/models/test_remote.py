"""Remote models: what their artifacts may say, where they may be asked, and how answers are read. No server is asked."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest

from opsrail.connect.remote import Remote, read, request_of, scores_of
from opsrail.connect.remote_hosts import allowed_hosts, check_host, is_loopback_name, may_be_asked
from opsrail.connect.remote_runtimes import GRPC, HTTP, RemoteGrpcRuntime, RemoteHttpRuntime
from opsrail.errors import ArtifactRefused, InvalidInput, ModelUnavailable
from opsrail.ports import is_remote
from opsrail.values.canonical import canonical, digest
from opsrail.values.inference import InferenceResponse
from opsrail.values.tensors import Tensor
from tests.support.remotes import description, loaded

HERE = "http://127.0.0.1:8000"
ROWS: list[dict[str, object]] = [
    {"claim_id": "c-1", "amount": 5.0},
    {"claim_id": "c-2", "amount": 7.0},
]


def remote(url: str = HERE, **change: Any) -> Remote:
    artifact = canonical(description(url, **change))
    return read(artifact, digest(artifact), {**HTTP, **GRPC})


def test_a_remote_model_says_that_it_is_one_and_loading_asks_nobody() -> None:
    assert is_remote(loaded(RemoteHttpRuntime(), description(HERE)))
    assert is_remote(loaded(RemoteGrpcRuntime(), description("grpc://127.0.0.1:8000")))


@pytest.mark.parametrize(
    "change",
    [
        {"format": "opsrail.remote/2"},
        {"url": "ftp://127.0.0.1"},
        {"url": "http://127.0.0.1/v2/models"},
        {"url": "http://ann:secret@127.0.0.1"},
        {"url": "http://127.0.0.1?x=1"},
        {"url": "http://127.0.0.1:99999"},
        {"url": "http://"},
        {"model": "../admin"},
        {"model": "a/b"},
        {"version": "1/../2"},
        {"version": "1\n"},
        {"timeout_ms": 0},
        {"timeout_ms": 60_001},
        {"timeout_ms": True},
        {"inputs": []},
        {"inputs": [{"name": "x", "datatype": "FP32"}]},
        {
            "inputs": [
                {"name": "x", "datatype": "BF16", "columns": [{"name": "a", "missing": None}]}
            ]
        },
        {"inputs": [{"name": "x", "datatype": "FP32", "columns": [{"name": "a"}]}]},
        {"inputs": [{"name": "x", "datatype": "FP32", "text": "a"}]},
        {"inputs": [{"name": "x", "datatype": "BYTES", "text": "a"}] * 2},
        {"score": {"name": "s", "column": -1}},
        {"secret": "a-key-in-the-open"},
        {"secret": "env:OPSRAIL_TEST_NO_SUCH_VARIABLE"},
        {"retries": 3},
    ],
    ids=str,
)
def test_a_description_that_is_wrong_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ArtifactRefused):
        loaded(RemoteHttpRuntime(), {**description(HERE), **change})


@pytest.mark.parametrize(
    "text", ['{"url": 1, "url": 2}', '{"timeout_ms": NaN}', "[]", "[" * 100_000]
)
def test_a_text_that_is_no_strict_json_is_refused(text: str) -> None:
    with pytest.raises(ArtifactRefused):
        RemoteHttpRuntime().load(text.encode(), digest(text.encode()))


@pytest.mark.parametrize(
    "host",
    [
        "models.example", "10.0.0.1", "169.254.169.254", "0x7f.1", "127.1", "2130706433", "[::ffff:127.0.0.1]",
        "localhost.example", "[fd00:ec2::254]", "metadata.google.internal",
        "0.0.0.0",  # noqa: S104 - refused
    ],
)  # fmt: skip
def test_a_host_that_nobody_named_is_refused(host: str) -> None:
    with pytest.raises(ArtifactRefused, match=r"decide\.remote_hosts"):
        loaded(RemoteHttpRuntime(), description(f"http://{host}:8000"))


@pytest.mark.parametrize(
    "url", [HERE, "http://localhost:1", "http://[::1]:1", "http://127.9.9.9:1"]
)
def test_loopback_needs_no_name(url: str) -> None:
    loaded(RemoteHttpRuntime(), description(url))


def test_a_host_is_named_with_or_without_its_port() -> None:
    allowed = allowed_hosts(" models.example , other.example:8000 ")
    for url in ("http://models.example:1", "https://Models.Example", "http://other.example:8000"):
        check_host(remote(url), allowed)
    for url in ("http://other.example:8001", "http://sub.models.example"):
        with pytest.raises(ArtifactRefused):
            check_host(remote(url), allowed)


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("10.1.2.3", True), ("192.168.0.9", True), ("8.8.8.8", True), ("fd12::1", True), ("2a00::1", True),
        ("127.0.0.1", False), ("::1", False), ("::ffff:127.0.0.1", False), ("::", False),
        ("0.0.0.0", False),  # noqa: S104 - never connected to
        ("169.254.169.254", False), ("::ffff:169.254.169.254", False), ("fe80::1", False), ("224.0.0.1", False),
        ("ff02::1", False), ("100.100.100.200", False), ("fd00:ec2::254", False), ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False), ("240.0.0.1", False), ("255.255.255.255", False),
    ],
)  # fmt: skip
def test_where_a_name_may_lead(address: str, may: bool) -> None:
    assert may_be_asked(ip_address(address), is_loopback=False) == may


def test_only_a_name_that_says_so_leads_to_loopback() -> None:
    assert may_be_asked(ip_address("127.0.0.1"), is_loopback=is_loopback_name("localhost"))
    assert not is_loopback_name("localhost.example")
    assert not is_loopback_name("0x7f.1")


def test_columns_become_one_tensor_or_one_each() -> None:
    columns = [
        {"name": "make", "missing": -1.0, "codes": {"Honda": 0.0}},
        {"name": "age", "missing": 40.0},
    ]
    told = remote(inputs=[{"name": "x", "datatype": "INT32", "columns": columns}])
    asked = request_of(told, [{"make": "Honda", "age": 3}, {"make": "Lada", "age": None}])

    assert asked.inputs == (Tensor("x", "INT32", (2, 2), [0, 3, -1, 40]),)


def test_all_faults_of_all_rows_are_told() -> None:
    with pytest.raises(InvalidInput) as wrong:
        request_of(remote(), [{"claim_id": 1, "amount": "5"}, ROWS[0], {}])

    assert sorted(fault.place for fault in wrong.value.faults) == [
        "rows[0].amount", "rows[0].claim_id", "rows[2].amount", "rows[2].claim_id",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "data", "column", "values"),
    [
        ((2,), [0.25, 0.75], None, [0.25, 0.75]),
        ((2, 1), [0.25, 0.75], None, [0.25, 0.75]),
        ((2, 2), [0.75, 0.25, 0.25, 0.75], 1, [0.25, 0.75]),
        ((2,), [-1e-8, 1.0 + 1e-8], None, [0.0, 1.0]),
    ],
)
def test_scores_are_read_wherever_they_stand(
    shape: tuple[int, ...], data: list[float], column: int | None, values: list[float]
) -> None:
    told = remote(score={"name": "p", "column": column}, confidence=None)
    answer = InferenceResponse("m", "", (Tensor("p", "FP32", shape, data),))
    scores = scores_of(told, ROWS, answer)

    assert [score.value for score in scores] == values
    assert {score.digest for score in scores} == {told.digest}


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor("q", "FP32", (2,), [0.1, 0.2]),
        Tensor("p", "FP32", (1,), [0.1]),
        Tensor("p", "FP32", (3,), [0.1, 0.2, 0.3]),
        Tensor("p", "FP32", (2, 2), [0.1, 0.2, 0.3, 0.4]),
        Tensor("p", "FP32", (1, 2), [0.1, 0.2]),
        Tensor("p", "FP32", (0,), []),
        Tensor("p", "INT64", (2,), [0, 1]),
        Tensor("p", "FP32", (2,), [0.1, float("nan")]),
        Tensor("p", "FP32", (2,), [0.1, 1.5]),
        Tensor("p", "FP32", (2,), [0.1, -1.0]),
    ],
)
def test_an_answer_without_a_score_for_each_row_is_no_answer(tensor: Tensor) -> None:
    told = remote(score={"name": "p"}, confidence=None)
    with pytest.raises(ModelUnavailable):
        scores_of(told, ROWS, InferenceResponse("m", "", (tensor,)))


def test_a_key_is_never_in_the_artifact_or_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSRAIL_TEST_KEY", "s3cret\nvalue")
    with pytest.raises(ArtifactRefused) as refused:
        loaded(RemoteHttpRuntime(), description(HERE, secret="env:OPSRAIL_TEST_KEY"))

    assert "s3cret" not in str(refused.value)
    assert "s3cret" not in json.dumps(description(HERE, secret="env:OPSRAIL_TEST_KEY"))
