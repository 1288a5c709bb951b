"""A training set knows nothing of later: it is what a loop over rows and values gives, and no value is of a row's future."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from opsrail.features.features import Features
from opsrail.lab.training import FoldHistory, ViewHistory, training_set
from opsrail.lab.view_histories import read_history
from opsrail.values.features import FactRow
from opsrail.values.rows import Insert
from tests.support.decisions import Road, make_history
from tests.support.views import naive_row

HUGE = 253_402_300_799_999
times = st.integers(0, 12) | st.sampled_from([-5, 50, HUGE, -HUGE])
values = st.lists(st.tuples(st.sampled_from("abc"), times, times), max_size=30)
rows = st.lists(st.tuples(st.sampled_from("abcd"), times), max_size=15)
ttls = st.none() | st.integers(1, 12)


@settings(deadline=None, max_examples=300)
@given(values, rows, ttls)
def test_no_value_of_later_gets_in_and_the_newest_known_does(
    values: list[tuple[str, int, int]], rows: list[tuple[str, int]], ttl_ms: int | None
) -> None:
    placed = [(*value, place) for place, value in enumerate(values)]
    history = kept(placed, ttl_ms)
    joined = joined_with(rows, history).column("place").to_pylist()

    assert joined == [naive_row(placed, entity, at_ms, ttl_ms) for entity, at_ms in rows]
    for (entity, at_ms), place in zip(rows, joined, strict=True):
        if place is not None:
            whose, event_at_ms, written_at_ms = values[place]
            assert whose == entity
            assert max(event_at_ms, written_at_ms) <= at_ms


@settings(deadline=None)
@given(values, rows, ttls, values)
def test_what_is_written_later_changes_no_row(
    values: list[tuple[str, int, int]],
    rows: list[tuple[str, int]],
    ttl_ms: int | None,
    more: list[tuple[str, int, int]],
) -> None:
    """Every value that comes to be known after all rows' moments leaves the training set as it was."""
    last_ms = max((at_ms for _, at_ms in rows), default=0)
    before = [(*value, place) for place, value in enumerate(values)]
    later = [
        (whose, event, min(max(written, last_ms + 1), HUGE), -1)
        for whose, event, written in more
        if last_ms < HUGE
    ]

    assert joined_with(rows, kept(before, ttl_ms)) == joined_with(
        rows, kept([*before, *later], ttl_ms)
    )


facts = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 8), st.booleans()), max_size=20)


@settings(deadline=None)
@given(facts, st.lists(st.tuples(st.sampled_from("abc"), st.integers(-1, 9)), max_size=12))
def test_a_folded_view_joins_what_a_point_in_time_read_gives(
    facts: list[tuple[str, int, bool]], rows: list[tuple[str, int]]
) -> None:
    async def go() -> None:
        view = make_history()
        road = Road(view)
        await road.store.open()
        inserts = [
            Insert(
                FactRow(
                    f"{place:026d}", view.name, 1, entity, f'{{"fraud":{int(fraud)}}}', None, at_ms
                )
            )
            for place, (entity, at_ms, fraud) in enumerate(facts)
        ]
        if inserts:
            await road.store.commit(inserts)
        features = Features(road.store, [view], road.clock)
        expected = [(await features.at(view.ref, entity, at_ms)).values for entity, at_ms in rows]
        history = await read_history(road.store, view, list({entity for entity, _ in rows}))
        assert isinstance(history, FoldHistory)
        table = joined_with(rows, history)
        got = [
            {"make_claims": claims, "make_frauds": frauds}
            for claims, frauds in zip(
                table.column("make_claims").to_pylist(),
                table.column("make_frauds").to_pylist(),
                strict=True,
            )
        ]

        assert got == expected

    asyncio.run(go())


def kept(placed: Sequence[tuple[str, int, int, int]], ttl_ms: int | None) -> ViewHistory:
    columns: dict[str, Any] = {
        "entity": pa.array([value[0] for value in placed], pa.string()),
        "event_at_ms": pa.array([value[1] for value in placed], pa.int64()),
        "written_at_ms": pa.array([value[2] for value in placed], pa.int64()),
        "place": pa.array([value[3] for value in placed], pa.int64()),
    }
    return ViewHistory("policyholder@1", {"place": int}, pa.table(columns), ttl_ms)


def joined_with(rows: Sequence[tuple[str, int]], history: ViewHistory | FoldHistory) -> pa.Table:
    table = pa.table(
        {
            "entity": pa.array([entity for entity, _ in rows], pa.string()),
            "at": pa.array([at_ms for _, at_ms in rows], pa.int64()),
        }
    )
    return training_set(table, [history], entity_column="entity", at_column="at")
