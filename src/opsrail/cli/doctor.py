"""`opsrail doctor`: what could keep this installation from its promises, and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from opsrail.cli.options import Invocation, common, examples

if TYPE_CHECKING:
    from opsrail.app import App
    from opsrail.cases.loader import Definitions
    from opsrail.config import Config
    from opsrail.ports import Finding

EXTRAS = {
    "models": ("numpy", "onnxruntime"),
    "boosters": ("lightgbm", "numpy", "xgboost"),
    "sklearn": ("numpy", "sklearn", "skops"),
    "remote": ("httpx",),
    "grpc": ("grpc", "google.protobuf"),
    "lab": ("duckdb", "numpy", "pyarrow", "scipy", "yaml"),
    "documents": ("cv2", "onnxruntime", "PIL", "rapidocr"),
    "notices": ("httpx",),
    "feast": ("httpx",),
    "mlflow": ("httpx", "yaml"),
    "parquet": ("pyarrow",),
    "postgres": ("psycopg",),
    "demo": ("sklearn", "skl2onnx"),
}
SYNCS = 20
SLOW_SYNC_MS = 50.0
"""Above it a person notices each commit. Ours: a spinning disk takes about 10 ms."""
LEAST_FREE_BYTES = 1_000_000_000
"""Below it there is little room for a busy day. Ours: as for the database beside it."""
CLOCKS_APART_MS = 1_000
"""Ours: a fifth of the time after which a silent process is taken for dead."""


@click.command(
    epilog=examples("opsrail doctor", "opsrail doctor claims.py --data /srv/claims --json")
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@common
def doctor(invocation: Invocation, file: Path | None) -> int:
    """Check settings, disk, database, ledger, clock, port and packages.

    With FILE, check too that it defines the automation of every open case.

    Each finding is ok, warn (works, promises less) or fail. Exit status 1 when one fails.
    """
    from opsrail.cli.render import print_json, print_table

    found = _findings(invocation, file)
    is_well = all(one.level != "fail" for one in found)
    if invocation.is_json:
        print_json({"ok": is_well, "findings": [one._asdict() for one in found]})
    else:
        print_table(("finding", "level", "what"), found, empty="")
    return 0 if is_well else 1


def _findings(invocation: Invocation, file: Path | None) -> list[Finding]:
    from opsrail.app import DATABASE
    from opsrail.cli.session import on_app, settings
    from opsrail.errors import OpsrailError
    from opsrail.ports import Finding

    found = [*_versions(), *_extras()]
    definitions = None
    try:
        config = settings(invocation)
        found.append(Finding("config", "ok", "every setting is known and within its bounds"))
        if file is not None:
            definitions = _loaded(file, found)
    except OpsrailError as wrong:
        return [*found, Finding("config", "fail", str(wrong))]
    found.append(_port(config))
    if not config.store.url and not (invocation.data / DATABASE).is_file():
        return [
            *found,
            Finding(
                "store",
                "warn",
                f"{invocation.data} holds no installation yet; the first `opsrail run` makes it",
            ),
        ]
    found += _disk(invocation.data)
    try:
        found += on_app(invocation, lambda app: _inside(app, definitions))
    except OpsrailError as wrong:
        found.append(Finding("store", "fail", str(wrong)))
    return found


def _versions() -> list[Finding]:
    import sqlite3

    from opsrail import __version__
    from opsrail.ports import Finding

    return [
        Finding("opsrail", "ok", __version__),
        Finding(
            "python",
            "ok",
            f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        ),
        Finding("sqlite", "ok", sqlite3.sqlite_version),
    ]


def _extras() -> list[Finding]:
    from opsrail.ports import Finding

    found = []
    for extra, packages in EXTRAS.items():
        missing = [package for package in packages if not _is_there(package)]
        told = (
            f"not installed; if you need it: pip install 'opsrail[{extra}]'"
            if missing
            else "installed"
        )
        found.append(Finding(f"extra.{extra}", "ok", told))
    return found


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # what it lies in is not there
        return False


def _loaded(file: Path, found: list[Finding]) -> Definitions | None:
    from opsrail.cases.loader import load_file
    from opsrail.cli.session import absolute
    from opsrail.errors import OpsrailError
    from opsrail.ports import Finding

    try:
        definitions = load_file(absolute(file))
    except OpsrailError as wrong:
        found.append(Finding("automations", "fail", str(wrong)))
        return None
    found.append(
        Finding(
            "automations",
            "ok",
            f"{file} defines {', '.join(definitions.automations) or 'decision points only'}",
        )
    )
    return definitions


def _port(config: Config) -> Finding:
    from opsrail.ports import Finding

    host, port = config.web.host, config.web.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as taken:
            what = f"{host}:{port} cannot be listened on ({taken.strerror}); it is taken, or set web.port to another"
            return Finding("web.port", "warn", what)
    return Finding("web.port", "ok", f"{host}:{port} is free")


def _disk(folder: Path) -> list[Finding]:
    """Return how much room there is, and how long the disk takes to make 4 kB durable."""
    from opsrail.clock import SystemClock
    from opsrail.ports import Finding

    clock = SystemClock()
    probe = folder / f".doctor-{os.getpid()}"
    spent_ms = []
    try:
        with open(probe, "wb", buffering=0) as file:
            for _ in range(SYNCS):
                begun_s = clock.monotonic_s()
                file.write(bytes(4096))
                os.fsync(file.fileno())
                spent_ms.append(1000 * (clock.monotonic_s() - begun_s))
    except OSError as wrong:
        return [Finding("disk", "fail", f"{folder} cannot be written to: {wrong.strerror}")]
    finally:
        probe.unlink(missing_ok=True)
    spent_ms.sort()
    middle_ms, worst_ms = spent_ms[SYNCS // 2], spent_ms[-1]
    level = "warn" if middle_ms > SLOW_SYNC_MS else "ok"
    return [
        room(shutil.disk_usage(folder).free, folder),
        Finding(
            "disk.fsync",
            level,
            f"{middle_ms:.2f} ms in the middle, {worst_ms:.2f} ms at worst, of {SYNCS}",
        ),
    ]


def room(free_bytes: int, folder: Path) -> Finding:
    """Return whether there is room for what grows: database, log, artifacts."""
    from opsrail.ports import Finding

    if free_bytes < LEAST_FREE_BYTES:
        what = f"{free_bytes // 1_000_000:,} MB are free in {folder}; make room below 1,000"
        return Finding("disk.free", "warn", what)
    return Finding("disk.free", "ok", f"{free_bytes / 1e9:,.1f} GB are free in {folder}")


async def _inside(app: App, definitions: Definitions | None) -> list[Finding]:
    from opsrail.cli.doctor_loops import drawing, notices
    from opsrail.cli.doctor_store import clocks, ledger, work

    return [
        *await app.store.check(),
        await clocks(app, CLOCKS_APART_MS),
        *await ledger(app),
        *await work(app, definitions),
        *await drawing(app, definitions),
        *await notices(app),
    ]
