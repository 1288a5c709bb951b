"""What arrives, or is cancelled, at an awkward moment: nothing is lost and nothing hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opsrail import Case, StepFailed, faults
from opsrail.cases.intake import Intake, Submission
from opsrail.cases.office import Office
from opsrail.clock import SystemClock
from opsrail.ledger.chain import WriterChain
from opsrail.store.sqlite import SqliteStore
from opsrail.testing import Rehearsal
from opsrail.testing.rehearsal import names_of
from opsrail.values.cases import (
    CaseRow,
    CaseState,
    InboxRow,
)
from opsrail.values.rows import Insert
from tests.unit.cases.rehearsed import Order, Receipt, defined
from tests.unit.cases.weak import (
    WeakStore,
    app_on,
    met,
    running,
    sets_state,
    submitted,
    until,
    waited,
    weak,
)

BOUND_S = 20.0


async def test_a_ruling_that_arrives_while_its_case_parks_wakes_it_after_the_park() -> None:
    async def run(case: Case, order: Order) -> Receipt:
        await asyncio.gather(case.review("first"), case.review("second"))
        return Receipt(text="both")

    class Slow(WeakStore):
        """Takes its time to answer that a case is parked."""

        async def commit(self, writes: Sequence[Any]) -> None:
            is_park = sets_state(CaseState.WAITING)(writes)
            await super().commit(writes)
            if is_park:
                await asyncio.sleep(0.05)

    clock = SystemClock()
    store = Slow(WriterChain(clock), clock=clock)
    async with running(app_on(store, defined(run), poll_s=60)) as app:
        case = await submitted(app)
        await until(app, case.id, CaseState.WAITING)
        await asyncio.sleep(0.1)
        await app.desk.rule(f"{case.id}-0", "approve", by="ann")

        async def waits_for_the_second() -> bool:
            row = await until(app, case.id, CaseState.WAITING)
            return row.waiting_for == f"review:{case.id}-1"

        await met(waits_for_the_second)
        await app.desk.rule(f"{case.id}-1", "approve", by="bob")
        row = await until(app, case.id, CaseState.SETTLED)

        assert row.outcome == '{"text":"both"}'


def test_a_case_wakes_although_something_else_arrived_for_it_too() -> None:
    async def run(case: Case, order: Order) -> Receipt:
        return Receipt(text=(await case.review("desk")).verdict)

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {})
        stray = InboxRow("zzz", case.id, "no-topic-of-the-case", "{}", 0)
        rehearsal._do(rehearsal.app.store.commit([Insert(stray)]))
        case = rehearsal.rule(case, "approve")

        assert case.state == CaseState.SETTLED


async def test_rulings_without_end_do_not_keep_others_from_running() -> None:
    async def run(case: Case, order: Order) -> Receipt:
        return Receipt(text="ran")

    store = weak()
    async with running(app_on(store, defined(run), at_once=1)) as app:
        event = store.changed(InboxRow)

        async def rulings() -> None:
            while True:
                event.set()
                await asyncio.sleep(0)

        storm = asyncio.create_task(rulings())
        elsewhere = Intake(store, app.clock, app.definitions.automations)
        case, _ = await elsewhere.accept(Submission("orders", {}, "test"))
        row = await until(app, case.id, CaseState.SETTLED)
        storm.cancel()

        assert row.outcome == '{"text":"ran"}'


async def test_who_came_first_is_not_overtaken_by_who_comes_now() -> None:
    begun: list[str] = []

    async def run(case: Case, order: Order) -> Receipt:
        begun.append(case.id)
        await case.step(waited, 0)
        return Receipt(text="ran")

    async with running(app_on(weak(), defined(run), at_once=1)) as app:
        rows = [await submitted(app) for _ in range(3)]
        while len(begun) < 12:
            rows.append(await submitted(app))
            await asyncio.sleep(0)
        for row in rows[:3]:
            await until(app, row.id, CaseState.SETTLED)

        assert begun[:3] == [row.id for row in rows[:3]]


async def test_a_case_is_cancelled_once_however_often_it_is_asked_for(tmp_path: Path) -> None:
    async def run(case: Case, order: Order) -> Receipt:
        await case.step(waited, 1_000)
        return Receipt(text="no")

    clock = SystemClock()
    store = SqliteStore(tmp_path / "db", chain=WriterChain(clock), clock=clock)
    async with running(app_on(store, defined(run))) as app:
        case = await submitted(app)
        await asyncio.sleep(0.01)

        async def is_over() -> bool:
            return not app.runner.cancel(case.id, "not wanted")

        await met(is_over)
        row = await Office(store, clock).get(case.id)

        assert (row.state, row.reason) == (CaseState.CANCELLED, "not wanted")


async def test_a_case_that_was_let_in_and_has_not_begun_is_cancelled() -> None:
    began: list[str] = []

    async def run(case: Case, order: Order) -> Receipt:
        began.append(case.id)
        return Receipt(text="ok")

    async with running(app_on(weak(), defined(run))) as app:
        case = await submitted(app)
        assert app.runner.cancel(case.id, "not wanted")  # nothing ran since it was let in
        case = await until(app, case.id, CaseState.CANCELLED)

        assert (case.reason, began) == ("not wanted", [])


async def test_a_case_is_cancelled_although_the_database_is_away_for_a_while() -> None:
    async def run(case: Case, order: Order) -> Receipt:
        await case.step(waited, 1_000)
        return Receipt(text="no")

    store = weak()
    store.refuses = sets_state(CaseState.CANCELLED)
    async with running(app_on(store, defined(run))) as app:
        case = await submitted(app)
        await asyncio.sleep(0.01)
        await Office(store, app.clock).cancel(case.id, "not wanted")
        row = await until(app, case.id, CaseState.CANCELLED)

        assert row.owner is None


async def test_a_case_that_parks_while_it_is_cancelled_is_cancelled() -> None:
    async def run(case: Case, order: Order) -> Receipt:
        await case.review("desk")
        return Receipt(text="no")

    store = weak()
    async with running(app_on(store, defined(run), poll_s=60)) as app:
        told: list[asyncio.Task[CaseRow]] = []

        def cancel() -> None:
            told.append(asyncio.create_task(Office(store, app.clock).cancel(case.id, "no")))

        with faults.armed("case.before_commit", cancel):
            case = await submitted(app)
            row = await until(app, case.id, CaseState.CANCELLED)

        assert await store.select(InboxRow) == []
        assert row.reason == "no"


def test_a_cancellation_that_the_code_made_itself_fails_the_case() -> None:
    async def run(case: Case, order: Order) -> Receipt:
        task = asyncio.create_task(asyncio.sleep(10))
        task.cancel()
        await task
        return Receipt(text="no")

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {})
        rehearsal.advance("10m")
        case = rehearsal.case(case.id)

        assert case.state == CaseState.SET_ASIDE
        assert "cancellation" in str(case.reason)


async def test_who_waited_for_a_case_leaves_nothing_behind() -> None:
    async def run(case: Case, order: Order) -> Receipt:
        return Receipt(text="ok")

    async with running(app_on(weak(), defined(run))) as app:
        case = await submitted(app)
        await until(app, case.id, CaseState.SETTLED)
        waiting = [app.runner.ending_of(case.id) for _ in range(3)]
        for future in waiting:
            app.runner.forget(case.id, future)

        assert app.runner._waiters == {}
        assert all(future.cancelled() for future in waiting)


def test_a_timeout_of_the_step_itself_is_told_as_what_it_is() -> None:
    async def reads() -> None:
        raise TimeoutError("the far side did not answer")

    async def run(case: Case, order: Order) -> Receipt:
        try:
            await case.step(reads)
        except StepFailed as failed:
            return Receipt(text=str(failed))
        return Receipt(text="no")

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {})

        assert "TimeoutError: the far side did not answer" in str(case.outcome)
        assert names_of(rehearsal.journal(case)) == ["failed reads"]
