"""The servers that `bench serve` and `bench burst` ask: how each is made ready, started, spoken to and ended.

Each runs on the first core with all that it starts, the load generator on the second; with a single core they share it,
and the report says so. A server is ready when it has answered a question rightly, and it is ended by its own process id;
what it started and left behind is ended one by one.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.echo import ANSWER_BYTES
from bench.rounds import ROOT
from bench.tabular import DIGITS, Slot, Truth, drawn, flat

POINT_FILE = ROOT / "bench" / "tabular_point.py"
POINT = "tabular"
READY_S = 150.0
END_S = 20.0
MOST_OFF = 1e-5
LOAD_S = 600.0
Way = tuple[str | int, ...]


@dataclass(frozen=True)
class Server:
    """One server.

    Attributes:
        family: Several ways to run one peer share it.
        package: Whose version stands in the report.
        venv: Folder of its environment, below the checkout.
        command: model, port, folder -> the words after the interpreter.
        slots: A drawn row -> the question as this server wants it.
        score: Way to the score in its answer; none: it says no score.
        mark: What every good answer holds.
        settings: How it is set, for the report.
        settle_s: How long it needs after its first answer until it is done with its own start.
    """

    name: str
    family: str
    package: str
    venv: str
    command: Callable[[Path, int, Path], Sequence[object]]
    path: str = "/score"
    slots: Callable[[Sequence[str]], Slot] = flat
    score: Way = ("score",)
    mark: str = '"score"'
    settings: str = ""
    settle_s: float = 0.0
    environ: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[Path, Path], None] = lambda model, folder: None

    @property
    def python(self) -> Path:
        return ROOT / self.venv / "bin" / "python"

    @property
    def is_installed(self) -> bool:
        """Whether its environment was made, whole: the mark is set when the last package is in."""
        return self.venv == ".venv" or (ROOT / self.venv / ".installed").exists()


def prepare_opsrail(model: Path, folder: Path) -> None:
    """Make an installation in which the model is live."""
    folder.mkdir()
    asyncio.run(_promoted(model.read_bytes(), folder))


async def _promoted(artifact: bytes, folder: Path) -> None:
    from opsrail.app import build
    from opsrail.cases.loader import load_file
    from opsrail.config import Config
    from opsrail.registry.rollout import Stage

    async with build(Config(), folder, load_file(POINT_FILE)).opened() as app:
        version = await app.registry.register(
            POINT, artifact, runtime="onnx", training_digest="sha256:" + "0" * 64, by="bench"
        )
        await app.registry.promote(POINT, version, Stage.LIVE, by="bench", reason="to be measured")


async def recorded(folder: Path) -> int:
    """Return how many decisions stand in an installation that was ended."""
    from opsrail.app import NOTHING, build
    from opsrail.config import Config
    from opsrail.values.decisions import DecisionRow

    async with build(Config(), folder, NOTHING).opened() as app:
        return (await app.store.count(DecisionRow)).get((), 0)


OPSRAIL = Server(
    "opsrail",
    "opsrail",
    "opsrail",
    ".venv",
    lambda model, port, folder: (
        "-m", "opsrail", "serve", POINT_FILE, "--port", port, "--data", folder,
    ),
    path=f"/v1/decisions/{POINT}",
    mark='"degraded":false',
    settings="opsrail serve: policy, features with provenance, cache (on, never hit), breaker, record in SQLite "
    "(write-ahead log, synchronous=FULL) before the answer, ledger",
    prepare=prepare_opsrail,
)  # fmt: skip
ECHO = Server(
    "echo",
    "echo",
    "opsrail",
    ".venv",
    lambda model, port, folder: ("-m", "bench.echo", port, ANSWER_BYTES),
    score=(),
    mark='"echo"',
    settings="opsrail's own HTTP server, an answer of the same size, no work",
)


@dataclass
class Running:
    """A server that answers.

    Attributes:
        ready_s: From its start to its first right answer.
        asked: What the load generator must know of it.
        answer_bytes: Length of its first answer's body.
    """

    server: Server
    process: subprocess.Popen[bytes]
    truth: Truth
    asked: dict[str, Any]
    ready_s: float
    answer_bytes: int
    next_number: int = 1

    def load(self, phases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Run the load generator through some phases, on its own core; check sampled answers; return what it found."""
        plan = {"asked": self.asked | {"first": self.next_number}, "phases": phases}
        with on_core(LOAD_CORE):
            done = subprocess.run(
                [sys.executable, "-m", "bench.load"],
                cwd=ROOT,
                input=json.dumps(plan),
                stdout=subprocess.PIPE,
                text=True,
                timeout=LOAD_S,
                check=True,
            )
        found: list[dict[str, Any]] = json.loads(done.stdout)
        for phase in found:
            self.check(phase.pop("samples"))
            self.next_number += phase.get("asked_count") or len(phase["ends"])
        return found

    def check(self, samples: Sequence[tuple[int, str]]) -> None:
        """Hold sampled answers against the model itself. Raises SystemExit when one is wrong."""
        if not self.server.score or not samples:
            return
        right = self.truth.scores([number for number, _ in samples])
        for (number, body), expected in zip(samples, right, strict=True):
            if abs(score_in(body, self.server.score) - expected) > MOST_OFF:
                raise SystemExit(
                    f"{self.server.name} answered question {number} with {body[:300]}, the model says {expected}"
                )

    def cpu_s(self) -> float:
        """Return the CPU that the server and all that it started have used, of those that still run."""
        return sum(map(_cpu_s, [self.process.pid, *descendants(self.process.pid)]))

    def memory_mib(self) -> float:
        """Return the resident memory of the server and all that it started; shared pages count for each."""
        return sum(map(_memory_mib, [self.process.pid, *descendants(self.process.pid)]))


