"""The two databases, empty."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from opsrail.clock import SystemClock
from opsrail.ledger.chain import WriterChain
from opsrail.ports import Store
from opsrail.store.postgres import PostgresStore
from opsrail.store.sqlite import SqliteStore

CLOCK = SystemClock()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    chain = WriterChain(CLOCK)
    made: Store
    if request.param == "sqlite":
        made = SqliteStore(tmp_path / "opsrail.db", chain=chain, clock=CLOCK)
    else:
        made = PostgresStore(request.getfixturevalue("database_url"), chain=chain, clock=CLOCK)
    await made.open()
    yield made
    await made.close()
