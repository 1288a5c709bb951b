"""What one server takes for a request, found from loads that `bench simulator` does not compare.

Three loads tell it: closed loops with 16 and 64 connections, and an open loop at 10% of what the server can keep up with.
CPU is counted by thread: the event loop's, and all others', which commit. What a batch costs is timed beside the server.

- `later_ms`: times far above the usual with 16 connections, when the loop stands still (the ledger gives places).
- `request_ms`, `record_ms`, `answer_ms` together: CPU of the loop with 64 connections, when many share a turn.
- `commit`: CPU of the other threads at both ends, by the size of groups.
- `first_ms`: so that the simulated CPU of a request at 10% is the measured one. `turn_ms` is a guess.
- `sync`: so that the simulated p50 at 10% is the measured one.
"""

from __future__ import annotations

import csv
import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.figures import percentile
from bench.servers import Running
from bench.tabular import NAMES
from opsrail.connect.catalog import runtimes
from opsrail.lab import (
    Devices,
    Line,
    Model,
    Point,
    Policy,
    Replay,
    Report,
    Scenario,
    Server,
    simulate,
)
from opsrail.ports import LoadedModel
from opsrail.values.canonical import digest

DEADLINE_MS = 1_000.0
"""Of the point in `tabular_point.py`."""
SETTLE_S = 0.5
"""Begin of an open loop that does not count: connections are opened in it."""
STALL_MS = 10.0
"""A closed loop's request that takes so much longer than the usual one met a loop that stood still."""
PARTS = (0.5, 0.2, 0.3)
"""Of the CPU of a request: taking it in, writing it down, answering. A guess; the sum is measured."""
TURN_MS = 0.01
"""A guess: 2 us for a turn of uvloop alone, warm, and the code around it."""
MANY, TIMED_S = 64, 0.2
STEPS = 12
"""Halvings of an interval: to a four-thousandth of it."""


