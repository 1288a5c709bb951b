"""Outcomes, cards and histories on the databases that serve."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from opsrail.clock import SystemClock
from opsrail.decide.outcome_import import Defaults, GivenRow, OutcomeImport
from opsrail.decide.outcomes import Outcomes, Told
from opsrail.errors import NotFound, StaleWrite
from opsrail.ledger.chain import WriterChain
from opsrail.ports import Store
from opsrail.registry.card_book import CardBook
from opsrail.registry.past import held_at
from opsrail.registry.registry import Registry
from opsrail.registry.rollout import Stage
from opsrail.review.desk import Desk
from opsrail.review.labels import Sampled
from opsrail.store.postgres import PostgresStore
from opsrail.store.sqlite import SqliteStore
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.rows import Insert
from tests.support import history
from tests.support.decisions import TRAINING, LinearRuntime, linear

CLOCK = SystemClock()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    chain = WriterChain(CLOCK)
    made: Store
    if request.param == "sqlite":
        made = SqliteStore(tmp_path / "a.db", chain=chain, clock=CLOCK)
    else:
        made = PostgresStore(request.getfixturevalue("database_url"), chain=chain, clock=CLOCK)
    await made.open()
    yield made
    await made.close()


async def test_a_key_writes_once_and_a_file_goes_on(store: Store) -> None:
    await history.stored(store, [history.decision(number) for number in range(700)])
    outcomes = Outcomes(store, CLOCK)
    told = Told(history.decision_id(0), "fraud", 1, "late", "bank")
    rows = await asyncio.gather(*(outcomes.record_once(told, "bank", "k") for _ in range(4)))
    given = [
        GivenRow(n + 2, {"decision_id": history.decision_id(n), "value": str(n % 2)})
        for n in range(700)
    ]
    work = OutcomeImport(store, CLOCK, lambda: given, Defaults("bank", "paid"))
    first, again = await work.run(), await work.run()

    assert (len({row.id for row, _ in rows}), sum(is_new for _, is_new in rows)) == (1, 1)
    assert (first.recorded, again.recorded, again.unchanged) == (700, 0, 700)
    assert [row.name for row in await outcomes.of(history.decision_id(0))] == ["fraud", "paid"]
    with pytest.raises(NotFound):
        await outcomes.record("nothing", "fraud", 1, source="late", by="bank")


async def test_a_ruling_and_its_label_are_one_commit(store: Store) -> None:
    labels = Sampled({"fraud": {"approve": 0}}, 0.05).text()
    row = history.review(
        1, state="open", ruling=None, ruled_by=None, ruled_at_ms=None, labels=labels
    )
    await store.commit([Insert(row)])
    desks = [Desk(store, CLOCK).rule(row.id, "approve", by=by) for by in ("ann", "bob", "cy")]
    ended = await asyncio.gather(*desks, return_exceptions=True)

    (told,) = await store.select(OutcomeRow)
    assert sum(isinstance(one, BaseException) for one in ended) == 2
    assert (told.decision_id, told.value, told.source, told.ratio) == (
        history.decision_id(1),
        0.0,
        "audit",
        0.05,
    )


async def test_what_was_live_is_told_also_after_two_race(store: Store) -> None:
    registry = Registry(store, {"linear": LinearRuntime()}, CLOCK)
    given: dict[str, Any] = {"runtime": "linear", "training_digest": TRAINING, "by": "ann"}
    versions = [
        await registry.register("fraud", linear(bias=float(n)), card={"owner": "Ann"}, **given)
        for n in range(3)
    ]
    why: dict[str, Any] = {"by": "ann", "reason": "x"}
    first = await registry.promote("p", versions[0], Stage.LIVE, **why)
    races = [registry.promote("p", one, Stage.LIVE, revision=1, **why) for one in versions[1:]]
    ended = await asyncio.gather(*races, return_exceptions=True)
    then, now = [await held_at(store, "p", at_ms) for at_ms in (first.at_ms, CLOCK.now_ms() + 1)]
    (live,) = [row for row in await registry.rollout("p") if row.stage == Stage.LIVE]
    cards = CardBook(store, CLOCK)
    revised = await cards.revise(versions[0], {"owner": "Ben"}, by="ben", reason="left")

    assert sum(isinstance(one, StaleWrite) for one in ended) == 1
    assert now.at("live")[0].number == live.model_number
    assert then.at("live")[0].number in (1, live.model_number)
    assert (await cards.of(versions[0])).card == revised.card == {"owner": "Ben"}
