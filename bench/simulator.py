"""The simulator held against the real server: the same arrivals at three loads, p50 and goodput of both.

One server, opsrail with everything on, is first asked in loads that are not compared; from them the simulator gets its one
server (`calibrated.py`). Then requests come in an open loop at shares of what the server can keep up with, and the same
moments are replayed in virtual time. Both count an answer as good within the objective. Nothing is fitted to a load that is
compared.

The server has one core and the load generator the other. Other work on the server's core, which no simulator knows, is told
as `strangers_ratio_*`; with `--undisturbed` the server goes before it. `--folder /dev/shm` leaves the disk out: the
system's own threads that write would wait behind an undisturbed server.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import accumulate, repeat
from pathlib import Path
from statistics import median
from typing import Any

from bench.calibrated import (
    SETTLE_S,
    Calibrated,
    Meter,
    Opened,
    Used,
    ahead,
    batches,
    calibrated,
    undisturbed,
)
from bench.figures import Report, machine, percentile, rounded, say
from bench.servers import LOAD_CORE, OPSRAIL, SERVER_CORE, Running, started
from bench.tabular import write_model

FEW, MANY = 16, 64
"""Connections of the closed loops."""
TENTH = 0.1
"""Share of the open loop that calibrates."""
WARM_S = 1.0
GIVE_UP_S = 2.0
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
    parser.add_argument(
        "--undisturbed",
        action="store_true",
        help="the server goes before all other work on its core (real-time class; needs the right to)",
    )


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
    return Report("simulator", figures, targets=targets, machine=taken_on)


def one_round(
    model: Path, folder: Path, asked: argparse.Namespace, seed: int
) -> Iterator[tuple[str, float]]:
    """Yield the figures of one server's life."""
    before = ahead() if asked.undisturbed else nullcontext()
    with started(OPSRAIL, model, folder) as running, before:
        warm = {"connections": FEW, "warm_s": WARM_S, "seconds": WARM_S}
        running.load([warm])
        if asked.undisturbed and not undisturbed(running.process.pid):
            raise SystemExit("--undisturbed: this user may not set a real-time class")
        few, many = closed(running, FEW, asked.seconds), closed(running, MANY, asked.seconds)
        capacity_per_s = 1000 / many.cpu_ms
        yield "capacity_per_s", capacity_per_s
        tenth = opening(running, TENTH * capacity_per_s, asked.seconds, f"{seed}/{TENTH}")
        place = folder.parent / f"arrivals-{seed}"
        place.mkdir()
        found = calibrated(batches(model), (FEW, few), many, tenth, place)
        yield from told(found)
        for share in asked.loads:
            one = opening(running, share * capacity_per_s, asked.seconds, f"{seed}/{share}")
            for name, value in compared(found, one, asked.slo_ms, place):
                yield name.format(f"{100 * share:.0f}"), value


def told(found: Calibrated) -> Iterator[tuple[str, float]]:
    """Yield what was calibrated."""
    server = found.server
    say(f"calibrated: {server}, {found.model}")
    for name in ("turn", "first", "request", "record", "answer", "later"):
        yield f"{name}_us", 1000 * getattr(server, f"{name}_ms")
    for name, line in (("commit", server.commit), ("batch", found.model)):
        yield f"{name}_us", 1000 * line.fixed_ms
        yield f"{name}_row_us", 1000 * line.row_ms
    yield "sync_us", 1e6 * server.sync.mean_s(1)


def compared(
    found: Calibrated, one: Opened, slo_ms: float, folder: Path
) -> Iterator[tuple[str, float]]:
    """Yield figures of both for one load; `{}` in a name stands for the load."""
    report, cpu_ms = found.replayed(one.moments_s, slo_ms, folder)
    used, simulated = one.used, report.whole
    span_s = one.moments_s[-1] - SETTLE_S
    good_per_s = sum(one_ms <= slo_ms for one_ms in used.took_ms) / span_s
    p50_ms, simulated_ms = percentile(used.took_ms, 0.5), simulated.p50_ms or 0.0
    rate_per_s = len(one.moments_s) / one.moments_s[-1]
    say(
        f"{rate_per_s:,.0f}/s: p50 {p50_ms:.2f} ms, simulated {simulated_ms:.2f}; "
        f"good {good_per_s:,.0f}/s, {simulated.goodput_per_s:,.0f}"
    )
    yield "real_cpu_{}_us", 1000 * used.cpu_ms
    yield "simulated_cpu_{}_us", 1000 * cpu_ms
    yield "busy_{}_ratio", rate_per_s * used.cpu_ms / 1000
    yield "strangers_ratio_{}", rate_per_s * used.strangers_ms / 1000
    yield "real_p50_{}_ms", p50_ms
    yield "simulated_p50_{}_ms", simulated_ms
    yield "real_p99_{}_ms", percentile(used.took_ms, 0.99)
    yield "simulated_p99_{}_ms", simulated.p99_ms or 0.0
    yield "real_goodput_{}_per_s", good_per_s
    yield "simulated_goodput_{}_per_s", simulated.goodput_per_s
    yield "ratio_p50_{}", simulated_ms / p50_ms
    yield "ratio_goodput_{}", simulated.goodput_per_s / max(good_per_s, 1e-9)


def closed(running: Running, connections: int, seconds: float) -> Used:
    """Ask in a closed loop; return what that took."""
    rest(running)
    meter = Meter(running)
    phase = {"connections": connections, "warm_s": 0.0, "seconds": seconds}
    found = running.load([phase])[0]
    if found["error_count"]:
        raise SystemExit(f"the server answered with faults: {found['errors']}")
    used = meter.used(found["asked_count"], found["took_ms"])
    say(
        f"{connections} at once: {len(found['took_ms']) / seconds:,.0f}/s, {used.cpu_ms:.3f} ms CPU"
    )
    return used


def opening(running: Running, rate_per_s: float, seconds: float, seed: str) -> Opened:
    """Ask in an open loop; return its moments, and what it took. What came before `SETTLE_S` has no time in it."""
    chance = random.Random(seed)
    gaps = (chance.expovariate(rate_per_s) for _ in repeat(None))
    moments_s = list(_until(accumulate(gaps), SETTLE_S + seconds))
    phase: dict[str, Any] = {
        "moments_s": moments_s,
        "classes": [0] * len(moments_s),
        "class_headers": [[]],
        "connections": OPEN_CONNECTIONS,
        "give_up_s": GIVE_UP_S,
    }
    rest(running)
    meter = Meter(running)
    sent = running.load([phase])[0]
    took_ms = [
        took_ms
        for at_s, took_ms, how in zip(moments_s, sent["took_ms"], sent["ends"], strict=True)
        if at_s >= SETTLE_S and how == OK
    ]
    return Opened(moments_s, meter.used(len(moments_s), took_ms))


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
