"""Workers that a test starts, kills, freezes and asks; and the load client that remembers what it was promised.

Only processes started here are ever signalled, by their own id.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opsrail.app import DATABASE, KEY_FILE
from opsrail.clock import SystemClock
from opsrail.ledger.chain import WriterChain
from opsrail.ledger.keys import load_signer
from opsrail.ports import Store
from opsrail.store.catalog import open_store
from opsrail.values.rows import Where
from tests.support.invariants import Evidence, broken_promises

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 45.0
"""How long a test waits for anything before it fails with the workers' logs."""
PASSWORD = "canary-password-51d0"
"""Part of every PostgreSQL url here; the server does not ask for it, and no log may hold it."""
LOOK_S = 0.05


@dataclass
class Site:
    """One installation under test.

    Attributes:
        folder: The installation's.
        traces: Where cases note what they do; never on the disk that is made to fail.
        url: Of PostgreSQL; empty for SQLite.
        settings: Further environment of workers.
        acknowledged: What the load client was promised: case ids by key.
        wanted: What it asked for: inputs by key.
        notes: Every external checkpoint seen so far.
        kills: Workers that ended without goodbye.
    """

    folder: Path
    traces: Path
    url: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    acknowledged: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, dict[str, Any]] = field(default_factory=dict)
    from_files: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    kills: int = 0

    def environment(self, crash_at: str, url: str) -> dict[str, str]:
        url = self.url if url == "" else url
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPSRAIL_STORE__URL": url.replace("@", f":{PASSWORD}@", 1),
            "OPSRAIL_CRASH_AT": crash_at,
            **self.settings,
        }

    @asynccontextmanager
    async def worker(
        self, *, crash_at: str = "", stop_at: str = "", url: str = "", serves: bool = False
    ) -> AsyncIterator[Child]:
        """Run one worker while the block lasts; it leaves in order at the end, if it still lives.

        Args:
            crash_at: `point:n` at which it kills itself.
            stop_at: `point:n` at which it freezes (SIGSTOP).
            url: Stands in for the site's, e.g. that of a proxy.
            serves: Whether it answers HTTP, too; it says `serving` with its url.
        """
        number = len(list(self.traces.glob("worker-*.log")))
        child = await Child.start(
            self, number, crash_at, url, [stop_at, "serves" if serves else ""]
        )
        try:
            yield child
        except BaseException:
            await child.kill()
            raise
        await child.leave()

    @asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        """Open the rows beside the workers."""
        clock = SystemClock()
        self.folder.mkdir(exist_ok=True)
        store, _ = open_store(
            self.url, self.folder / DATABASE, WriterChain(clock), clock, exclusive=False
        )
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    def see_checkpoint(self) -> None:
        """Remember the checkpoint that stands outside the database now."""
        with suppress(FileNotFoundError):
            note = (self.folder / "checkpoint.note").read_text("utf-8")
            if note not in self.notes:
                self.notes.append(note)

    def trace(self, name: str) -> list[dict[str, Any]]:
        """Return what the cases noted, in order."""
        path = self.traces / name
        return (
            [json.loads(line) for line in path.read_text("utf-8").splitlines()]
            if path.exists()
            else []
        )

    async def stepped(self, count: int) -> None:
        """Wait until so many steps began in all."""
        await until(lambda: len(self.trace("steps")) >= count, f"{count} steps")

    async def stepped_after(self, at_s: float) -> float:
        """Wait until a step begins after a moment of the monotonic clock; return how long after, s."""
        await until(lambda: self.trace("steps")[-1]["at_s"] > at_s, "another step")
        return min(float(one["at_s"]) for one in self.trace("steps") if one["at_s"] > at_s) - at_s

    async def has(self, table: type[tuple[Any, ...]], *where: Where) -> None:
        """Wait until a row is there."""
        async with self.store() as store, asyncio.timeout(PATIENCE_S):
            while not await store.select(table, *where, limit=1):  # noqa: ASYNC110 - see below
                await asyncio.sleep(LOOK_S)  # rows of other processes raise no event here

    def logs(self) -> str:
        """Return what all workers logged."""
        return "".join(
            path.read_text("utf-8", "replace") for path in sorted(self.traces.glob("worker-*.log"))
        )

    async def broken_promises(self, **known: Any) -> list[str]:
        """Return every promise that does not hold now; call it when all workers have left."""
        self.see_checkpoint()
        async with self.store() as store:
            evidence = Evidence(
                verifiers=load_signer(self.folder / KEY_FILE).verifiers,
                notes=self.notes,
                wanted=self.wanted,
                acknowledged=self.acknowledged,
                steps=self.trace("steps"),
                sent=self.trace("sent"),
                secrets=(PASSWORD,),
                logs=self.logs(),
                kills=self.kills,
                **known,
            )
            return await broken_promises(store, evidence)

    async def finish(self, *, lives: int = 1) -> None:
        """Submit what is not acknowledged, with the same keys, and carry everything to rest in fresh workers."""
        for _ in range(lives):
            async with self.worker() as worker:
                await worker.submit_all()
                await worker.rest()


