"""A throwaway PostgreSQL server for tests: its own folder, its own loopback port, gone afterwards.

The server refuses to run as root, so root hands it to an unprivileged account. It is stopped through its own folder's
process id, never by name.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.support.ports import free_port

StopMode = Literal["smart", "fast", "immediate"]
START_TRIES = 3
WAIT_S = 60
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "timezone": "UTC",
    "log_min_messages": "warning",
}


class PostgresMissing(RuntimeError):
    """No PostgreSQL server is installed here."""


class Cluster:
    """One server with its own folder.

    Attributes:
        folder: Holds everything the server writes, its log in `log` included.
        port: Loopback TCP port; the same again after `stop` and `start`.
    """

    def __init__(self, folder: Path, binaries: Path, *, fsync: bool) -> None:
        self.folder = folder
        self.port = 0
        self._binaries = binaries
        self._rows = folder / "rows"
        self._fsync = fsync

    @property
    def url(self) -> str:
        """Where to connect, as the superuser of a server that only this machine can reach."""
        return f"postgresql://opsrail@127.0.0.1:{self.port}/postgres"

    @property
    def is_running(self) -> bool:
        """Whether the server's process lives."""
        return self._control("status", check=False).returncode == 0

    def create(self) -> None:
        """Write the empty database. Blocks for about a second."""
        self._run(
            "initdb", "-D", str(self._rows), "-U", "opsrail", "--auth=trust", "--encoding=UTF8",
            "--locale=C", "--no-sync", "--no-instructions",
        )  # fmt: skip
        durable = "on" if self._fsync else "off"
        settings = {**SETTINGS, "fsync": durable, "full_page_writes": durable}
        text = "".join(f"{name} = '{value}'\n" for name, value in settings.items())
        with (self._rows / "postgresql.conf").open("a", encoding="utf-8") as conf:
            conf.write(text)

    def start(self) -> None:
        """Start the server and wait until it takes connections; after a crash that includes its recovery.

        Raises:
            RuntimeError: it did not come up; the message ends with the server's log.
        """
        ports = [self.port] if self.port else [free_port() for _ in range(START_TRIES)]
        for port in ports:  # another process may take a free port first
            if self._control("start", "-o", f"-p {port}", check=False).returncode == 0:
                self.port = port
                return
        raise RuntimeError(f"PostgreSQL in {self.folder} did not start:\n{self.log()}")

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server and wait for its end; `immediate` is what a power cut leaves behind."""
        self._control("stop", "-m", mode)

    def log(self) -> str:
        """Return what the server wrote to its log so far."""
        path = self.folder / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _control(
        self, verb: str, *args: str, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        place = ["-D", str(self._rows)]
        waiting = [] if verb == "status" else ["-w", "-t", str(WAIT_S)]
        log = ["-l", str(self.folder / "log")] if verb == "start" else []
        return self._run("pg_ctl", verb, *place, *waiting, *log, *args, check=check)

    def _run(self, name: str, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        account = server_account()
        done = subprocess.run(
            [str(self._binaries / name), *args],
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            cwd=self.folder,
            env={"PATH": os.defpath, "LC_ALL": "C", "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            # pg_ctl's server would inherit a pipe and keep it open for as long as it lives.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if name == "pg_ctl" else subprocess.PIPE,
            text=True,
            timeout=WAIT_S * 2,
            check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{name} {' '.join(args)} failed:\n{done.stderr or self.log()}")
        return done


def find_binaries() -> Path:
    """Return the folder of `initdb` and `pg_ctl`: PATH first, then the newest of Debian's.

    Raises:
        PostgresMissing: neither has them. Install the package `postgresql`.
    """
    on_path = shutil.which("initdb")
    debian = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: _major(path),
        reverse=True,
    )
    for initdb in [*([Path(on_path)] if on_path else []), *debian]:
        if (initdb.resolve().parent / "pg_ctl").exists():
            return initdb.resolve().parent
    raise PostgresMissing("no PostgreSQL server is installed (looked for initdb and pg_ctl)")


def _major(path: Path) -> int:
    found = re.match(r"\d+", path.parts[-3])
    return int(found.group()) if found else 0


def server_account() -> pwd.struct_passwd | None:
    """Return the account a server must run as: None for our own, an unprivileged one when we are root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


@contextmanager
def cluster(*, fsync: bool = False) -> Iterator[Cluster]:
    """Run a server of its own for as long as the block lasts.

    Args:
        fsync: Whether commits wait for the disk. Off is several times faster and survives `stop("immediate")`, not a
            power cut.

    Raises:
        PostgresMissing: no server is installed.
    """
    binaries = find_binaries()
    folder = Path(tempfile.mkdtemp(prefix="opsrail-postgres-"))
    try:
        if account := server_account():
            os.chown(folder, account.pw_uid, account.pw_gid)
        server = Cluster(folder, binaries, fsync=fsync)
        server.create()
        server.start()
        try:
            yield server
        finally:
            if server.is_running:
                server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fresh_database(url: str) -> Iterator[str]:
    """Make an empty database on the server at `url`, give its own url, and drop it afterwards, guests or not."""
    name = f"t_{secrets.token_hex(8)}"
    _execute(url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield with_database(url, name)
    finally:
        _execute(
            url, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


def with_database(url: str, name: str) -> str:
    """Return `url` with another database's name."""
    parts = conninfo_to_dict(url)
    return f"postgresql://{parts['user']}@{parts['host']}:{parts['port']}/{name}"


def run(url: str, statement: str) -> Sequence[tuple[object, ...]]:
    """Run one statement on a connection of its own, commit it, and return its rows if it has any."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def _execute(url: str, statement: sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
