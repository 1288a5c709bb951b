"""How durable a SQLite database really is: its settings, the file system beneath it, the space left."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from opsrail.ports import Finding

NETWORK = frozenset(
    (
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "fuse.sshfs",
        "fuse.glusterfs",
        "glusterfs",
        "lustre",
        "beegfs",
    )
)
"""File systems without the shared memory and locks that a write-ahead log needs. Source: sqlite.org/wal.html, "all processes
using a database must be on the same host computer; WAL does not work over a network filesystem"."""
VOLATILE = frozenset(("tmpfs", "ramfs", "devtmpfs"))
SPACE_WARN_BYTES = 1_000_000_000
"""Below this an operator is warned. Ours: about a million three-step cases, or an hour at full speed."""
SPACE_FAIL_BYTES = 20_000_000
"""Below this nothing starts. Ours: the write-ahead log alone may take 16 MB."""
OLDEST = (3, 37, 0)
"""Oldest SQLite that has what the adapter's SQL uses and no known corruption of a write-ahead log. Ours."""


def findings(connection: sqlite3.Connection, path: Path) -> list[Finding]:
    """Return what was found; a `fail` means that the promises cannot be kept."""
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    return [
        _version(),
        Finding(
            "sqlite.journal_mode",
            "ok" if mode == "wal" else "fail",
            f"journal mode is {mode}; it must be wal",
        ),
        Finding(
            "sqlite.synchronous",
            "ok" if synchronous >= 2 else "fail",
            f"synchronous is {synchronous}; under 2 (FULL) a power cut loses accepted work",
        ),
        file_system(path.resolve(), _mounts()),
        free_space(shutil.disk_usage(path.parent).free, path),
    ]


def _version() -> Finding:
    level = "ok" if sqlite3.sqlite_version_info >= OLDEST else "fail"
    return Finding(
        "sqlite.version",
        level,
        f"SQLite {sqlite3.sqlite_version}; at least {'.'.join(map(str, OLDEST))} is needed",
    )


def free_space(free_bytes: int, path: Path) -> Finding:
    """Return the finding on how much room the disk has left."""
    level = (
        "fail"
        if free_bytes < SPACE_FAIL_BYTES
        else "warn"
        if free_bytes < SPACE_WARN_BYTES
        else "ok"
    )
    return Finding(
        "sqlite.free_space",
        level,
        f"{free_bytes // 1_000_000} MB are free beside {path}; make room below 1,000",
    )


def file_system(path: Path, mounts: str) -> Finding:
    """Return the finding on the file system a path lies on.

    Args:
        path: Absolute, without links.
        mounts: Text of `/proc/self/mounts`; empty where the system has none.
    """
    kind = _kind(path, mounts)
    if kind in NETWORK:
        message = f"{path} lies on {kind}, a network file system, where a write-ahead log is not safe; use a local disk"
        return Finding("sqlite.filesystem", "fail", message)
    if kind in VOLATILE:
        return Finding(
            "sqlite.filesystem",
            "warn",
            f"{path} lies on {kind}: all is gone when this machine restarts",
        )
    if kind is None:
        return Finding(
            "sqlite.filesystem",
            "warn",
            f"the file system under {path} is not known; it must be a local disk",
        )
    return Finding("sqlite.filesystem", "ok", f"{path} lies on {kind}")


def _kind(path: Path, mounts: str) -> str | None:
    """Return the type of the file system mounted nearest above the path; a later mount hides an earlier one."""
    best, kind = -1, None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(fields[1].replace("\\040", " "))
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), fields[2]
    return kind


def _mounts() -> str:
    try:
        return Path("/proc/self/mounts").read_text("utf-8")
    except OSError:
        return ""