@contextmanager
def started(server: Server, model: Path, folder: Path) -> Iterator[Running]:
    """Start a server, wait until it answers rightly, and end it.

    Args:
        folder: Does not exist yet; where a server that keeps something keeps it.

    Raises:
        SystemExit: it ended, did not answer in time, or answered wrongly; what it said last is in the message.
    """
    server.prepare(model, folder)
    port = free_port()
    output = folder.with_suffix(".log")
    command = [str(server.python), *map(str, server.command(model, port, folder))]
    begun_s = time.monotonic()
    with output.open("wb") as log, on_core(SERVER_CORE):
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **server.environ},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        asked = {
            "host": "127.0.0.1",
            "port": port,
            "path": server.path,
            "slots": [server.slots(row) for row in drawn()],
            "mark": server.mark,
            "digits": DIGITS,
        }
        truth = Truth(model)
        try:
            body = _first_answer(server, process, asked)
        except TimeoutError as late:
            said = output.read_text("utf-8", "replace")[-3000:]
            raise SystemExit(f"{server.name}: {late}; it said last:\n{said}") from None
        found = Running(server, process, truth, asked, time.monotonic() - begun_s, len(body))
        found.check([(0, body)])
        time.sleep(server.settle_s)
        yield found
    finally:
        end(process)


def _first_answer(
    server: Server, process: subprocess.Popen[bytes], asked: Mapping[str, Any]
) -> str:
    before, after = asked["slots"][0]
    request = urllib.request.Request(
        f"http://127.0.0.1:{asked['port']}{server.path}",
        (before + "0" * DIGITS + after).encode(),
        {"content-type": "application/json"},
    )
    end_s = time.monotonic() + READY_S
    fault = "nothing was heard"
    while time.monotonic() < end_s:
        if process.poll() is not None:
            raise TimeoutError(f"ended with status {process.returncode} before it answered")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                body: str = answer.read().decode()
            if server.mark in body:
                return body
            fault = body[:500]
        except OSError as wrong:
            fault = str(wrong)
        time.sleep(0.1)
    raise TimeoutError(f"was not ready within {READY_S:.0f} s ({fault})")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server as its operator would; what does not end by then, it and what it started, is killed by its id."""
    below = {pid: _begun(pid) for pid in descendants(process.pid)}
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
    if process.poll() is None:
        process.kill()
        process.wait()
    for pid, begun in below.items():
        if begun and _begun(pid) == begun:  # an id may meanwhile be another process's
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def score_in(body: str, way: Way) -> float:
    """Return the score that an answer holds."""
    found: Any = json.loads(body)
    for part in way:
        found = found[part]
    return float(found)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# -- cores and processes; Linux tells them, elsewhere nothing is pinned and nothing is counted -----------------------------


def _cores() -> tuple[int | None, int | None]:
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1 % len(allowed)]


SERVER_CORE, LOAD_CORE = _cores()


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Give what is started meanwhile, and all that it starts, this core alone."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def descendants(pid: int) -> list[int]:
    """Return the processes that a process started, and that these started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):
            for child in map(int, (task / "children").read_text().split()):
                found += [child, *descendants(child)]
    return found


def _status(pid: int) -> list[str]:
    """Return what the system says of a process, from its state on; nothing when it ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def _begun(pid: int) -> str:
    return (_status(pid) or [""] * 20)[19]


def _cpu_s(pid: int) -> float:
    said = _status(pid) or ["0"] * 13
    return (int(said[11]) + int(said[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mib(pid: int) -> float:
    with suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return 0.0
