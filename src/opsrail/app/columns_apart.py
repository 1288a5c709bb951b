"""Reads parts of a history in a process beside this one, so that a part is read while the one before it is judged.

One interpreter does one thing at a time: handing ten million values of SQLite to Python took 3.6 s of CPU, judging them
1.9 s, and two threads of one process took the sum of both (bench backtest).
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson
import pyarrow

from opsrail.app.columns_child import BOOT, send, take
from opsrail.errors import Unavailable

CLOSE_S = 5.0
"""Time the child has to end once its input is closed, before it is killed. Ours."""


class ColumnsApart:
    """A child that reads, started when it is first asked for.

    Args:
        url: `store.url`; it goes to the child through its input, never among its arguments, where others could read it.
        file: The database's file, where the URL is empty.
    """

    def __init__(self, url: str, file: Path) -> None:
        self._place = {"url": url, "file": str(file)}
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = threading.Event()
        self._turn = asyncio.Lock()

    @property
    def is_ready(self) -> bool:
        """Whether it would answer now."""
        return self._is_ready.is_set()

    def start(self) -> None:
        """Start it, once; it is ready some tenths of a second later. One that cannot be started never is."""
        if self._process is not None:
            return
        command = [sys.executable, "-c", BOOT, json.dumps(sys.path)]
        with suppress(OSError):
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own code
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is the parent's to answer
            )
            threading.Thread(target=self._greet, name="opsrail-columns", daemon=True).start()

    async def part(
        self, point: str, names: Sequence[str], after: str, until: str, limit: int
    ) -> tuple[pyarrow.Table, str]:
        """Return the next part and up to which id it reaches, as `lab.history.part_of_rows`.

        Raises:
            Unavailable: the child ended; read in this process.
        """
        wish: dict[str, Any] = {"point": point, "names": list(names)}
        wish |= {"after": after, "until": until, "limit": limit}
        async with self._turn:
            return await asyncio.to_thread(self._ask, orjson.dumps(wish))

    def close(self) -> None:
        """End it."""
        process, self._process = self._process, None
        self._is_ready.clear()
        if process is not None:
            _end(process)

    def _greet(self) -> None:
        with suppress(OSError, ValueError, Unavailable):
            wishes, answers = self._pipes()
            send(wishes, orjson.dumps(self._place))
            if take(answers) is not None:
                self._is_ready.set()

    def _ask(self, wish: bytes) -> tuple[pyarrow.Table, str]:
        wishes, answers = self._pipes()
        try:
            send(wishes, wish)
            reached, part = take(answers), take(answers)
        except (OSError, ValueError) as gone:  # it died, or was closed by another thread
            raise Unavailable("the process that reads columns ended") from gone
        if reached is None or part is None:
            raise Unavailable("the process that reads columns ended")
        with pyarrow.ipc.open_stream(pyarrow.py_buffer(part)) as stream:
            return stream.read_all(), reached.decode()

    def _pipes(self) -> tuple[BinaryIO, BinaryIO]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise Unavailable("the process that reads columns is not running")
        return cast(BinaryIO, process.stdin), cast(BinaryIO, process.stdout)


def _end(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    try:
        process.wait(CLOSE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
