"""Calls of `opsrail` that do not wait for its imports: a process that has imported it all forks for each.

What runs is the command itself, in a process of its own, with its own folder, environment, output and exit status; only the
0.7 s of CPU are saved that every start of the interpreter and its imports costs.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from tests.support.served import ROOT


class Ended(NamedTuple):
    """What a call gave."""

    status: int
    out: str
    err: str


class Forking:
    """The process that forks. One call at a time: who finds it busy starts a process in the usual way."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forking"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", ROOT)))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def call(
        self, args: Sequence[str], folder: Path, environ: Mapping[str, str], limit_s: float
    ) -> Ended:
        """Call `opsrail` in a folder and wait for its end.

        Raises:
            TimeoutError: it did not end in time; it was killed.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryDirectory() as kept:
            out, err = Path(kept, "out"), Path(kept, "err")
            wish = {"args": [*args], "folder": str(folder), "environ": {**environ}}
            wish |= {"out": str(out), "err": str(err)}
            self._process.stdin.write(json.dumps(wish) + "\n")
            self._process.stdin.flush()
            if not select.select([self._process.stdout], [], [], limit_s)[0]:
                self.close()
                raise TimeoutError(f"opsrail {' '.join(args)} did not end within {limit_s:g} s")
            status = int(self._process.stdout.readline())
            return Ended(status, out.read_text("utf-8"), err.read_text("utf-8"))

    def close(self) -> None:
        """End it, and what it forked."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


@contextmanager
def forking() -> Iterator[Forking]:
    """Keep a process that forks for as long as the block lasts."""
    process = Forking()
    try:
        yield process
    finally:
        process.close()


def serve() -> None:
    """Fork for each line of stdin; tell each exit status on stdout."""
    from opsrail.cli.main import COMMANDS, main

    for place, _ in COMMANDS.values():
        import_module(place.partition(":")[0])
    import_module("opsrail.app")
    gc.freeze()  # a collection in a fork would copy every page
    for line in sys.stdin:
        wish = json.loads(line)
        if (child := os.fork()) == 0:
            _become(wish)
            _end(main())
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _end(status: int) -> None:
    """End as the interpreter does, but for taking every module apart, which costs as much as a short command."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(ValueError):  # it was closed, as nobody reads it
            stream.flush()
    os._exit(status)


def _become(wish: Mapping[str, object]) -> None:
    """Have this process be as one that was started for a call."""
    for number, name, how in (
        (0, os.devnull, os.O_RDONLY),
        (1, wish["out"], 0),
        (2, wish["err"], 0),
    ):
        file = os.open(str(name), how or os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(file, number)
        os.close(file)
    folder, environ, args = wish["folder"], wish["environ"], wish["args"]
    assert isinstance(folder, str)
    assert isinstance(environ, dict)
    assert isinstance(args, list)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.path[0] = folder
    sys.argv[1:] = args


if __name__ == "__main__":
    serve()
