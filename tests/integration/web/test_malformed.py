"""F17: bodies that are no input of anybody's: each is refused, none is remembered, none takes long."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path

import httpx
import pytest

from tests.integration.web.conftest import Served

BODIES = 1_500
WARM_BODIES = 300
GROWTH_MIB = 50
"""Source: FAULTS F17."""
LARGE = 1_000_000
PATHS = ("/v1/cases/claims-intake", "/v1/decisions/fraud-risk")


def bodies(seed: int) -> Iterator[bytes]:
    """Yield one body after another that no caller in his right mind sends; without end."""
    chance = random.Random(seed)
    while True:
        yield b"[" * 64 + b"]" * 64
        yield b"[" * (LARGE // 2)
        yield b'{"a":' * 20_000 + b"1" + b"}" * 20_000
        yield b'{"claim_id": "c", "amount": ' + b"9" * 5_000 + b"}"
        yield b'{"claim_id": "c", "amount": -1e999}'
        yield b'{"claim_id": "c", "amount": NaN}'
        yield b'{"claim_id": "c", "amount": 1, "amount": 2}'
        yield b'{"claim_id": "\\ud800", "amount": 1}'
        yield b'{"claim_id": "c", "amount": "' + b"x" * (LARGE - 100) + b'"}'
        yield b"{" + b",".join(b'"k%d":%d' % (n, n) for n in range(5_000)) + b"}"
        yield b"\xff\xfe" * 100
        yield b'{"claim_id": "c"'
        yield b""
        yield chance.randbytes(chance.randrange(1, 10_000))
        yield b"null"
        yield b'"' + b"\\u00e9" * 10_000 + b'"'


def resident_mib(pid: int) -> float:
    """Return the memory a process holds."""
    for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"process {pid} does not tell its memory")


def test_malformed_bodies_are_refused_one_after_another_and_nothing_of_them_is_kept(
    serving: Callable[..., Served], request: pytest.FixtureRequest
) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("the memory of another process is read from /proc, which this system has not")
    served = serving()
    statuses: dict[int, int] = {}
    took_ms: list[float] = []
    before_mib = 0.0
    paths = cycle(PATHS)
    with httpx.Client(
        base_url=served.url, headers={"content-type": "application/json"}, timeout=60
    ) as client:
        for number, body in enumerate(islice(bodies(17), BODIES)):
            if number == WARM_BODIES:
                before_mib = resident_mib(served.pid)
            begun_s = time.perf_counter()
            status = client.post(next(paths), content=body).status_code
            took_ms.append(1000 * (time.perf_counter() - begun_s))
            statuses[status] = statuses.get(status, 0) + 1
        grown_mib = resident_mib(served.pid) - before_mib
        alive = client.get("/healthz").status_code
        cases = client.get("/v1/cases").json()["cases"]
    status, said = served.stop()
    request.node.user_properties += [
        ("grown_mib", round(grown_mib, 1)),
        ("took_p50_ms", round(statistics.median(took_ms), 2)),
        ("took_max_ms", round(max(took_ms), 1)),
    ]

    assert {status // 100 for status in statuses} == {4}, statuses
    assert grown_mib < GROWTH_MIB
    assert (alive, cases, status, said) == (200, [], 0, "")
