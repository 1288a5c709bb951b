"""Both databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from opsrail.clock import SystemClock
from opsrail.ledger.chain import WriterChain
from opsrail.ports import Store
from opsrail.store.postgres import PostgresStore
from opsrail.store.sqlite import SqliteStore
from tests.support.postgres import fresh_database

CLOCK = SystemClock()


@pytest.fixture
def fresh_url(postgres_url: str) -> Iterator[str]:
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Store]:
    """Return what makes one more store on the same database, as another process would."""
    if request.param == "sqlite":
        return lambda **how: SqliteStore(
            tmp_path / "rows.db", chain=WriterChain(CLOCK), clock=CLOCK, **how
        )
    url = request.getfixturevalue("fresh_url")
    return lambda **how: PostgresStore(url, chain=WriterChain(CLOCK), clock=CLOCK, **how)


@pytest.fixture
async def store(new_store: Callable[[], Store]) -> AsyncIterator[Store]:
    store = new_store()
    await store.open()
    yield store
    await store.close()
