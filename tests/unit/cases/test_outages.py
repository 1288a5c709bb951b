"""What cannot be written, sent or carried on by its own process: it is done by another, or said."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from opsrail import Case, StepFailed
from opsrail.cases.journal import STORE_DOWN_S
from opsrail.cases.office import Office
from opsrail.clock import SystemClock
from opsrail.ledger.chain import WriterChain
from opsrail.store.sqlite import SqliteStore
from opsrail.testing import Rehearsal
from opsrail.values.cases import (
    CaseRow,
    CaseState,
    JournalRow,
    OutboxRow,
    OutboxState,
    WorkerRow,
)
from opsrail.values.rows import Insert, Update, Where
from tests.unit.cases.rehearsed import Function, Order, Receipt, defined
from tests.unit.cases.weak import (
    WeakStore,
    app_on,
    met,
    running,
    sets_state,
    submitted,
    until,
    weak,
)

BOUND_S = 20.0


async def test_an_ending_that_cannot_be_written_down_sets_the_case_aside(tmp_path: Path) -> None:
    async def run(case: Case, order: Order) -> Receipt:
        raise ValueError("half a pair \ud800 and a zero \0")

    clock = SystemClock()
    store = SqliteStore(tmp_path / "db", chain=WriterChain(clock), clock=clock)
    async with running(app_on(store, defined(run))) as app:
        case = await submitted(app)
        row = await until(app, case.id, CaseState.SET_ASIDE)

        assert row.failures == 3
        assert "half a pair ? and a zero \N{REPLACEMENT CHARACTER}" in str(row.reason)


def test_a_step_that_fails_with_a_strange_message_fails_like_any_other() -> None:
    async def strange() -> None:
        raise ValueError("half a pair \ud800")

    async def run(case: Case, order: Order) -> Receipt:
        try:
            await case.step(strange)
        except StepFailed:
            return Receipt(text="handled")
        return Receipt(text="no")

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {})

        assert case.outcome == '{"text":"handled"}'


async def test_a_commit_that_breaks_unexpectedly_does_not_leave_its_case_running() -> None:
    async def run(case: Case, order: Order) -> Receipt:
        return Receipt(text="ok")

    settles = sets_state(CaseState.SETTLED)

    def breaks(writes: Sequence[Any]) -> bool:
        if settles(writes):
            raise ArithmeticError("a fault of ours")
        return False

    store = weak()
    store.refuses = breaks
    async with running(app_on(store, defined(run))) as app:
        case = await submitted(app)
        failed = await until(app, case.id, CaseState.READY)
        row = await until(app, case.id, CaseState.SETTLED)

        assert "ArithmeticError" in str(failed.reason)
        assert row.reason is None


async def test_a_failure_written_down_without_an_answer_is_not_repeated_at_once() -> None:
    ran: list[int] = []

    async def run(case: Case, order: Order) -> Receipt:
        ran.append(1)
        if len(ran) == 1:
            raise ValueError("once")
        return Receipt(text="ok")

    store = weak()
    store.loses = sets_state(CaseState.READY)
    async with running(app_on(store, defined(run))) as app:
        case = await submitted(app)
        row = await until(app, case.id, CaseState.SETTLED)

        assert (row.outcome, len(ran)) == ('{"text":"ok"}', 2)


async def test_a_case_that_is_due_again_is_carried_once_although_its_first_end_got_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The retry comes at once and is still at work when the first run, without an answer, looks whose the case is."""
    ran: list[int] = []

    async def run(case: Case, order: Order) -> Receipt:
        ran.append(1)
        if len(ran) == 1:
            raise ValueError("once")
        await asyncio.sleep(2 * STORE_DOWN_S)
        return Receipt(text="ok")

    monkeypatch.setattr(SystemClock, "uniform", lambda clock: 0.0)  # no wait before the retry
    store = weak()
    store.loses = sets_state(CaseState.READY)
    async with running(app_on(store, defined(run), poll_s=0.05)) as app:
        case = await submitted(app)
        await until(app, case.id, CaseState.SETTLED)

        assert len(ran) == 2


async def test_a_worker_that_comes_alive_while_the_dead_are_buried_keeps_its_case() -> None:
    async def run(case: Case, order: Order) -> Receipt:
        return Receipt(text="ok")

    class Between(WeakStore):
        """Lets another worker come alive and claim between two reads of a burial."""

        reads = 0

        async def select(self, table: Any, *where: Any, **how: Any) -> Any:
            rows = await super().select(table, *where, **how)
            await self.born(table)
            return rows

        async def count(self, table: Any, *where: Any, **how: Any) -> Any:
            counted = await super().count(table, *where, **how)
            await self.born(table)
            return counted

        async def born(self, table: Any) -> None:
            self.reads += 1
            if self.reads == 2:  # after the look for silent ones and one read more
                await self.commit([Insert(WorkerRow("new", "host", 1, "alive", 0, 2**60))])
                await self.take(
                    CaseRow, Where("id", "=", row.id), set={"state": "running", "owner": "new"}
                )

    clock = SystemClock()
    store = Between(WriterChain(clock), clock=clock)
    store.reads = -(10**9)
    app = app_on(store, defined(run))
    await store.open()
    await app.worker.register()
    app.runner.more_due = True
    row = await submitted(app)
    store.reads = 0
    given_back = await app.worker.bury()

    assert given_back == 0
    assert (await Office(store, clock).get(row.id)).owner == "new"


