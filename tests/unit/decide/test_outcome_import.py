"""Outcomes from a file: checked whole, written once, and gone on with after an interruption."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsrail.decide import outcome_import
from opsrail.decide.outcome_import import Defaults, GivenRow, Imported, OutcomeImport
from opsrail.decide.outcomes import Outcomes, standing
from opsrail.errors import Fault, InvalidInput, StoreUnavailable
from opsrail.ledger.book import entries_about
from opsrail.ledger.chain import WriterChain
from opsrail.store.memory import MemoryStore
from opsrail.values.cases import KeyRow
from opsrail.values.outcomes import OutcomeRow
from opsrail.values.rows import Insert, Write
from tests.support import history
from tests.support.decisions import StillClock

COUNT = 1_200
SEEDS = count(1)


class Failing(MemoryStore):
    """A database that goes away after some commits."""

    left = 1_000_000

    async def commit(self, writes: Sequence[Write]) -> None:
        self.left -= 1
        if self.left < 0:
            raise StoreUnavailable("gone")
        await super().commit(writes)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def store(clock: StillClock) -> AsyncIterator[Failing]:
    store = Failing(WriterChain(clock), clock=clock)
    await store.open()
    made = [history.decision(n, at_ms=1_000, case_id=f"c{n // 2}") for n in range(COUNT)]
    await history.stored(store, made)
    keys = [KeyRow("case:claims", f"claim-{n}", "", f"c{n}", 0) for n in range(3)]
    await store.commit([Insert(key) for key in keys])
    await store.commit([Insert(history.row(history.decision(COUNT, point="price", case_id="c0")))])
    yield store
    await store.close()


def rows_of(told: Iterable[dict[str, Any]]) -> list[GivenRow]:
    return [GivenRow(line, values) for line, values in enumerate(told, 2)]


def plain_rows(count: int = COUNT) -> list[GivenRow]:
    """Rows as a CSV gives them: all text."""
    return rows_of(
        {"decision_id": history.decision_id(n), "value": str(n % 2), "name": "fraud", "by": ""}
        for n in range(count)
    )


async def imported(store: MemoryStore, rows: list[GivenRow], **options: Any) -> Imported:
    defaults = Defaults("bank", **options)
    return await OutcomeImport(store, StillClock(seed=next(SEEDS)), lambda: rows, defaults).run()


async def faults_in(store: MemoryStore, rows: list[GivenRow], **options: Any) -> list[str]:
    with pytest.raises(InvalidInput) as refused:
        await imported(store, rows, **options)
    assert await store.select(OutcomeRow) == []
    return [str(fault) for fault in refused.value.faults]


async def test_every_row_is_written_with_its_ledger_entry_and_none_twice(store: Failing) -> None:
    first = await imported(store, plain_rows())
    again = await imported(store, plain_rows())

    assert first == Imported(COUNT, COUNT, 0)
    assert again == Imported(COUNT, 0, COUNT)
    (row,) = await Outcomes(store, StillClock()).of(history.decision_id(3))
    assert row[2:7] == ("fraud", 1.0, "import", 1.0, "bank")
    assert len(await entries_about(store, history.decision_id(3))) == 1


async def test_an_import_that_was_stopped_goes_on_where_it_was(store: Failing) -> None:
    store.left = 1
    with pytest.raises(StoreUnavailable):
        await imported(store, plain_rows())
    written = len(await store.select(OutcomeRow, limit=COUNT))
    store.left = 1_000
    rest = await imported(store, plain_rows())

    assert 0 < written < COUNT
    assert rest == Imported(COUNT, COUNT - written, written)
    assert len(await store.select(OutcomeRow, limit=2 * COUNT)) == COUNT


async def test_a_file_that_says_otherwise_corrects_what_stands(store: Failing) -> None:
    await imported(store, plain_rows(2))
    turned = rows_of(
        {"decision_id": history.decision_id(n), "value": "yes", "name": "fraud"} for n in range(2)
    )
    done = await imported(store, turned)

    outcomes = Outcomes(store, StillClock())
    assert done == Imported(2, 1, 1)
    held = standing(await outcomes.of(history.decision_id(0)))
    assert (held["fraud"].value, len(await outcomes.of(history.decision_id(0)))) == (1.0, 2)


async def test_all_faults_of_all_rows_are_told_with_their_lines(store: Failing) -> None:
    good = {"decision_id": history.decision_id(1), "value": 1}
    rows = rows_of(
        [
            good,
            {**good, "value": "maybe"},
            {"decision_id": "nothing", "value": 1},
            {**good, "value": 0},
            {**good, "ratio": 2, "source": "rumour", "known_at": "soon"},
            {**good, "ratio": 2, "source": "rumour"},
            {"value": 1},
            {**good, "amount": 5},
            {"case_key": "claim-0", "value": 1},
        ]
    )
    rows.append(GivenRow(11, {}, [Fault("line 11", "has 1 cell; the first line names 2")]))

    assert await faults_in(store, rows, name="fraud") == [
        "line 3: value: 'maybe' is no number, yes or no",
        "line 6: known_at: 'soon' is no moment; write it like 2026-05-03T14:03Z",
        "line 8: decision_id: give a decision_id or a case_key, one of them",
        f"line 9: amount: is no column of outcomes; there are: {', '.join(outcome_import.COLUMNS)}",
        "line 10: case_key: of which automation? give --automation",
        "line 11: has 1 cell; the first line names 2",
        "line 4: decision_id: no decision 'nothing'",
        "line 7: source: 'rumour' is none of review, audit, late, import",
        "line 7: ratio: 2.0 is no probability above 0 and up to 1",
        f"line 5: value: fraud of decision {history.decision_id(1)} is 1 in line 2; keep one of them",
    ]


async def test_a_name_is_needed(store: Failing) -> None:
    rows = rows_of([{"decision_id": history.decision_id(1), "value": 1}])

    assert await faults_in(store, rows) == [
        "line 2: name: is not told; give a column `name`, or --name"
    ]


async def test_faults_beyond_a_thousand_are_counted(store: Failing) -> None:
    found = await faults_in(store, rows_of([{"value": "x"}] * 700), name="fraud")

    assert len(found) == outcome_import.MOST_FAULTS + 1
    assert found[-1] == "and 400 faults more"


async def test_a_case_is_named_by_its_key_and_its_decision_by_the_point(store: Failing) -> None:
    rows = rows_of([{"case_key": "claim-0", "value": True}])
    done = await imported(store, rows, name="fraud", automation="claims", point="price")

    assert done.recorded == 1
    assert await Outcomes(store, StillClock()).of(history.decision_id(COUNT))


async def test_a_case_key_that_names_no_one_decision_is_a_fault(store: Failing) -> None:
    rows = rows_of([{"case_key": "claim-1", "value": 1}, {"case_key": "claim-9", "value": 1}])
    of_all = await faults_in(store, rows, name="fraud", automation="claims")
    of_point = await faults_in(store, rows, name="fraud", automation="claims", point="price")

    assert of_all == [
        "line 2: case_key: the case 'claim-1' made 2 decisions; give --point, or give the decision_id",
        "line 3: case_key: no case of claims has key 'claim-9'",
    ]
    assert "made 0 decisions at price" in of_point[0]


async def test_a_file_that_changes_between_checking_and_writing_is_refused(store: Failing) -> None:
    reads: list[list[GivenRow]] = [plain_rows(2), rows_of([{"value": "x"}])]
    work = OutcomeImport(store, StillClock(), lambda: reads.pop(0), Defaults("bank"))
    with pytest.raises(InvalidInput, match="changed while it was read"):
        await work.run()

    assert await store.select(OutcomeRow) == []


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from((*outcome_import.COLUMNS, "else")),
            st.one_of(st.none(), st.text(), st.floats(), st.booleans(), st.integers()),
        )
    )
)
async def test_whatever_stands_in_a_file_it_is_refused_or_written(
    told: list[dict[str, Any]],
) -> None:
    clock = StillClock()
    store = MemoryStore(WriterChain(clock), clock=clock)
    await store.open()
    try:
        await imported(store, rows_of(told), name="fraud", automation="claims")
    except InvalidInput:
        assert await store.select(OutcomeRow) == []
