"""The same pages over PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from opsrail.clock import SystemClock
from opsrail.ledger.chain import WriterChain
from opsrail.registry.rollout import Stage
from opsrail.store.postgres import PostgresStore
from opsrail.values.rows import Insert
from opsrail.watch.alarms import alarm_of
from tests.integration.console.conftest import POINT, Console, opened
from tests.support.postgres import fresh_database

pytestmark = pytest.mark.connected
BANDS = [{"verdict": "approve", "below": 0.1}, {"verdict": "review", "below": 1.01}]


@pytest.fixture
def fresh_url(postgres_url: str) -> Iterator[str]:
    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
async def console(fresh_url: str) -> AsyncIterator[Console]:
    clock = SystemClock()
    async with opened(
        PostgresStore(fresh_url, chain=WriterChain(clock), clock=clock), clock
    ) as found:
        yield found


async def test_every_page_is_served(console: Console) -> None:
    app = console.app
    decision_id = await console.decided(amount=1500)
    await console.live(await console.version(b"other"), Stage.SHADOW)
    change = await app.changes.plan(POINT, "bands", {"bands": BANDS}, by="ann", reason="safer")
    await app.store.commit([Insert(alarm_of(app.clock, POINT, "kind", "x/1", "It rang.", {}))])
    await app.settle_ledger()

    for path, said in {
        "decisions": decision_id,
        f"decisions?point={POINT}&verdict=review&degraded=no&model={POINT}/1&from=2001-01-01": decision_id,
        "decisions?verdict=nothing": "No decisions found",
        f"decisions/{decision_id}": "The score 0.75 lies in review",
        f"decisions/{decision_id}/nearest": "The verdict would be",
        "models": f"{POINT}/2",
        f"models?after={POINT}/2": f"{POINT}/1",
        f"models/{POINT}/2": "13 gaps",
        f"models/{POINT}/2/against/1": "auc",
        f"history?point={POINT}": "It still holds.",
        "changes?state=planned": change.row.id,
        f"changes/{change.row.id}": "bands from",
        "rollouts": "No rollout was begun",
        "alarms": "It rang.",
        f"ledger?subject={decision_id}": "decision.made",
    }.items():
        assert said in await console.page(f"/console/{path}"), path
