"""Bulk requests and inference over a real socket: crashes, callers that read slowly or go away, a server that ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from opsrail.app import build
from opsrail.config import Config
from opsrail.values.decisions import DecisionRow
from tests.integration.web.conftest import Served

BATCH = "/v1/decisions/fraud-risk:batch"
INFER = "/v2/models/fraud-risk/infer"
LINES = {"content-type": "application/jsonl"}


def lines(count: int) -> bytes:
    return b"".join(
        json.dumps({"claim_id": f"c-{at}", "amount": at % 3_000}).encode() + b"\n"
        for at in range(count)
    )


def tensors(count: int) -> dict[str, Any]:
    ids = [f"c-{at}" for at in range(count)]
    return {
        "inputs": [
            {"name": "claim_id", "datatype": "BYTES", "shape": [count], "data": ids},
            {"name": "amount", "datatype": "FP64", "shape": [count], "data": list(range(count))},
        ]
    }


async def recorded(folder: Path) -> dict[str, str]:
    """Return claim by decision of the installation, which nobody serves now."""
    async with build(Config(), folder / "installation").opened() as app:
        rows = await app.store.select(DecisionRow, limit=100_000)
    records = [json.loads(row.record) for row in rows]
    return {record["id"]: record["features"][0]["values"]["claim_id"] for record in records}


@pytest.mark.crash
@pytest.mark.parametrize("path", [BATCH, INFER])
def test_after_a_crash_the_same_key_gives_every_row_one_decision(
    serving: Callable[..., Served], tmp_path: Path, path: str
) -> None:
    content = lines(200) if path == BATCH else json.dumps(tensors(200)).encode()
    media = LINES if path == BATCH else {"content-type": "application/json"}
    keyed = {**media, "idempotency-key": "k-1"}
    dying = serving(OPSRAIL_CRASH_AT="decide.after_record:70")
    with pytest.raises(httpx.HTTPError):
        httpx.post(f"{dying.url}{path}", content=content, headers=keyed, timeout=60)
    status, _ = dying.ended()
    before = asyncio.run(recorded(tmp_path))
    served = serving()
    answers = [
        httpx.post(f"{served.url}{path}", content=content, headers=keyed, timeout=60)
        for _ in range(2)
    ]
    served.stop()
    after = asyncio.run(recorded(tmp_path))

    assert status == -signal.SIGKILL
    assert 0 < len(before) < 200
    assert answers[0].content == answers[1].content
    assert sorted(after.values()) == sorted(f"c-{at}" for at in range(200))
    assert before.items() <= after.items()


def test_rows_are_answered_in_order_and_as_many_as_were_sent(
    serving: Callable[..., Served],
) -> None:
    served = serving(OPSRAIL_DECIDE__ROWS_AT_ONCE="200")
    answer = httpx.post(f"{served.url}{BATCH}", content=lines(3_000), headers=LINES, timeout=120)
    decisions = [json.loads(line) for line in answer.content.splitlines()]

    assert [one["features"][0]["values"]["claim_id"] for one in decisions] == [
        f"c-{at}" for at in range(3_000)
    ]


def test_a_caller_that_reads_nothing_holds_the_pace_and_one_that_goes_stops_it(
    serving: Callable[..., Served], tmp_path: Path
) -> None:
    count = 20_000
    served = serving()
    body, where = lines(count), urlsplit(served.url)
    head = f"POST {BATCH} HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: application/jsonl\r\n"
    with socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        caller.connect((where.hostname, where.port))
        caller.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        asyncio.run(standing_still(served.url))
    with httpx.Client(timeout=60) as client:  # the server is none the worse
        answer = client.post(f"{served.url}{BATCH}", content=lines(10), headers=LINES)
        assert len(answer.content.splitlines()) == 10
    status, said = served.stop()
    made = len(asyncio.run(recorded(tmp_path)))

    assert (status, "Traceback" in said) == (0, False)
    assert 10 < made < count / 2


async def standing_still(url: str) -> None:
    """Wait until rows were decided and no more are."""
    sizes = [0]
    async with httpx.AsyncClient(timeout=60) as client:
        while sizes[-1] == 0 or len(sizes) < 3 or len(set(sizes[-3:])) > 1:
            await asyncio.sleep(1.2)  # the ledger is signed once a second
            answer = await client.get(f"{url}/v1/ledger/checkpoint")
            sizes.append(answer.json()["size"] if answer.status_code == 200 else 0)


def test_a_server_that_ends_tells_every_line_that_is_left(serving: Callable[..., Served]) -> None:
    served = serving()
    with httpx.stream(
        "POST", f"{served.url}{BATCH}", content=lines(20_000), headers=LINES, timeout=60
    ) as answer:
        told: list[dict[str, Any]] = []
        left = b""
        for part in answer.iter_raw():
            if not told:
                os.kill(served.pid, signal.SIGTERM)
            *whole, left = (left + part).split(b"\n")
            told += [json.loads(line) for line in whole]
    status, said = served.ended()
    codes = [one.get("code") for one in told]

    assert (len(told), left, status, "Traceback" in said) == (20_000, b"", 0, False)
    assert codes[0] is None
    assert codes[-1] == "store-unavailable"
    assert {one["line"] for one in told if "line" in one} == set(
        range(codes.index("store-unavailable") + 1, 20_001)
    )
