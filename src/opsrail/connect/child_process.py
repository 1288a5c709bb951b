"""One child process that runs a model: start it, hand it rows, end it. Blocking; driven from threads.

No shared memory: with it a batch of 64 rows takes 137 us instead of 140, against 1 to 2 ms that a forest takes (ADR 0013).
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import orjson

from opsrail.config import child_environment
from opsrail.connect.child_main import BOOT, LENGTH_BYTES, frame
from opsrail.errors import ArtifactRefused

READ_BYTES = 65_536


class ChildGone(Exception):
    """The child died, or was ended because it hung; its text says how."""


class Launch(NamedTuple):
    """What a child runs.

    Attributes:
        factory: `module:name` of what returns the runtimes by name, called in the child.
        options: Its arguments by name; plain JSON.
        runtime: Which of them loads the artifact.
        artifact: The model's bytes; the child's runtime checks them against the digest.
        digest: `sha256:<hex>`.
        memory_bytes: Most address space of the child; 0: no limit.
    """

    factory: str
    options: Mapping[str, object]
    runtime: str
    artifact: bytes
    digest: str
    memory_bytes: int


class Child:
    """A child. One request is under way at a time; `kill` may come from any thread at any moment.

    Args:
        monotonic_s: Reads the time.

    Attributes:
        is_retired: Whether it was ended on purpose; its death is no crash then.
    """

    def __init__(self, launch: Launch, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self.is_retired = False
        self._rest = b""
        life, self._life = os.pipe()
        command = [
            sys.executable, "-c", BOOT, json.dumps(sys.path), str(life), str(launch.memory_bytes),
        ]  # fmt: skip
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own code
                command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=child_environment(),
                pass_fds=(life,),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._life)
            raise
        finally:
            os.close(life)
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise ChildGone("it has no pipes")
        self._in, self._out = stdin, stdout
        os.set_blocking(stdin.fileno(), False)
        self._writable, self._readable = select.poll(), select.poll()
        self._writable.register(stdin, select.POLLOUT)
        self._readable.register(stdout, select.POLLIN)
        self._launch = launch

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    def load(self, wait_s: float) -> None:
        """Hand it the artifact, and wait until its model is warm.

        Raises:
            ArtifactRefused: its runtime refuses it. Terminal; the child has ended.
            ChildGone: it died, failed or took too long; it has ended.
        """
        launch = self._launch
        told = {
            "factory": launch.factory,
            "options": launch.options,
            "runtime": launch.runtime,
            "digest": launch.digest,
        }
        try:
            self.send(orjson.dumps(told), wait_s)
            self.send(launch.artifact, wait_s)
            answer = self.receive(wait_s)
        except ChildGone:
            self.end()
            raise
        if "ready" not in answer:
            self.end()
            if "refused" in answer:
                raise ArtifactRefused(answer["refused"])
            raise ChildGone(f"it could not load the model: {answer.get('failed')}")

    def send(self, body: bytes, wait_s: float) -> None:
        """Hand it a request. Raises ChildGone."""
        left, until_s = memoryview(frame(body)), self._monotonic_s() + wait_s
        fd = self._in.fileno()
        while left:
            try:
                left = left[os.write(fd, left) :]
            except BlockingIOError:
                self._wait(self._writable, until_s, wait_s)
            except OSError:
                raise self._gone() from None

    def receive(self, wait_s: float) -> Any:
        """Return the answer to what was sent. Raises ChildGone."""
        until_s = self._monotonic_s() + wait_s
        body = self._take(
            int.from_bytes(self._take(LENGTH_BYTES, until_s, wait_s)), until_s, wait_s
        )
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            self.kill()
            raise ChildGone("what it answered is no JSON") from None

    def kill(self) -> None:
        """End it at once. Does not block."""
        self._process.kill()

    def wait(self) -> str:
        """Wait until it has ended, and say how."""
        code = self._process.wait()
        return f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"

    def end(self) -> None:
        """End it on purpose, at once, and reap it."""
        self.is_retired = True
        self._process.kill()
        self._process.wait()
        self.release()

    def retire(self) -> None:
        """Let it end by itself: its input is closed. Does not block."""
        self.is_retired = True
        with suppress(OSError):
            self._in.close()

    def release(self) -> None:
        """Close its pipes. Not while a request is under way: another file may get their numbers."""
        with suppress(OSError):
            self._in.close()
        self._out.close()
        life, self._life = self._life, -1
        if life >= 0:
            os.close(life)

    def _take(self, size: int, until_s: float, wait_s: float) -> bytes:
        taken = self._rest
        while len(taken) < size:
            self._wait(self._readable, until_s, wait_s)
            try:
                more = os.read(self._out.fileno(), READ_BYTES)
            except (OSError, ValueError):
                more = b""
            if not more:
                raise self._gone()
            taken += more
        self._rest = taken[size:]
        return taken[:size]

    def _wait(self, ready: select.poll, until_s: float, wait_s: float) -> None:
        """Wait until a pipe is ready; a child that lets it wait too long is ended."""
        left_s = until_s - self._monotonic_s()
        if left_s <= 0 or not ready.poll(left_s * 1000):
            self.kill()
            raise ChildGone(f"it hung for {wait_s:g} s and was ended")

    def _gone(self) -> ChildGone:
        return ChildGone("it died")
