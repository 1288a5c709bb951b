"""The throwaway server does what crash tests lean on."""

from __future__ import annotations

import pytest

from tests.support.postgres import Cluster, fresh_database, run

pytestmark = pytest.mark.connected
KEEP = "CREATE TABLE kept AS SELECT 7 AS number"


def test_a_server_stopped_at_once_comes_back_with_what_was_committed(
    postgres_server: Cluster,
) -> None:
    server = postgres_server
    run(server.url, KEEP)
    server.stop("immediate")
    was_running = server.is_running
    server.start()

    kept = run(server.url, "SELECT number FROM kept")

    assert not was_running
    assert kept == [(7,)]


def test_two_databases_of_one_server_do_not_see_each_other(postgres_url: str) -> None:
    with fresh_database(postgres_url) as first, fresh_database(postgres_url) as second:
        run(first, KEEP)

        tables = run(second, "SELECT to_regclass('kept')")

    assert tables == [(None,)]


def test_a_database_is_gone_after_its_test(postgres_url: str) -> None:
    with fresh_database(postgres_url) as url:
        name = url.rpartition("/")[2]

    names = run(postgres_url, "SELECT datname FROM pg_database")

    assert (name,) not in names
