"""The same model over HTTP, one row a request: opsrail with everything on, hand-written FastAPI, and model servers.

One round is a fresh process of each server in turn, on the first core with all that it starts; the load generator has the
second. Closed loop at each number of kept connections, then an open loop at a rate that is the same for all. No two
questions are alike. Every answer must have status 200 and the mark of a scored answer, a sample of them must hold the score
that the model itself gives within 1e-5, and opsrail must have recorded at least as many decisions as were answered.

The best peer is taken for each figure and round anew: the most requests a second, the shortest p99, the least CPU a
request. CPU is that of the server and all that it started, its background work too; it moves less than rates do on a busy
machine. Of a peer that can run with and without batching both are measured, and the better one counts.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bench.arrivals import poisson
from bench.figures import Report, machine, percentile, rounded, say, spread, summary
from bench.peer_servers import PEER_FAMILIES, choose, told_of, tried
from bench.servers import (
    ECHO,
    LOAD_CORE,
    OPSRAIL,
    SERVER_CORE,
    Running,
    Server,
    recorded,
    started,
)
from bench.tabular import write_model

WARM_S = 1.0
GIVE_UP_S = 2.0
LOST_OF = 1_000
OPEN_CONNECTIONS = 256
BEST = "best_peer"
TARGETS = {
    "ratio_throughput_best_peer_c8": ">= 1.5",
    "ratio_throughput_best_peer_c64": ">= 3",
    "ratio_p99_best_peer_c8": "<= 1",
    "ratio_p99_best_peer_c64": "<= 1",
    "ratio_bare_echo_c64": ">= 0.4",
    **{
        f"ratio_throughput_{family}_c8": ">= 2"
        for family in ("mlserver", "kserve", "litserve", "bentoml", "ray")
    },
}
Round = Mapping[str, Mapping[str, float]]
"""Server -> figure -> value of one round."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--peers", nargs="*", choices=sorted(PEER_FAMILIES), default=sorted(PEER_FAMILIES)
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="measured at each level")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument(
        "--rate", type=float, default=300.0, help="of the open loop, per second; 0: none"
    )
    parser.add_argument("--folder", type=Path, help="where SQLite files lie (default: temporary)")


def run(asked: argparse.Namespace) -> Report:
    """Run the rounds; put medians, spreads and ratios together."""
    taken_on = machine(asked.folder) | {"server_core": SERVER_CORE, "load_core": LOAD_CORE}
    chosen, skipped = choose(PEER_FAMILIES, asked.peers)
    servers = [OPSRAIL, ECHO, *chosen]
    rounds: list[Round] = []
    with tempfile.TemporaryDirectory(dir=asked.folder) as place:
        model = Path(place) / "model.onnx"
        write_model(model)
        for number in range(1, asked.rounds + 1):
            found: dict[str, Mapping[str, float]] = {}
            for server in [one for one in servers if one.name not in skipped]:
                measured = tried(
                    server,
                    partial(one_round, server, model, asked=asked),
                    Path(place) / f"{server.name}-{number}",
                )
                if isinstance(measured, str):
                    skipped[server.name] = {"skipped": measured}
                else:
                    found[server.name] = measured
            rounds.append(found)
    servers = [server for server in servers if server.name not in skipped]
    chosen = [server for server in chosen if server.name not in skipped]
    figures = dict(ratios(rounds, chosen, asked.connections))
    for server in servers:
        for name in rounds[0][server.name]:
            what, _, unit = name.partition("|")
            values = [one[server.name][name] for one in rounds]
            title = f"{server.name.replace('-', '_')}_{what}"
            spread = summary(title, unit, values)
            figures |= spread if asked.rounds > 1 else {f"{title}_{unit}": rounded(values[0])}
    return Report("serve", figures, told_of(servers) | skipped, TARGETS, taken_on)


