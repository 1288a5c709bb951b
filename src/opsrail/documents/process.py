"""One child process that reads pages: start it, hand it an image, end it. Blocking; driven from threads.

Plain pipes and threads rather than asyncio's own subprocesses: those hang when a loop ends while one is being started.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

import orjson

from opsrail.documents.child import BOOT, LENGTH_BYTES, frame
from opsrail.errors import MissingExtra
from opsrail.ports import PageReader

CLOSE_S = 5.0
"""Time a child gets to end once its input is closed, before it is killed. Source: ours."""

NICENESS = 10
"""Added to the child's, so that the loop that answers decisions goes first. Source: ours."""


class ReaderGone(Exception):
    """The child died or was ended; the caller may start another."""


class ReaderProcess:
    """A child, started by `start`. One image is under way at a time; `kill` may come from any thread at any moment.

    Args:
        factory: A function or class at the top of an importable module; called in the child to make the engine.
    """

    def __init__(self, factory: Callable[[], PageReader]) -> None:
        self.engine = f"{factory.__module__}:{factory.__qualname__}"
        self._process: subprocess.Popen[bytes] | None = None
        self._is_killed = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start the child and wait until its engine is warm.

        Raises:
            MissingExtra: the engine's packages are not installed. Terminal.
            ReaderGone: it died or was killed before it was ready.
        """
        command = [sys.executable, "-c", BOOT, json.dumps(sys.path), self.engine, str(NICENESS)]
        with self._lock:
            if self._is_killed:
                raise ReaderGone(f"reader {self.engine} was ended before it started")
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own code
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is the parent's to answer
            )
        hello = self._take()
        if "extra" in hello:
            self.close()
            raise MissingExtra("Reading documents", hello["extra"])
        self.engine = hello["engine"]

    def read(self, image: bytes) -> dict[str, Any]:
        """Return the child's answer for one image.

        Raises:
            ReaderGone: it died or was killed under way.
        """
        pipe, _ = self._pipes()
        try:
            pipe.write(frame(image))
            pipe.flush()
        except (BrokenPipeError, ValueError):  # it died, or was closed by another thread
            raise self._gone() from None
        return self._take()

    def kill(self) -> None:
        """End the child at once, or keep it from starting; whoever waits for it gets ReaderGone. Does not block."""
        with self._lock:
            self._is_killed = True
            if self._process is not None:
                self._process.kill()
                # Whoever reads from it reaps it; but the caller may have given up before anybody began to.
                threading.Thread(target=self.close, name="opsrail-reader-end", daemon=True).start()

    def close(self) -> None:
        """Let the child end and reap it; kill it if it does not end in CLOSE_S."""
        process = self._process
        if process is None:
            return
        stdin, stdout = self._pipes()
        with suppress(BrokenPipeError):  # what was not yet sent no longer matters
            stdin.close()
        try:
            process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        stdout.close()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise ReaderGone(f"reader {self.engine} is not running")
        return process.stdin, process.stdout

    def _take(self) -> dict[str, Any]:
        _, pipe = self._pipes()
        head = pipe.read(LENGTH_BYTES)
        size = int.from_bytes(head, "big")
        body = pipe.read(size) if len(head) == LENGTH_BYTES else b""
        if not body or len(body) < size:
            raise self._gone()
        answer: dict[str, Any] = orjson.loads(body)
        return answer

    def _gone(self) -> ReaderGone:
        self.close()
        code = self._process.returncode if self._process else None
        return ReaderGone(f"reader {self.engine} ended with code {code}")
