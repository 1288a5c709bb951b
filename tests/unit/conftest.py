"""The fence around tests/unit: no network, no other process, no waiting for real."""

from __future__ import annotations

import multiprocessing.process
import os
import socket
import subprocess
import time
from collections.abc import Callable
from typing import NoReturn

import pytest


@pytest.fixture(autouse=True)
def fence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test that leaves its own process or waits by the wall clock."""
    monkeypatch.setattr(socket.socket, "__init__", only_local(socket.socket.__init__))
    monkeypatch.setattr(subprocess.Popen, "__init__", forbidden("start a process"))
    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", forbidden("start a process"))
    monkeypatch.setattr(os, "fork", forbidden("fork"))
    monkeypatch.setattr(os, "posix_spawn", forbidden("start a process"))
    monkeypatch.setattr(os, "system", forbidden("start a process"))
    monkeypatch.setattr(time, "sleep", forbidden("sleep; use ManualClock"))


def forbidden(deed: str) -> Callable[..., NoReturn]:
    """Return a stand-in that fails the test; no `except Exception` on the way can hide it."""

    def refuse(*_: object, **__: object) -> NoReturn:
        pytest.fail(f"tests/unit must not {deed}")

    return refuse


def only_local(make: Callable[..., None]) -> Callable[..., None]:
    """Return `make`, refusing every family but the local one that the event loop wakes itself with."""

    def guarded(self: socket.socket, family: int = -1, *args: object, **kwargs: object) -> None:
        if family != socket.AF_UNIX:
            pytest.fail(
                "tests/unit must not open a socket; tests that do belong in tests/integration"
            )
        make(self, family, *args, **kwargs)

    return guarded
