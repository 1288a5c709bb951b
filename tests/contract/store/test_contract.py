"""The three adapters under the shipped suite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from opsrail.clock import SystemClock
from opsrail.ledger.chain import WriterChain
from opsrail.ports import Store
from opsrail.store.memory import MemoryStore
from opsrail.store.postgres import PostgresStore
from opsrail.store.sqlite import SqliteStore
from opsrail.testing.contracts.store import SharedStoreContract, StoreContract
from tests.contract.store.opened import opened
from tests.support.postgres import fresh_database, run

CLOCK = SystemClock()


class TestMemory(StoreContract):
    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        async with opened(MemoryStore(WriterChain(CLOCK))) as store:
            yield store


class TestSqlite(StoreContract, SharedStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[Store]:
        async with opened(
            SqliteStore(
                tmp_path / "cases.db", chain=WriterChain(CLOCK), exclusive=True, clock=CLOCK
            )
        ) as store:
            yield store

    @pytest.fixture
    async def other(self, store: Store, tmp_path: Path) -> AsyncIterator[Store]:
        async with opened(
            SqliteStore(tmp_path / "cases.db", chain=WriterChain(CLOCK), clock=CLOCK)
        ) as other:
            yield other


@pytest.fixture(scope="module")
def emptied_url(postgres_url: str) -> Iterator[str]:
    """One database for all tests here: making one takes longer than a test."""
    with fresh_database(postgres_url) as url:
        yield url


def empty(url: str) -> None:
    run(
        url,
        """DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'schema_version'
        LOOP EXECUTE format('DELETE FROM %I', name); END LOOP; END $$""",
    )


@pytest.mark.connected
class TestPostgres(StoreContract, SharedStoreContract):
    @pytest.fixture
    def database_url(self, emptied_url: str) -> str:
        empty(emptied_url)
        return emptied_url

    @pytest.fixture
    async def store(self, database_url: str) -> AsyncIterator[Store]:
        async with opened(
            PostgresStore(database_url, chain=WriterChain(CLOCK), clock=CLOCK)
        ) as store:
            yield store

    @pytest.fixture
    async def other(self, store: Store, database_url: str) -> AsyncIterator[Store]:
        async with opened(
            PostgresStore(database_url, chain=WriterChain(CLOCK), clock=CLOCK)
        ) as other:
            yield other