def undisturbed(pid: int) -> bool:
    """Let a server's threads go before all other work on their core, those that commit first; False: not permitted.

    A thread that slept goes before one that ran on a machine of its own, too; among neighbours only this way.
    """
    with suppress(PermissionError, AttributeError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            number = int(task.name)
            rank = os.sched_param(1 if number == pid else 2)
            os.sched_setscheduler(number, os.SCHED_RR, rank)
        return True
    return False


@contextmanager
def ahead() -> Iterator[None]:
    """Let this process, and the load generator that it starts, go before most other work while the block runs."""
    group = Path("/proc/self/autogroup")
    with suppress(OSError):
        group.write_text("-19")
    try:
        yield
    finally:
        with suppress(OSError):
            group.write_text("0")


@dataclass(frozen=True)
class Used:
    """What a load took of the server, a request.

    Attributes:
        loop_ms: CPU of the event loop.
        other_ms: CPU of all other threads.
        group: Requests that a commit made durable, on average.
        strangers_ms: Time that the loop waited for the core while none of the server's own threads had it.
        took_ms: Of each answer.
    """

    loop_ms: float
    other_ms: float
    group: float
    strangers_ms: float
    took_ms: Sequence[float]

    @property
    def cpu_ms(self) -> float:
        return self.loop_ms + self.other_ms


class Meter:
    """Counts what a server uses from its making on."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._loop_s, self._other_s, self._waited_s = self._cpu_s()
        self._sent, self._groups = self._committed()

    def used(self, asked_count: int, took_ms: Sequence[float]) -> Used:
        """Return what so many requests used."""
        loop_s, other_s, waited_s = self._cpu_s()
        sent, groups = self._committed()
        loop_ms, other_ms, waited_ms = (
            1000 * spent_s / asked_count
            for spent_s in (
                loop_s - self._loop_s,
                other_s - self._other_s,
                waited_s - self._waited_s,
            )
        )
        group = (sent - self._sent) / max(1.0, groups - self._groups)
        return Used(loop_ms, other_ms, group, max(0.0, waited_ms - other_ms), took_ms)

    def _cpu_s(self) -> tuple[float, float, float]:
        """Return the CPU of the loop and of all other threads, and for how long the loop waited for the core."""
        pid = self._running.process.pid
        loop_s = other_s = waited_s = 0.0
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                ran_ns, waited_ns = map(int, (task / "schedstat").read_text().split()[:2])
                if int(task.name) == pid:
                    loop_s, waited_s = ran_ns / 1e9, waited_ns / 1e9
                else:
                    other_s += ran_ns / 1e9
        return loop_s, other_s, waited_s

    def _committed(self) -> tuple[float, float]:
        told = stats(self._running)
        sent = told["windows"]["300s"]["decisions"]
        return sent, sent / max(1.0, told["mean_group"])


def stats(running: Running) -> dict[str, Any]:
    """Return what the server says of itself."""
    address = f"http://{running.asked['host']}:{running.asked['port']}/v1/stats"
    with urllib.request.urlopen(address, timeout=10) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


@dataclass(frozen=True)
class Calibrated:
    """A server for a scenario."""

    server: Server
    model: Line

    def with_server(self, **values: object) -> Calibrated:
        """Return it with other values of the server."""
        return replace(self, server=self.server.model_copy(update=values))

    def replayed(
        self, moments_s: Sequence[float], slo_ms: float, folder: Path
    ) -> tuple[Report, float]:
        """Return what the simulator says of some arrivals, and the CPU of a request in it, milliseconds."""
        arrivals = (
            folder / f"arrivals-{len(list(folder.iterdir()))}.csv"
        )  # what was read is remembered by name
        with arrivals.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["at_s"], *([at_s] for at_s in moments_s)])
        span_s = moments_s[-1] - moments_s[0]  # a recording begins at its first moment
        report = simulate(
            Scenario(
                duration_s=span_s,
                warm_up_s=SETTLE_S,
                arrivals=Replay(file=arrivals, column="at_s"),
                points=(
                    Point(name="tabular", model="trees", deadline_ms=DEADLINE_MS, slo_ms=slo_ms),
                ),
                models=(Model(name="trees", service={"cpu": self.model}),),
                devices=(Devices(name="server", count=1, server=self.server),),
                policy=Policy(max_batch=64),
            )
        )
        used_s = report.devices["server"].used_ratio * span_s
        return report, 1000 * used_s / len(moments_s)


def stalled_ms(took_ms: Sequence[float], connections: int) -> float:
    """Return for how long a closed loop's requests met a loop that stood still, a request."""
    usual_ms = percentile(took_ms, 0.5)
    over_ms = [one_ms - usual_ms for one_ms in took_ms if one_ms > usual_ms + STALL_MS]
    return sum(over_ms) / connections / len(took_ms)


@dataclass(frozen=True)
class Opened:
    """An open loop: the moments of its requests, and what it took."""

    moments_s: Sequence[float]
    used: Used


def calibrated(
    model: Line, few: tuple[int, Used], many: Used, tenth: Opened, folder: Path
) -> Calibrated:
    """Return the server that took what was measured.

    Args:
        model: What batches cost.
        few: Connections of a closed loop with a few, and what it took.
        many: What a closed loop that kept the core busy took.
        tenth: An open loop at a tenth of that.
    """
    plain = plainly(model, few, many, tenth.used)

    def with_first(first_ms: float) -> Calibrated:
        return plain.with_server(first_ms=first_ms)

    def cpu_ms(first_ms: float) -> float:
        return with_first(first_ms).replayed(tenth.moments_s, DEADLINE_MS, folder)[1]

    turning = with_first(solved(cpu_ms, tenth.used.cpu_ms, 0.5))

    def with_sync(sync_ms: float) -> Calibrated:
        return turning.with_server(sync=Line(fixed_ms=sync_ms, row_ms=0, noise_ratio=0))

    def p50_ms(sync_ms: float) -> float:
        report, _ = with_sync(sync_ms).replayed(tenth.moments_s, DEADLINE_MS, folder)
        return report.whole.p50_ms or 0.0

    return with_sync(solved(p50_ms, percentile(tenth.used.took_ms, 0.5), 10.0))


def batches(model: Path) -> Line:
    """Return what batches of a model cost, in this process. Milliseconds of CPU."""
    artifact = model.read_bytes()
    loaded = runtimes()["onnx"].load(artifact, digest(artifact))
    rows: list[Mapping[str, object]] = [dict.fromkeys(NAMES, place / MANY) for place in range(MANY)]
    one_ms, many_ms = (_timed_ms(loaded, rows[:count]) for count in (1, MANY))
    row_ms = max(0.0, (many_ms - one_ms) / (MANY - 1))
    return Line(fixed_ms=one_ms - row_ms, row_ms=row_ms, noise_ratio=0)


def _timed_ms(model: LoadedModel, rows: list[Mapping[str, object]]) -> float:
    begun_s, count = time.process_time(), 0
    while (spent_s := time.process_time() - begun_s) < TIMED_S:
        model.score(rows)
        count += 1
    return 1000 * spent_s / count


def plainly(model: Line, few: tuple[int, Used], many: Used, lone: Used) -> Calibrated:
    """Return the server without what turns and the disk cost."""
    group_ms = (lone.other_ms - many.other_ms) / (1 / lone.group - 1 / many.group)
    row_ms = max(0.0, many.other_ms - group_ms / many.group)
    later_ms = stalled_ms(few[1].took_ms, few[0])
    rest_ms = many.loop_ms - later_ms - model.fixed_ms / many.group - model.row_ms
    request_ms, record_ms, answer_ms = (part * rest_ms for part in PARTS)
    server = Server(
        turn_ms=TURN_MS,
        request_ms=request_ms,
        record_ms=record_ms,
        answer_ms=answer_ms,
        commit=Line(fixed_ms=group_ms, row_ms=row_ms, noise_ratio=0),
        later_ms=later_ms,
    )
    return Calibrated(server, model)


def solved(figure: Callable[[float], float], wanted: float, most: float) -> float:
    """Return where between 0 and `most` a figure that rises is as wanted; an end where it is nowhere."""
    least = 0.0
    for _ in range(STEPS):
        middle = (least + most) / 2
        if figure(middle) < wanted:
            least = middle
        else:
            most = middle
    return (least + most) / 2
