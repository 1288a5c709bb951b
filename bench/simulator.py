"""The simulator held against the real server: the same arrivals at three loads, p50 and goodput of both.

One server, opsrail with everything on, is first asked in a closed loop with 1, 4, 16 and 64 connections. From that the
simulator gets its one device: what the server's core is busy for a request when so many are under way (CPU, so that waiting
for the disk is not counted; with the work that follows an answer, as the ledger's), and what a lone answer takes besides.
With 64 connections the core should never be idle; where the server got less than all of it (`core_ratio`), other work took
the rest, and times are stretched accordingly. Then requests come in an open loop at shares of what the server can keep up
with, and the same moments are replayed in virtual time. Both count an answer as good within the objective.

The server has one core and the load generator the other. A `core_ratio` below 0.9 says that the machine was not quiet and
that the comparison means little: other work comes in bursts, which no simulator knows.
"""

from __future__ import annotations

import argparse
import csv
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from pathlib import Path
from statistics import median
from typing import Any

from bench.figures import Report, machine, percentile, rounded, say
from bench.servers import LOAD_CORE, OPSRAIL, SERVER_CORE, Running, started
from bench.tabular import write_model
from opsrail.lab import Devices, Model, Point, Policy, Recorded, Replay, Scenario, simulate

CONNECTIONS = (1, 4, 16, 64)
WARM_S = 1.0
GIVE_UP_S = 2.0
DEADLINE_MS = 1_000.0
"""Of the point in `tabular_point.py`."""
SETTLE_S = 0.5
"""Begin of an open loop that does not count: connections are opened in it."""
OPEN_CONNECTIONS = 256
OK = 0
REST_S, IDLE_RATIO, MOST_REST_S = 0.5, 0.05, 60.0
"""A server that uses less of its core than this has nothing left to do."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=5.0, help="measured at each load")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loads", type=float, nargs="+", default=[0.3, 0.6, 0.85])
    parser.add_argument("--slo-ms", type=float, default=50.0, help="within which an answer is good")
    parser.add_argument("--folder", type=Path, help="where SQLite files lie (default: temporary)")


@dataclass(frozen=True)
class Measured:
    """What the closed loop told of the server.

    Attributes:
        busy_s: By requests under way: seconds for which the core is busy with them, all together.
        delay_ms: What a lone answer takes beyond that.
        capacity_per_s: Answers that it can keep up with, none of the work that follows being put off.
        core_ratio: Part of its core that the server got with the most connections.
    """

    busy_s: dict[int, float]
    delay_ms: float
    capacity_per_s: float
    core_ratio: float


def run(asked: argparse.Namespace) -> Report:
    """Measure, load, replay; the figures are medians over rounds, each on a fresh server."""
    taken_on = machine(asked.folder) | {"server_core": SERVER_CORE, "load_core": LOAD_CORE}
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(dir=asked.folder) as place:
        model = Path(place) / "model.onnx"
        write_model(model)
        for number in range(1, asked.rounds + 1):
            rounds.append(dict(one_round(model, Path(place) / f"round-{number}", asked, number)))
    figures: dict[str, float] = {}
    for name in rounds[0]:
        values = [one[name] for one in rounds]
        figures[name] = rounded(median(values))
        if name.startswith("ratio") and len(values) > 1:
            figures[f"{name}_min"] = rounded(min(values))
            figures[f"{name}_max"] = rounded(max(values))
    targets = {name: "0.9 to 1.1" for name in figures if name.startswith("ratio")}
    targets["core_ratio"] = ">= 0.9"
    return Report("simulator", figures, targets=targets, machine=taken_on)


def one_round(
    model: Path, folder: Path, asked: argparse.Namespace, seed: int
) -> Iterator[tuple[str, float]]:
    """Yield the figures of one server's life."""
    with started(OPSRAIL, model, folder) as running:
        measured = measure(running, asked.seconds)
        yield "capacity_per_s", measured.capacity_per_s
        yield "core_ratio", measured.core_ratio
        yield "lone_delay_ms", measured.delay_ms
        for count, busy_s in measured.busy_s.items():
            yield f"busy_{count}_us", 1e6 * busy_s
        for share in asked.loads:
            chance = random.Random(f"{seed}/{share}")
            rate_per_s = share * measured.capacity_per_s
            end_s = SETTLE_S + asked.seconds
            gaps = (chance.expovariate(rate_per_s) for _ in repeat(None))
            moments_s = list(_until(accumulate(gaps), end_s))
            rest(running)
            before_s = running.cpu_s()
            real = _real(running, moments_s, asked.slo_ms)
            cpu_us = 1e6 * (running.cpu_s() - before_s) / len(moments_s)
            simulated = _simulated(measured, moments_s, end_s, asked.slo_ms, folder.parent)
            name = f"{100 * share:.0f}"
            say(
                f"{name}%: p50 {real[0]:.2f} ms, simulated {simulated[0]:.2f} ms; good {real[1]:.0f}/s, {simulated[1]:.0f}/s"
            )
            yield f"real_cpu_{name}_us", cpu_us
            yield f"real_p50_{name}_ms", real[0]
            yield f"simulated_p50_{name}_ms", simulated[0]
            yield f"real_p99_{name}_ms", real[2]
            yield f"simulated_p99_{name}_ms", simulated[2]
            yield f"load_late_p99_{name}_ms", real[3]
            yield f"real_goodput_{name}_per_s", real[1]
            yield f"simulated_goodput_{name}_per_s", simulated[1]
            yield f"ratio_p50_{name}", simulated[0] / real[0]
            yield f"ratio_goodput_{name}", simulated[1] / max(real[1], 1e-9)


