"""The command as a user calls it: a child process, real files, a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.forking import Forking, forking

LIMIT_S = 120
AUTOMATION = """
from pathlib import Path
from pydantic import BaseModel, Field
from opsrail import Automation, Case

class Order(BaseModel):
    order: str = Field(min_length=1, max_length=20)
    amount: float = Field(gt=0, le=1000)
    note: str | None = None

class Paid(BaseModel):
    by: str

orders = Automation("orders", case=Order, outcome=Paid)

@orders.action()
def pay(key: str, order: str) -> str:
    with Path("paid.log").open("a") as file:
        file.write(f"{order} {key}\\n")
    return "ok"

@orders.run
async def handle(case: Case, order: Order) -> Paid:
    if order.note == "fails":
        raise ValueError("this note cannot be handled")
    by = "rule"
    if order.amount > 500:
        by = (await case.review("desk")).ruled_by
    await case.act(pay, order.order)
    return Paid(by=by)
"""


@dataclass(frozen=True)
class Ended:
    """What a call gave."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


class Shell:
    """A folder in which `opsrail` is called.

    Attributes:
        folder: The working folder.
    """

    def __init__(self, folder: Path, forking: Forking | None = None) -> None:
        self.folder = folder
        self._forking = forking
        self._begun: list[subprocess.Popen[str]] = []

    def __call__(self, *args: str, env: Mapping[str, str] | None = None) -> Ended:
        """Call `opsrail` and wait for its end."""
        forks, plain = self._forking, all(name.startswith("OPSRAIL_") for name in env or ())
        if forks is not None and plain and forks.lock.acquire(blocking=False):
            try:
                environ = {**os.environ, **(env or {})}
                return Ended(*forks.call(args, self.folder, environ, LIMIT_S))
            finally:
                forks.lock.release()
        process = self.begin(*args, env=env)
        out, err = process.communicate(timeout=LIMIT_S)
        return Ended(process.returncode, out, err)

    def begin(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Call `opsrail` and go on meanwhile."""
        process = subprocess.Popen(
            [sys.executable, "-m", "opsrail", *args],
            cwd=self.folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._begun.append(process)
        return process

    def reviews(self, count: int) -> list[dict[str, Any]]:
        """Return the reviews, as soon as there are so many."""
        until_s = time.monotonic() + LIMIT_S
        while time.monotonic() < until_s:
            found: list[dict[str, Any]] = self("reviews", "list", "--json").json.get("reviews", [])
            if len(found) >= count:
                return found
            time.sleep(0.1)
        raise TimeoutError(f"there are no {count} reviews")

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file into the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def orders(self, count: int, *, amount: float = 10, name: str = "orders.csv") -> Path:
        """Write a CSV of so many good orders."""
        rows = "".join(f"O-{number},{amount},\n" for number in range(count))
        return self.write(name, f"order,amount,note\n{rows}")

    def run(self, name: str, *args: str, env: Mapping[str, str] | None = None) -> Ended:
        """Call `opsrail run` on an input file, with `--json`."""
        return self("run", "automation.py", "--input", name, "--json", *args, env=env)

    def paid(self) -> list[str]:
        """Return the orders that were paid, as often as they were."""
        log = self.folder / "paid.log"
        return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []

    def close(self) -> None:
        """End what still runs."""
        for process in self._begun:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate(timeout=LIMIT_S)


@pytest.fixture(scope="session")
def forks() -> Iterator[Forking]:
    """What most calls of the run come from."""
    with forking() as process:
        yield process


@pytest.fixture
def shell(tmp_path: Path, forks: Forking) -> Iterator[Shell]:
    """A folder with an automation that pays orders, and asks a person about those above 500."""
    shell = Shell(tmp_path, forks)
    shell.write("automation.py", AUTOMATION)
    yield shell
    shell.close()
