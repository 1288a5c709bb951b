"""Remote models keep the contract of all runtimes, asked over HTTP and gRPC of another opsrail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from opsrail.connect.remote_runtimes import RemoteGrpcRuntime, RemoteHttpRuntime
from opsrail.testing.contracts.runtime import RuntimeContract, Subject
from opsrail.values.canonical import canonical
from tests.integration.models.test_remote import KEY, LIVE
from tests.integration.web.conftest import Served
from tests.support.ports import free_port
from tests.support.remotes import description


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The URLs of another opsrail."""
    port = free_port()
    folder = tmp_path_factory.mktemp("served")
    other = Served(folder, program=LIVE, OPSRAIL_WEB__GRPC_PORT=str(port), OPSRAIL_WEB__API_KEY=KEY)
    yield {"http": other.url, "grpc": f"grpc://127.0.0.1:{port}"}
    other.close()


@pytest.fixture(params=["http", "grpc"])
def subject(
    request: pytest.FixtureRequest, urls: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Subject:
    monkeypatch.setenv("OPSRAIL_TEST_KEY", KEY)
    told = description(urls[request.param], secret="env:OPSRAIL_TEST_KEY")
    amounts = [500.0, 1_500.0] * 4
    return Subject(
        RemoteHttpRuntime() if request.param == "http" else RemoteGrpcRuntime(),
        canonical(told),
        [
            {"claim_id": f"c-{place}", "amount": amount, "make": "Honda"}
            for place, amount in enumerate(amounts)
        ],
        [0.25 if amount < 1_000 else 0.75 for amount in amounts],
        number="amount",
        refused={
            "another host": canonical({**told, "url": "http://192.0.2.1"}),
            "no inputs": canonical({**told, "inputs": []}),
            "another format": canonical({**told, "format": "opsrail.remote/9"}),
        },
    )


class TestRemoteRuntimes(RuntimeContract):
    pass