def measure(running: Running, seconds: float) -> Measured:
    """Ask in a closed loop, and find what the server's core is busy for."""
    cpu_s: dict[int, float] = {}
    lone_ms = per_s = core_ratio = 0.0
    rest(running)
    for count in CONNECTIONS:
        before_s = running.cpu_s()
        told = running.load([{"connections": count, "warm_s": WARM_S, "seconds": seconds}])[0]
        loaded_s = running.cpu_s() - before_s
        rested_s = rest(running)
        cpu_s[count] = (running.cpu_s() - before_s) / told["asked_count"]
        if told["error_count"]:
            raise SystemExit(f"the server answered with faults: {told['errors']}")
        per_s = len(told["took_ms"]) / seconds
        core_ratio = min(1.0, per_s * loaded_s / told["asked_count"])
        lone_ms = lone_ms or percentile(told["took_ms"], 0.5)
        say(
            f"{count} at once: {per_s:,.0f}/s, {1e6 * loaded_s / told['asked_count']:.0f} us CPU a request, "
            f"{1e6 * cpu_s[count]:.0f} with what came after for {rested_s:.1f} s"
        )
    busy_s = {count: count * per_request_s / core_ratio for count, per_request_s in cpu_s.items()}
    sustained_per_s = core_ratio / cpu_s[CONNECTIONS[-1]]
    return Measured(busy_s, max(0.0, lone_ms - 1000 * busy_s[1]), sustained_per_s, core_ratio)


def rest(running: Running) -> float:
    """Wait until the server has nothing left to do, e.g. the ledger is sequenced; return the seconds that took."""
    begun_s = time.monotonic()
    while True:
        before_s, at_s = running.cpu_s(), time.monotonic()
        time.sleep(REST_S)
        used_ratio = (running.cpu_s() - before_s) / (time.monotonic() - at_s)
        if used_ratio < IDLE_RATIO or time.monotonic() - begun_s > MOST_REST_S:
            return time.monotonic() - begun_s


def _until(moments_s: Iterator[float], end_s: float) -> Iterator[float]:
    for at_s in moments_s:
        if at_s >= end_s:
            return
        yield at_s


def _real(
    running: Running, moments_s: Sequence[float], slo_ms: float
) -> tuple[float, float, float, float]:
    """Return p50, good answers a second, and p99 of the real server, and how late the load generator itself was, p99."""
    phase: dict[str, Any] = {
        "moments_s": moments_s,
        "classes": [0] * len(moments_s),
        "class_headers": [[]],
        "connections": OPEN_CONNECTIONS,
        "give_up_s": GIVE_UP_S,
    }
    sent = running.load([phase])[0]
    took_ms = [
        took_ms
        for at_s, took_ms, how in zip(moments_s, sent["took_ms"], sent["ends"], strict=True)
        if at_s >= SETTLE_S and how == OK
    ]
    good = sum(one <= slo_ms for one in took_ms)
    span_s = moments_s[-1] - SETTLE_S
    late_ms = percentile(sent["late_ms"], 0.99)
    return percentile(took_ms, 0.5), good / span_s, percentile(took_ms, 0.99), late_ms


def _simulated(
    measured: Measured, moments_s: Sequence[float], end_s: float, slo_ms: float, folder: Path
) -> tuple[float, float, float]:
    """Return the same of the simulator, on the same moments."""
    arrivals, service = folder / f"arrivals-{id(moments_s)}.csv", folder / "service.csv"
    _write(arrivals, ["at_s"], [[at_s] for at_s in moments_s])
    rows = [[count, busy_s] for count, busy_s in measured.busy_s.items()]
    _write(service, ["batch_size", "seconds"], rows)
    first_s = moments_s[0]  # a recording begins at its first moment
    report = simulate(
        Scenario(
            duration_s=moments_s[-1] - first_s,
            warm_up_s=SETTLE_S,
            arrivals=Replay(file=arrivals, column="at_s"),
            points=(Point(name="tabular", model="trees", deadline_ms=DEADLINE_MS, slo_ms=slo_ms),),
            models=(Model(name="trees", service={"cpu": Recorded(file=_fresh(service))}),),
            devices=(Devices(name="server", count=1, delay_ms=measured.delay_ms),),
            policy=Policy(max_batch=64),
        )
    )
    whole = report.whole
    return whole.p50_ms or 0.0, whole.goodput_per_s, whole.p99_ms or 0.0


def _fresh(path: Path) -> Path:
    """Return a name that was not read before: what was read is remembered by name."""
    fresh = path.with_name(f"{path.stem}-{len(list(path.parent.iterdir()))}.csv")
    return path.rename(fresh)


def _write(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