class Child:
    """One worker process.

    Attributes:
        id: Its worker id, once it is ready.
        pid: Of the process.
        said: Everything it said.
    """

    def __init__(self, site: Site, process: asyncio.subprocess.Process) -> None:
        self._site = site
        self._process = process
        self._news = asyncio.Condition()
        self.pid = process.pid
        self.said: list[dict[str, Any]] = []
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls, site: Site, number: int, crash_at: str, url: str, args: Sequence[str]
    ) -> Child:
        with (site.traces / f"worker-{number}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.crash.worker", str(site.folder), str(site.traces), *args,
                cwd=ROOT, env=site.environment(crash_at, url), stderr=log,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
        return cls(site, process)

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    def send(self, line: str) -> None:
        """Ask for something; a worker that is gone hears nothing."""
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(f"{line}\n".encode())

    def submit(self, key: str, **given: Any) -> None:
        """Submit a case; the site remembers it as wanted."""
        self._site.wanted[key] = {"key": key, **given}
        self.send(f"submit {json.dumps(self._site.wanted[key])}")

    def submit_again(self) -> None:
        """Submit every case that is wanted and not acknowledged."""
        for key, given in self._site.wanted.items():
            if key not in self._site.acknowledged and key not in self._site.from_files:
                self.submit(**given)

    async def submit_all(self) -> None:
        """Submit until every case that is wanted is acknowledged; a refused one is tried again."""
        while left := set(self._site.wanted) - set(self._site.acknowledged) - self._site.from_files:
            before = len(self.said)
            self.submit_again()
            await self.answered(before + len(left))

    async def said_one(self, what: str, *, after: int = 0) -> dict[str, Any]:
        """Wait until the worker says something, and return the first of it."""
        await self.until(lambda: any(one["what"] == what for one in self.said[after:]), what)
        return next(one for one in self.said[after:] if one["what"] == what)

    async def answered(self, count: int) -> None:
        """Wait until the worker has said so much in all."""
        await self.until(lambda: len(self.said) >= count, f"{count} answers")

    async def rested_or_died(self) -> bool:
        """Submit what is not acknowledged and ask for rest; return whether it came, else the worker is gone."""
        self.submit_again()
        site = self._site
        await self.until(
            lambda: site.wanted.keys() <= site.acknowledged.keys() or self._reading.done(),
            "acknowledgements or death",
        )
        self.send("rest")
        await self.until(lambda: self._has_rested or self._reading.done(), "rest or death")
        return self._has_rested

    @property
    def _has_rested(self) -> bool:
        return any(one["what"] == "rested" for one in self.said)

    async def rest(self) -> None:
        """Wait until nothing can go on by itself."""
        before = len(self.said)
        self.send("rest")
        await self.said_one("rested", after=before)

    async def until(
        self, is_so: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S
    ) -> None:
        """Wait until something the worker said makes it so.

        Raises:
            AssertionError: it does not come, or the worker ended; with the logs.
        """
        try:
            async with asyncio.timeout(timeout_s), self._news:
                await self._news.wait_for(lambda: is_so() or self._reading.done())
        except TimeoutError:
            pass
        assert is_so(), (
            f"worker {self.pid} ({self._process.returncode}) never came to: {what}\n{self._site.logs()[-6000:]}"
        )

    async def ended(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for the end of the process; return its code (-9: killed)."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._process.wait()
                await self._reading
        assert not self.is_alive, f"worker {self.pid} lives on\n{self._site.logs()[-6000:]}"
        code = self._process.returncode
        self._site.see_checkpoint()
        assert code is not None
        return code

    async def kill(self) -> None:
        """End it as a power cut does."""
        self._site.see_checkpoint()
        self._site.kills += 1
        self.signal(signal.SIGKILL)
        await self.ended()

    def signal(self, number: int) -> None:
        if self.is_alive:
            os.kill(self.pid, number)

    async def frozen(self) -> None:
        """Wait until the process stands still (SIGSTOP)."""
        status = Path(f"/proc/{self.pid}/stat")
        await until(
            lambda: status.read_text().rpartition(")")[2].split()[0] == "T",
            "the worker stands still",
        )

    async def leave(self) -> None:
        """Let it go in order; one that does not is killed."""
        if self.is_alive and self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(20):
                await self._process.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self._process.wait()
            raise AssertionError(
                f"worker {self.pid} did not leave\n{self._site.logs()[-6000:]}"
            ) from None
        finally:
            self.signal(signal.SIGKILL)
            await self._reading
            self._site.see_checkpoint()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            said = {**json.loads(line), "at_s": time.monotonic()}
            if said["what"] == "acknowledged":
                self._remember(said["key"], said["case"])
            async with self._news:
                self.said.append(said)
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()

    def _remember(self, key: str, case_id: str) -> None:
        known = self._site.acknowledged.setdefault(key, case_id)
        assert known == case_id, f"key {key} was promised as {known} and as {case_id}"


async def until(is_so: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait until something is so that nobody tells of.

    Raises:
        AssertionError: it does not come.
    """
    deadline_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline_s, f"it never came to: {what}"
        await asyncio.sleep(LOOK_S)


def refusals(said: Iterable[Mapping[str, Any]]) -> list[tuple[str, float]]:
    """Return code and time (s) of each refused submission."""
    return [(one["code"], one["took_s"]) for one in said if one["what"] == "refused"]