async def test_work_of_an_earlier_life_of_the_process_writes_nothing() -> None:
    """A case that outlives the fencing of its worker must not go on under the new id of the same process."""
    gate = asyncio.Event()

    async def stubborn() -> int:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            await gate.wait()
        return 1

    async def run(case: Case, order: Order) -> Receipt:
        await case.step(stubborn)
        return Receipt(text="ok")

    store = weak()
    app = app_on(store, defined(run))
    await store.open()
    await app.worker.register()
    await submitted(app)
    await asyncio.sleep(0)
    await store.commit([Update(WorkerRow, (app.worker.id,), {"state": "dead"})])
    await app.worker.register()
    gate.set()
    for _ in range(20):
        await asyncio.sleep(0)

    assert await store.select(JournalRow) == []
    assert app.runner.held == 0


async def test_two_processes_on_one_store_share_the_cases_and_run_each_once() -> None:
    ran: list[str] = []

    async def run(case: Case, order: Order) -> Receipt:
        await case.step(noted, case.id)
        await case.review("desk")
        return Receipt(text="ok")

    async def noted(case_id: str) -> str:
        ran.append(case_id)
        return case_id

    store = weak()
    function: Function = run
    async with (
        running(app_on(store, defined(function))) as one,
        running(app_on(store, defined(function))) as two,
    ):
        rows = [await submitted(app) for app in (one, two) for _ in range(10)]
        for row in rows:
            await until(one, row.id, CaseState.WAITING)
        await asyncio.gather(*(two.desk.rule(f"{row.id}-1", "approve", by="ann") for row in rows))
        for row in rows:
            await until(one, row.id, CaseState.SETTLED)

    assert sorted(ran) == sorted(row.id for row in rows)


def test_an_action_whose_answer_has_no_json_form_was_done_all_the_same() -> None:
    keys: list[str] = []

    async def ship(key: str) -> bytes:
        keys.append(key)
        return b"\xff\xfe"

    async def run(case: Case, order: Order) -> Receipt:
        await case.act(definitions.automations["orders"].actions["ship"])
        return Receipt(text="ok")

    definitions = defined(run, ship=ship)
    with Rehearsal(definitions) as rehearsal:
        rehearsal.submit("orders", {})
        rehearsal.advance("1h")

        assert (len(keys), len(rehearsal.sent())) == (1, 1)


async def test_an_action_that_kills_its_process_each_time_is_dead_at_last() -> None:
    async def ship(key: str) -> None:
        raise AssertionError("it is not sent again")

    async def run(case: Case, order: Order) -> Receipt:
        return Receipt(text="ok")

    store = weak()
    row = OutboxRow(
        "k",
        "c",
        "orders",
        "ship",
        '{"args":[],"kwargs":{}}',
        "due",
        None,
        8,
        0,
        None,
        None,
        0,
        None,
    )
    async with running(app_on(store, defined(run, ship=ship))) as app:
        await app.store.commit([Insert(row)])

        async def is_marked() -> bool:
            now = await store.get(OutboxRow, "k")
            return now is not None and now.state != OutboxState.DUE

        await met(is_marked)
        (now,) = await store.select(OutboxRow)

        assert now.state == OutboxState.DEAD
        assert now.last_error == "Terminal: its process died at each attempt"


async def test_an_orderly_stop_waits_for_what_is_being_sent_and_nobody_sends_it_again() -> None:
    calls: list[str] = []
    begun, done = asyncio.Event(), asyncio.Event()

    async def ship(key: str) -> None:
        calls.append(key)
        begun.set()
        asyncio.get_running_loop().call_later(1.5, done.set)
        await done.wait()

    async def run(case: Case, order: Order) -> Receipt:
        await case.act(definitions.automations["orders"].actions["ship"])
        return Receipt(text="ok")

    definitions = defined(run, ship=ship)
    store = weak()
    async with running(app_on(store, definitions)) as app:
        case = await submitted(app)
        await until(app, case.id, CaseState.SETTLED)
        await begun.wait()
    await store.open()
    rows = await store.select(OutboxRow)

    assert [(row.state, row.attempts) for row in rows] == [("sent", 1)]
    assert len(calls) == 1
