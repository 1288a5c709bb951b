"""Kept values are the same on every store: the newest read, the past read, the training set, the reread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pytest

from opsrail.clock import SystemClock
from opsrail.decide.code import code_digest
from opsrail.errors import InvalidInput
from opsrail.features.features import Features
from opsrail.features.keeping import Checked, Keeping, NewValue
from opsrail.lab import view_histories
from opsrail.lab.training import training_set
from opsrail.lab.view_histories import read_history
from opsrail.ledger.chain import WriterChain
from opsrail.ports import Store
from opsrail.store.memory import MemoryStore
from opsrail.store.postgres import PostgresStore
from opsrail.store.sqlite import SqliteStore
from tests.contract.store.opened import opened
from tests.support.decisions import StillClock
from tests.support.views import known, policyholder, told

VIEW = policyholder(ttl="1h")
CLOCK = StillClock()


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.connected)])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    chain = WriterChain(CLOCK)
    made: Store
    if request.param == "memory":
        made = MemoryStore(chain, clock=CLOCK)
    elif request.param == "sqlite":
        made = SqliteStore(
            tmp_path / "opsrail.db", chain=chain, exclusive=True, clock=SystemClock()
        )
    else:
        url = request.getfixturevalue("database_url")
        made = PostgresStore(url, chain=chain, clock=SystemClock())
    async with opened(made) as store:
        yield store


async def filled(store: Store) -> tuple[Features, list[int]]:
    """Keep a correction, a late older value, a value of the future and one that expires; return moments between."""
    features = Features(store, [VIEW], CLOCK, refresh_ms=0)
    await features.keep_definitions(code_digest)
    start_ms = CLOCK.now_ms()
    moments = [start_ms - 1]
    deeds = [
        ("p", 0, 1),
        ("p", -60_000, 9),
        ("q", 0, 2),
        ("p", 0, 3),
        ("p", 120_000, 4),
        ("q", 10, 5),
    ]
    for entity, offset_ms, claims in deeds:
        value = NewValue(entity, start_ms + offset_ms, told(claims))
        await features.push(VIEW.ref, [value])
        moments.append(CLOCK.now_ms())
        CLOCK.at_s += 1
    return features, [*moments, start_ms + 121_000, start_ms + 3_600_000, start_ms + 3_800_000]


async def test_what_was_known_at_any_moment_is_read(store: Store) -> None:
    features, moments = await filled(store)

    for moment_ms in moments:
        for entity in ("p", "q", "nobody"):
            read = await features.at(VIEW.ref, entity, moment_ms)

            assert read.values == await known(store, VIEW, entity, moment_ms)


async def test_reads_are_read_again_after_pushes_corrections_and_backfills(store: Store) -> None:
    features, moments = await filled(store)
    reads = [await features.read(VIEW.ref, entity) for entity in ("p", "q", "nobody")]
    reads += [await features.at(VIEW.ref, "p", moment_ms) for moment_ms in moments]
    content = '{"claims":7,"premium":null,"region":null}'
    backfilled = [Checked("p", moment_ms, moment_ms, content) for moment_ms in moments]
    await Keeping(store, CLOCK).keep(VIEW, backfilled, source="file:x", is_file=True)
    again = await Keeping(store, CLOCK).keep(VIEW, backfilled, source="file:x", is_file=True)

    assert list(await features.reread(reads)) == reads
    assert again.kept == 0


@pytest.mark.parametrize("many", [0, 100])
async def test_a_training_set_is_what_point_in_time_reads_give(
    store: Store, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(
        view_histories, "PAGE", 2
    )  # so that pages are cut in the middle of entities
    monkeypatch.setattr(
        view_histories, "MANY_ENTITIES", many
    )  # by the index, and as the table lies
    features, moments = await filled(store)
    rows = [(entity, moment_ms) for entity in ("p", "q", "nobody") for moment_ms in moments]
    history = await read_history(store, VIEW, ["p", "q", "nobody"])
    table = pa.table({"entity": [one for one, _ in rows], "at": [at_ms for _, at_ms in rows]})

    joined = training_set(table, [history], entity_column="entity", at_column="at").to_pylist()

    for (entity, moment_ms), row in zip(rows, joined, strict=True):
        read = await features.at(VIEW.ref, entity, moment_ms)
        assert {name: row[name] for name in read.values} == read.values


async def test_a_changed_definition_is_refused_by_every_process(store: Store) -> None:
    await Features(store, [VIEW], CLOCK).keep_definitions(code_digest)

    with pytest.raises(InvalidInput, match="give it version 2"):
        await Features(store, [policyholder(ttl="2h")], CLOCK).keep_definitions(code_digest)
