"""F12 from outside: models that die, run out of memory or hang in their child processes, and what their callers see."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.decide.crashing import BATCH_S

ROOT = Path(__file__).resolve().parents[3]
WAIT_S = 30
"""How long is waited for what has to come. Ours: a loaded machine starts an interpreter in seconds."""
QUARANTINE_S, SHORT_S = 600.0, 5.0
numbers = count()
Asked = tuple[float, dict[str, Any]]


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server whose models run in its child processes, and where it serves; a parameter is its quarantine, s."""
    quarantine_s = getattr(request, "param", QUARANTINE_S)
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.decide.crashing", str(quarantine_s)],
        cwd=ROOT,
        env={**os.environ, "SECRET_CANARY": "not for models"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    try:
        yield child, child.stdout.readline().strip()
    finally:
        child.kill()
        child.communicate()


async def ask(client: httpx.AsyncClient, point: str, deed: str = "") -> Asked:
    """Ask once; return the milliseconds it took and the decision."""
    begun_s = time.perf_counter()
    body = {"number": next(numbers), "deed": deed}
    answer = await client.post(f"/v1/decisions/{point}", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    return 1000 * (time.perf_counter() - begun_s), answer.json()


async def until_back(client: httpx.AsyncClient, point: str) -> float:
    """Ask until the model answers again; return the seconds that took."""
    begun_s = time.perf_counter()
    while (await ask(client, point))[1]["score"] is None:
        assert time.perf_counter() - begun_s < WAIT_S, f"{point} never came back"
        await asyncio.sleep(0.01)
    return time.perf_counter() - begun_s


async def process_of(client: httpx.AsyncClient, point: str) -> dict[str, Any]:
    """Return how a point's model fares."""
    told = (await client.get("/v1/processes")).json()["processes"]
    (mine,) = [each for each in told if each["model"] == f"{point}/1"]
    return dict(mine)


@pytest.mark.parametrize("deed", ["abort", "segfault", "memory", "hang", "hold"])
async def test_a_model_that_breaks_its_process_costs_a_fallback_and_is_back_by_itself(
    server: tuple[subprocess.Popen[str], str], deed: str, request: pytest.FixtureRequest
) -> None:
    async with httpx.AsyncClient(base_url=server[1], timeout=60) as client:
        await until_back(client, deed)
        took_ms, broken = await ask(client, deed, deed)
        neighbours = [(await ask(client, "steady"))[1] for _ in range(3)]
        back_s = await until_back(client, deed)
        mine, theirs = [await process_of(client, point) for point in (deed, "steady")]

    assert (broken["verdict"], broken["score"]) == ("review", None)
    assert broken["degraded_why"] in {"model-crashed", "deadline-passed"}
    assert broken["latency_ms"]["total"] < 1000 * BATCH_S
    assert not all(decision["degraded"] for decision in neighbours)
    assert (mine["state"], mine["children"], mine["crashes"]) == ("serving", 1, 1)
    assert (theirs["state"], theirs["crashes"]) == ("serving", 0)
    request.node.user_properties += [
        (f"{deed}_reply_ms", round(took_ms, 1)),
        (f"{deed}_back_s", round(back_s, 2)),
    ]


async def until(client: httpx.AsyncClient, point: str, state: str) -> dict[str, Any]:
    """Look until a model is in a state; return how it fares."""
    until_s = time.monotonic() + WAIT_S
    while (mine := await process_of(client, point))["state"] != state:
        assert time.monotonic() < until_s, f"{point} never was {state}"
        await asyncio.sleep(0.01)
    return mine


async def crash_thrice(client: httpx.AsyncClient) -> None:
    """Have a model die until it is left alone."""
    for number in range(3):
        assert (await ask(client, "again", "abort"))[1]["degraded_why"] == "model-crashed"
        if number < 2:
            await until_back(client, "again")
    await until(client, "again", "quarantined")


async def test_three_crashes_in_a_minute_mean_quarantine_until_an_operator_says_so(
    server: tuple[subprocess.Popen[str], str],
) -> None:
    async with httpx.AsyncClient(base_url=server[1], timeout=60) as client:
        await crash_thrice(client)
        _, alone = await ask(client, "again")
        ready = (await client.get("/readyz")).json()
        answer = await client.post("/v1/processes/again/1/release", json={"by": "ann"})
        await until_back(client, "again")
        after = await process_of(client, "again")

    assert alone["degraded_why"] == "model-quarantined"
    found = [each["name"] for each in ready["findings"] if each["name"].startswith("processes")]
    assert (ready["status"], found) == ("degraded", ["processes.again/1"])
    assert answer.status_code == 200
    assert (after["state"], after["crashes"]) == ("serving", 3)


@pytest.mark.parametrize("server", [SHORT_S], indirect=True)
async def test_quarantine_ends_by_itself_and_one_more_crash_brings_it_back(
    server: tuple[subprocess.Popen[str], str],
) -> None:
    async with httpx.AsyncClient(base_url=server[1], timeout=60) as client:
        await crash_thrice(client)
        rested_s = await until_back(client, "again")
        on_trial = await process_of(client, "again")
        _, broken = await ask(client, "again", "abort")
        again = await until(client, "again", "quarantined")

    assert rested_s >= SHORT_S / 2
    assert on_trial["state"] == "trial"
    assert broken["degraded_why"] == "model-crashed"
    assert (again["crashes"], again["children"]) == (4, 0)


async def test_models_end_with_the_server_even_while_native_code_holds_them_up(
    server: tuple[subprocess.Popen[str], str],
) -> None:
    process, url = server
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        await ask(client, "steady")
        await ask(client, "hold", "hold")
    pids = children_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    until_s = time.monotonic() + WAIT_S
    while left := [pid for pid in pids if is_alive(pid)]:
        if time.monotonic() > until_s:
            break
        await asyncio.sleep(0.01)

    assert len(pids) >= 7
    assert left == []


async def test_release_of_what_is_no_model_version_is_not_found(
    server: tuple[subprocess.Popen[str], str],
) -> None:
    async with httpx.AsyncClient(base_url=server[1], timeout=60) as client:
        answers = [
            await client.post(f"/v1/processes/{path}/release", json={"by": "ann"})
            for path in ("gone/1", "steady/2", "steady/0", "STEADY/1")
        ]

    assert [answer.status_code for answer in answers] == [404] * 4


def children_of(parent: int) -> list[int]:
    """Return the processes that a process started."""
    listed = subprocess.run(
        ["pgrep", "-P", str(parent)], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in listed.stdout.split()]


def is_alive(pid: int) -> bool:
    """Return whether a process runs; one that waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
