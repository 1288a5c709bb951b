"""What every suite shares: a real PostgreSQL server when one is installed, and properties that may take their time."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, settings

from tests.support.postgres import Cluster, PostgresMissing, cluster, find_binaries, fresh_database

# A shell has what it puts in the background ignore Ctrl-C, and all that such a run starts would ignore it, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes is the machine's affair: a process that was not let run for a second has broken no property.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The url of one server for the whole run. Commits do not wait for the disk."""
    with server_or_skip(fsync=False) as server:
        yield server.url


@pytest.fixture
def postgres_server() -> Iterator[Cluster]:
    """A server of this test's own, to be stopped and started; commits wait for the disk."""
    with server_or_skip(fsync=True) as server:
        yield server


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """The url of an empty database of this test's own."""
    with fresh_database(postgres_url) as url:
        yield url


@contextmanager
def server_or_skip(*, fsync: bool) -> Iterator[Cluster]:
    """Run a server; where none is installed, skip at home and fail in CI."""
    try:
        find_binaries()
    except PostgresMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{missing}; CI must have one")
        pytest.skip(f"{missing}; install the package `postgresql` to run this test")
    with cluster(fsync=fsync) as server:
        yield server
