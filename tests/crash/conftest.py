"""Installations on each store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.chaos import Site
from tests.support.postgres import fresh_database

DEAD_S = "3"
"""Shorter than the default of 5 s, so that takeovers on PostgreSQL take less of the suite's time."""
Sites = Callable[[str], Site]
Record = Callable[[str, object], None]
"""Keeps a measured figure with the test's result."""


def site_in(folder: Path, url: str = "", **settings: str) -> Site:
    """Return an installation in a folder, with its traces beside it."""
    (folder / "traces").mkdir(parents=True)
    quick = {"OPSRAIL_LEDGER__CHECKPOINT_S": "0.2"}
    return Site(folder / "installation", folder / "traces", url, {**quick, **settings})


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Keep a measured figure with the test's result; the end of the run prints them all."""
    return lambda name, value: request.node.user_properties.append((name, value))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests measured."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties if report.when == "call" else ():
            terminalreporter.write_line(f"{report.nodeid.partition('::')[2]}: {name} {value}")


@pytest.fixture
def sqlite_sites(tmp_path: Path) -> Sites:
    return lambda name: site_in(tmp_path / name)


@pytest.fixture
def postgres_sites(tmp_path: Path, postgres_url: str) -> Iterator[Sites]:
    """Workers here are taken for dead after 3 s."""
    with ExitStack() as databases:
        yield (
            lambda name: site_in(
                tmp_path / name,
                databases.enter_context(fresh_database(postgres_url)),
                OPSRAIL_CASES__DEAD_S=DEAD_S,
                OPSRAIL_STORE__ALLOW_WEAK="true",  # the server that tests share does not wait for the disk
            )
        )


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
def sites(request: pytest.FixtureRequest) -> Sites:
    """Makes installations of this test's own, by name: on SQLite, and again on PostgreSQL."""
    made: Sites = request.getfixturevalue(f"{request.param}_sites")
    return made


@pytest.fixture
def sqlite_site(sqlite_sites: Sites) -> Site:
    return sqlite_sites("site")


@pytest.fixture
def postgres_site(postgres_sites: Sites) -> Site:
    return postgres_sites("site")


@pytest.fixture
def site(sites: Sites) -> Site:
    return sites("site")
