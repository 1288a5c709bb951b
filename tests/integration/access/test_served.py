"""A server, and commands beside it on its folder: what they change it heeds, over HTTP and gRPC."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from tests.integration.web.conftest import ROOT, Served
from tests.support.ports import free_port

pytestmark = pytest.mark.slow
CLAIM = {"claim_id": "c-1", "amount": 120.5}


class House:
    """A server and its folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.grpc = f"127.0.0.1:{port}"
        self.served = Served(folder, OPSRAIL_WEB__GRPC_PORT=str(port))

    def command(self, *words: str) -> Any:
        """Run a command on the folder, in another process."""
        called = [sys.executable, "-m", "opsrail", *words, "--data", str(self.folder), "--json"]
        ended = subprocess.run(
            called, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=True
        )
        return json.loads(ended.stdout)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = House(tmp_path_factory.mktemp("served"), free_port())
    yield made
    made.served.close()


def status_until(ask: Any, wanted: int, limit_s: float) -> float:
    """Return after how many seconds a request is answered with a status."""
    begun_s = time.monotonic()
    while (answer := ask()).status_code != wanted:
        assert time.monotonic() - begun_s < limit_s, answer.text
        time.sleep(0.05)
    return time.monotonic() - begun_s


def test_a_revoked_key_and_a_first_user_are_heeded_within_two_seconds(house: House) -> None:
    made = house.command("keys", "add", "a job", "--scope", "fraud-risk")
    headers = {"authorization": f"Bearer {made['secret']}"}
    with httpx.Client(base_url=house.served.url, timeout=60) as client:
        decided = client.post("/v1/decisions/fraud-risk", json=CLAIM, headers=headers)
        foreign = client.post("/v1/cases/claims-intake", json=CLAIM, headers=headers)
        local = client.get("/v1/cases")
        house.command("keys", "revoke", made["key"]["id"])
        took_s = status_until(
            lambda: client.post("/v1/decisions/fraud-risk", json=CLAIM, headers=headers), 401, 2.0
        )
        house.command("users", "add", "anna", "--role", "admin")
        user_took_s = status_until(lambda: client.get("/v1/cases"), 401, 2.0)
        link = house.command("users", "link", "anna", "--url", house.served.url)["link"]
        page = client.get(link)
        token = link.partition("link=")[2]
        client.post("/console/sign-in", data={"link": token, "csrf": ""})
        cases = client.get("/v1/cases")

    assert decided.status_code == 200
    assert decided.json()["actor"] == f"key:{made['key']['id']}"
    assert foreign.status_code == 403
    assert local.status_code == 200
    assert max(took_s, user_took_s) < 2.0
    assert page.status_code == 200
    assert cases.status_code == 200


def test_a_key_of_a_user_whom_another_process_disables_is_refused_within_two_seconds(
    house: House,
) -> None:
    house.command("users", "add", "cleo", "--role", "admin")
    house.command("users", "add", "dora", "--role", "admin")
    made = house.command("keys", "add", "a job", "--role", "viewer", "--by", "user:cleo")
    headers = {"authorization": f"Bearer {made['secret']}"}
    with httpx.Client(base_url=house.served.url, timeout=60) as client:
        before = client.get("/v1/cases", headers=headers)
        house.command("users", "disable", "cleo")
        status_until(lambda: client.get("/v1/cases", headers=headers), 401, 2.0)
        house.command("users", "enable", "cleo")
        status_until(lambda: client.get("/v1/cases", headers=headers), 200, 2.0)

    assert before.status_code == 200


def test_decisions_of_one_long_request_end_within_seconds_of_the_key(house: House) -> None:
    made = house.command("keys", "add", "a job", "--scope", "fraud-risk")
    headers = {
        "authorization": f"Bearer {made['secret']}",
        "content-type": "application/jsonl",
    }
    rows = "".join(json.dumps({"claim_id": f"c-{n}", "amount": 9}) + "\n" for n in range(100_000))
    url, count, revoked_s = f"{house.served.url}/v1/decisions/fraud-risk:batch", 0, 0.0
    with httpx.stream("POST", url, content=rows, headers=headers, timeout=60) as answer:
        for line in answer.iter_lines():
            if count == 0:
                house.command("keys", "revoke", made["key"]["id"])
                revoked_s = time.monotonic()
            last, count = line, count + 1
    took_s = time.monotonic() - revoked_s

    assert json.loads(last)["code"] in ("denied", "unauthenticated")
    assert count < 100_000
    assert took_s < 10


def test_grpc_heeds_keys_and_their_scopes_as_http_does(house: House) -> None:
    inside = house.command("keys", "add", "inside", "--scope", "fraud-risk")["secret"]
    outside = house.command("keys", "add", "outside", "--scope", "loan-risk")["secret"]
    viewer = house.command("keys", "add", "viewer", "--role", "viewer")["secret"]
    with tritonclient.grpc.InferenceServerClient(house.grpc) as client:
        told = []
        for secret in (inside, outside, viewer, "opsrail_wrong"):
            try:
                inputs = [
                    tritonclient.grpc.InferInput("claim_id", [1], "BYTES"),
                    tritonclient.grpc.InferInput("amount", [1], "FP64"),
                ]
                inputs[0].set_data_from_numpy(_bytes("c-1"))
                inputs[1].set_data_from_numpy(_floats(100.0))
                client.infer("fraud-risk", inputs, headers={"authorization": f"Bearer {secret}"})
                told.append("answered")
            except InferenceServerException as refused:
                told.append(str(refused.status()))
        is_live = client.is_server_live()

    assert told == [
        "answered",
        "StatusCode.PERMISSION_DENIED",
        "StatusCode.PERMISSION_DENIED",
        "StatusCode.UNAUTHENTICATED",
    ]
    assert is_live


def _bytes(text: str) -> Any:
    import numpy as np

    return np.array([text.encode()], dtype=np.object_)


def _floats(number: float) -> Any:
    import numpy as np

    return np.array([number], dtype=np.float64)