def one_round(
    server: Server, model: Path, folder: Path, *, asked: argparse.Namespace
) -> dict[str, float]:
    """Start a server, load it at every level, end it; return `what|unit` -> value."""
    found: dict[str, float] = {}
    with started(server, model, folder) as running:
        found["ready|s"] = running.ready_s
        answered = 0
        for connections in asked.connections:
            told, figures = closed(running, connections, asked.seconds)
            refuse_faults(server, told)
            found |= figures
            answered += told["asked_count"] - told["error_count"]
            say(
                f"{server.name} c{connections}: {figures[f'c{connections}|per_s']:,.0f}/s, "
                f"p50 {figures[f'c{connections}_p50|ms']:.2f} ms, p99 {figures[f'c{connections}_p99|ms']:.2f} ms, "
                f"{figures[f'c{connections}_cpu|us']:.0f} us CPU"
            )
        if asked.rate:
            figures = opened(running, asked.rate, asked.seconds)
            found |= figures
            answered += round(figures["open_answered|ratio"] * asked.rate * asked.seconds) - 1
            say(
                f"{server.name} open loop {asked.rate:.0f}/s: {figures['open_answered|ratio']:.1%} answered, "
                f"p50 {figures['open_p50|ms']:.2f} ms, p99 {figures['open_p99|ms']:.2f} ms"
            )
        found["memory|mib"] = running.memory_mib()
        found["answer|bytes"] = running.answer_bytes
    if server is OPSRAIL:
        kept = asyncio.run(recorded(folder))
        assert kept >= answered, f"{answered} decisions were answered, {kept} are recorded"
    return found


def closed(
    running: Running, connections: int, seconds: float
) -> tuple[dict[str, Any], dict[str, float]]:
    """Load a server with so many connections; return what the generator told, and its figures."""
    cpu_s = running.cpu_s()
    (told,) = running.load([{"connections": connections, "warm_s": WARM_S, "seconds": seconds}])
    cpu_s = running.cpu_s() - cpu_s
    took_ms: list[float] = told["took_ms"]
    level = f"c{connections}"
    return told, {
        f"{level}|per_s": len(took_ms) / seconds,
        f"{level}_p50|ms": percentile(took_ms or [0.0], 0.5),
        f"{level}_p99|ms": percentile(took_ms or [0.0], 0.99),
        f"{level}_cpu|us": 1e6 * cpu_s / max(1, told["asked_count"]),
        f"{level}_load_busy|ratio": told["busy_ratio"],
    }


def refuse_faults(server: Server, told: Mapping[str, Any]) -> None:
    """Stop a measurement in which something went wrong: its figures would mean something else.

    A peer may lose one request in a thousand: HAProxy before Ray Serve closes connections when it takes on a new setting.
    """
    allowed = 0 if server in (OPSRAIL, ECHO) else max(1, told["asked_count"] // LOST_OF)
    if told["error_count"] > allowed or not told["took_ms"]:
        raise SystemExit(f"{server.name}: {told['error_count']} errors: {told['errors']}")


def opened(running: Running, rate: float, seconds: float) -> dict[str, float]:
    """Load a server at a rate; return the share that was answered, and when."""
    moments_s = poisson(rate, seconds, seed=7)
    (told,) = running.load(
        [
            {
                "moments_s": moments_s,
                "classes": [0] * len(moments_s),
                "class_headers": [[]],
                "connections": OPEN_CONNECTIONS,
                "give_up_s": GIVE_UP_S,
            }
        ]
    )
    took_ms = [
        took_ms for took_ms, end in zip(told["took_ms"], told["ends"], strict=True) if end == 0
    ]
    return {
        "open_answered|ratio": len(took_ms) / len(moments_s),
        "open_p50|ms": percentile(told["took_ms"], 0.5),
        "open_p99|ms": percentile(told["took_ms"], 0.99),
        "open_load_late_p99|ms": percentile(told["late_ms"] or [0.0], 0.99),
    }


def ratios(
    rounds: Sequence[Round], chosen: Sequence[Server], levels: Sequence[int]
) -> Iterator[tuple[str, float]]:
    """Yield ours over the peers', each of the same round: the median over the rounds, and the spread."""
    families: dict[str, list[str]] = {BEST: [server.name for server in chosen]}
    for server in chosen:
        families.setdefault(server.family, []).append(server.name)
    for level in levels:
        for family, names in families.items():
            if not names:
                continue
            rate, p99, cpu = f"c{level}|per_s", f"c{level}_p99|ms", f"c{level}_cpu|us"
            yield from spread(
                f"ratio_throughput_{family}_c{level}",
                [one["opsrail"][rate] / max(one[name][rate] for name in names) for one in rounds],
            )
            yield from spread(
                f"ratio_p99_{family}_c{level}",
                [one["opsrail"][p99] / min(one[name][p99] for name in names) for one in rounds],
            )
            yield from spread(
                f"ratio_cpu_{family}_c{level}",
                [one["opsrail"][cpu] / min(one[name][cpu] for name in names) for one in rounds],
            )
        yield from spread(
            f"ratio_bare_echo_c{level}",
            [one["opsrail"][f"c{level}|per_s"] / one["echo"][f"c{level}|per_s"] for one in rounds],
        )
