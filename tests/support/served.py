"""A real `opsrail serve` in a child process: its own folder, its own loopback port, gone afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opsrail.app import build
from opsrail.config import load
from opsrail.values.access import UserRow

ROOT = Path(__file__).resolve().parents[2]
END_S = 120


class Served:
    """A serving process.

    Attributes:
        folder: What it serves from; commands of the command line work on it with `--data`.
        file: The automations.
        url: Where it answers, without a slash at the end.
    """

    def __init__(self, file: Path, folder: Path, **environ: str) -> None:
        """Start it and wait until it answers. Blocks for about a second."""
        self.folder, self.file = folder, file
        self._environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", ROOT))),
        }
        self._environ |= environ
        self._key: str | None = None
        self._log = folder.with_name(f"{folder.name}.stderr")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [
                    *self._opsrail(),
                    "serve",
                    str(file),
                    "--port",
                    "0",
                    "--json",
                    "--data",
                    str(folder),
                ],
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.url = self._announced()

    def _announced(self) -> str:
        assert self._process.stdout is not None
        said = ""
        while not said.endswith("}\n"):
            line = self._process.stdout.readline()
            if not line:
                self.close()
                raise RuntimeError(f"opsrail serve {self.file} did not begin:\n{said}{self.said()}")
            said += line
        return str(json.loads(said)["url"])

    @staticmethod
    def _opsrail() -> list[str]:
        return [sys.executable, "-m", "opsrail"]

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def said(self) -> str:
        """Return what it wrote to stderr."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def run(self, *words: str) -> Any:
        """Run a command of opsrail on the same folder and return what its `--json` printed.

        Raises:
            AssertionError: it failed; the message ends with what it said.
        """
        done = subprocess.run(
            [*self._opsrail(), *words, "--json", "--data", str(self.folder)],
            cwd=ROOT,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=END_S,
            check=False,
        )
        assert done.returncode == 0, f"opsrail {' '.join(words)}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Ask the JSON interface and return its answer; a problem raises `HTTPError`. Blocking.

        Once there are users it asks with a key that may do everything.
        """
        if self._key is not None:
            headers.setdefault("authorization", f"Bearer {self._key}")
        sent = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - always our own server
            self.url + path, sent, {"content-type": "application/json", **headers}, method=method
        )
        with urllib.request.urlopen(request, timeout=END_S) as answer:  # noqa: S310 - as above
            return json.loads(answer.read() or b"null")

    async def link(self, name: str, role: str, scope: str = "*", skills: str = "") -> str:
        """Return the address that signs a person in once; they are made if they are not known yet."""
        config, _ = load()
        async with build(config, self.folder).opened() as app:
            if self._key is None:
                self._key, _ = await app.access.keys.add("tests", [("*", "admin")], by="tests")
            if await app.store.get(UserRow, name) is None:
                await app.access.users.add(
                    name, by="tests", grants=[(scope, role)], skills=skills, shown=name.title()
                )
            token, _ = await app.access.users.link(name, by="tests")
        return f"{self.url}/console/sign-in?link={token}"

    def stop(self) -> int:
        """Ask it to end in order, and return its exit status."""
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=END_S)
        return self._process.returncode

    def close(self) -> None:
        """End it at once if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate(timeout=END_S)


@contextmanager
def serving(file: Path, folder: Path, **environ: str) -> Iterator[Served]:
    """Serve the automations of a file from a folder for as long as the block lasts."""
    served = Served(file, folder, **environ)
    try:
        yield served
    finally:
        served.close()
