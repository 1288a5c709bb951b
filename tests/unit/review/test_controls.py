"""Control cases: added all or none, each once, and taken out again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from opsrail.clock import ManualClock
from opsrail.errors import Fault, InvalidInput, NotFound
from opsrail.ledger.chain import WriterChain
from opsrail.review.controls import Controls, Given, control_record
from opsrail.store.memory import MemoryStore
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.reviews import ControlRow

GOOD = {"queue": "claims-desk", "truth": "decline", "subject": {"input": {"amount": 950}}}


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    clock = ManualClock(lambda: 0.0)
    store = MemoryStore(WriterChain(clock), clock=clock)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def controls(store: MemoryStore) -> Controls:
    return Controls(store, ManualClock(lambda: 0.0))


def line(number: int = 1, **values: Any) -> Given:
    return Given(f"line {number}", {**GOOD, **values})


async def test_the_same_control_case_is_added_once_and_leaves_an_entry(
    controls: Controls, store: MemoryStore
) -> None:
    first = await controls.add([line(), line(2), line(3, truth="approve")], by="ann")
    again = await controls.add([line(4)], by="bob")
    entries = await store.select(LedgerEntryRow)

    assert (len(first.rows), first.unchanged, again.rows, again.unchanged) == (2, 0, [], 1)
    assert [entry.kind for entry in entries] == ["control.added"] * 2
    assert "decline" not in "".join(entry.body for entry in entries)
    assert control_record(first.rows[0])["subject"] == {
        "input": {"amount": 950},
        "decision": None,
        "show": None,
    }


async def test_every_fault_of_a_file_is_told_with_its_line_and_nothing_is_added(
    controls: Controls, store: MemoryStore
) -> None:
    given = [
        line(1),
        line(2, truth="review"),
        line(3, queue=""),
        line(4, subject={"decision": None}),
        line(5, subject={"input": 1, "decision": "x"}),
        line(6, extra=1),
        Given("line 7", {}, (Fault("", "is not JSON"),)),
    ]
    with pytest.raises(InvalidInput) as refused:
        await controls.add(given, by=" ")

    places = [fault.place for fault in refused.value.faults]
    assert places == [
        "by", "line 2 truth", "line 3 queue", "line 4 subject", "line 5 subject.decision", "line 6 extra", "line 7",
    ]  # fmt: skip
    assert await store.count(ControlRow) == {(): 0}


async def test_a_control_case_is_taken_out_and_only_once(controls: Controls) -> None:
    (row,) = (await controls.add([line()], by="ann")).rows
    await controls.remove(row.id, by="ann")

    assert await controls.listed() == []
    with pytest.raises(NotFound):
        await controls.remove(row.id, by="ann")


async def test_a_list_goes_on_behind_an_id(controls: Controls) -> None:
    await controls.add([line(n, subject={"input": n}) for n in range(5)], by="ann")
    await controls.add([line(9, queue="other")], by="ann")
    page = await controls.listed("claims-desk", limit=2)
    rest = await controls.listed("claims-desk", after=page[-1].id)

    assert (len(page), len(rest)) == (2, 3)
    assert {row.id for row in page}.isdisjoint(row.id for row in rest)
