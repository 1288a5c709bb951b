"""What a child process costs a model: the same batches here and in a child; and how soon a dead child is back.

The model is the tabular one (100 trees, 20 numbers). Before it, what a hand-over alone costs: an echo process gets rows over
its pipe or in a shared file, as JSON objects or as packed doubles whose names it was told once; it makes rows of them, since
that is what runtimes take. Interleaved, medians.
"""

from __future__ import annotations

import argparse
import mmap
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path

import orjson

from bench.figures import Report, machine
from bench.tabular import NAMES, drawn, write_model
from opsrail.clock import SystemClock
from opsrail.connect.catalog import FACTORY
from opsrail.connect.child import ChildLimits, ChildModel, ChildRuntime
from opsrail.connect.onnx import OnnxRuntime
from opsrail.connect.quarantine import Patience
from opsrail.errors import ModelUnavailable
from opsrail.ports import LoadedModel
from opsrail.values.canonical import digest

SIZES = (1, 8, 64)
BYTES = 1 << 20
HALF = BYTES // 2
HEAD = struct.Struct("<II")
JSON_PIPE, PACKED_PIPE, JSON_SHARED, PACKED_SHARED = range(4)
WAYS = {
    "pipe_json": JSON_PIPE,
    "pipe_packed": PACKED_PIPE,
    "shared_json": JSON_SHARED,
    "shared_packed": PACKED_SHARED,
}
Rows = list[dict[str, float]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare options."""
    parser.add_argument("--rounds", type=int, default=300, help="batches of each size each way")
    parser.add_argument("--deaths", type=int, default=10, help="children that are killed")


def run(asked: argparse.Namespace) -> Report:
    """Measure and report."""
    rows = [dict(zip(NAMES, map(float, row), strict=True)) for row in drawn()[: max(SIZES)]]
    figures = {**hand_overs(rows, asked.rounds), **models(rows, asked.rounds, asked.deaths)}
    return Report("child", figures, targets={"back_max_s": "<= 2"}, machine=machine())


def hand_overs(rows: Rows, rounds: int) -> dict[str, float]:
    """Return the microseconds of a round trip to an echo process, by way and size."""
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(BYTES)
        shared = mmap.mmap(file.fileno(), BYTES)
        echo = subprocess.Popen(
            [sys.executable, "-m", "bench.child", file.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert echo.stdin is not None
        assert echo.stdout is not None
        there, back = echo.stdin.fileno(), echo.stdout.fileno()

        def trip(way: int, count: int) -> None:
            batch = rows[:count]
            is_json = way in (JSON_PIPE, JSON_SHARED)
            body = orjson.dumps(batch) if is_json else packed(batch)
            if way in (JSON_PIPE, PACKED_PIPE):
                os.write(there, HEAD.pack(way, len(body)) + body)
                answer = take(back, HEAD.unpack(take(back, HEAD.size))[1])
            else:
                shared[: len(body)] = body
                os.write(there, HEAD.pack(way, len(body)))
                size = HEAD.unpack(take(back, HEAD.size))[1]
                answer = shared[HALF : HALF + size]
            assert len(orjson.loads(answer)) == count

        calls = {
            f"hand_over_{name}_{count}": _call(trip, way, count)
            for count in SIZES
            for name, way in WAYS.items()
        }
        figures = medians_us(calls, rounds)
        echo.stdin.close()
        echo.wait()
    return figures


def _call(trip: Callable[[int, int], None], way: int, count: int) -> Callable[[], object]:
    return lambda: trip(way, count)


def echo(path: str) -> None:
    """Answer rows with a score each until the input ends; the other side of `hand_overs`."""
    fd = os.open(path, os.O_RDWR)
    shared = mmap.mmap(fd, BYTES)
    while head := os.read(0, HEAD.size):
        way, size = HEAD.unpack(head)
        body = take(0, size) if way in (JSON_PIPE, PACKED_PIPE) else shared[:size]
        rows: Rows = orjson.loads(body) if way in (JSON_PIPE, JSON_SHARED) else unpacked(body)
        answer = orjson.dumps([(row[NAMES[0]], 0.5, ()) for row in rows])
        if way in (JSON_PIPE, PACKED_PIPE):
            os.write(1, HEAD.pack(way, len(answer)) + answer)
        else:
            shared[HALF : HALF + len(answer)] = answer
            os.write(1, HEAD.pack(way, len(answer)))


def packed(rows: Rows) -> bytes:
    """Return rows as doubles in the order of NAMES."""
    return array("d", [row[name] for row in rows for name in NAMES]).tobytes()


def unpacked(body: bytes) -> Rows:
    """Return the rows again."""
    numbers, width = array("d", body).tolist(), len(NAMES)
    return [
        dict(zip(NAMES, numbers[first : first + width], strict=True))
        for first in range(0, len(numbers), width)
    ]


def take(fd: int, size: int) -> bytes:
    """Read so many bytes."""
    taken = b""
    while len(taken) < size:
        taken += os.read(fd, size - len(taken))
    return taken


def models(rows: Rows, rounds: int, deaths: int) -> dict[str, float]:
    """Return what the tabular model takes here and in children, and how soon a dead child is back."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tabular.onnx"
        write_model(path)
        artifact = path.read_bytes()
    clock, name = SystemClock(), digest(artifact)
    patience = Patience(most=deaths + 1)
    one = ChildRuntime("onnx", FACTORY, ChildLimits(patience=patience), clock)
    begun_s = time.perf_counter()
    alone = one.load(artifact, name)
    started_s = time.perf_counter() - begun_s
    assert isinstance(alone, ChildModel)
    loaded: Mapping[str, LoadedModel] = {
        "here": OnnxRuntime().load(artifact, name),
        "child": alone,
    }
    calls = {
        f"{place}_{count}": _score(model, rows[:count])
        for count in SIZES
        for place, model in loaded.items()
    }
    figures = medians_us(calls, rounds)
    back_s = [back_after_death(alone, rows[:1]) for _ in range(deaths)]
    alone.close()
    return {
        **figures,
        "start_s": round(started_s, 3),
        "back_p50_s": round(statistics.median(back_s), 3),
        "back_max_s": round(max(back_s), 3),
    }


def _score(model: LoadedModel, rows: Rows) -> Callable[[], object]:
    return lambda: model.score(rows)


def back_after_death(model: ChildModel, rows: Rows) -> float:
    """Kill a model's child; return the seconds until it answers again."""
    for child in list(model._ready):
        os.kill(child.pid, 9)
    begun_s, crashes = time.perf_counter(), model.health().crashes
    while True:
        try:
            if model.health().crashes > crashes:
                model.score(rows)
                return time.perf_counter() - begun_s
        except ModelUnavailable:
            pass
        time.sleep(0.002)


def medians_us(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return each call's median time, microseconds; the calls take turns."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begun_s = time.perf_counter()
            call()
            spent[name].append(time.perf_counter() - begun_s)
    return {f"{name}_us": round(1e6 * statistics.median(each), 1) for name, each in spent.items()}


if __name__ == "__main__":
    echo(sys.argv[1])
