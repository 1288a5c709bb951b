"""Code of one case that runs at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from opsrail import Case
from opsrail.clock import SystemClock
from opsrail.ledger.chain import WriterChain
from opsrail.store.sqlite import SqliteStore
from opsrail.testing import Rehearsal
from opsrail.values.cases import (
    CaseState,
)
from opsrail.values.reviews import ReviewRow
from opsrail.values.rows import Insert
from tests.unit.cases.rehearsed import Order, Receipt, defined
from tests.unit.cases.weak import app_on, at_once, running, submitted, until, waited, weak

BOUND_S = 20.0


def test_branches_that_run_at_once_find_their_calls_again_however_fast_they_are() -> None:
    async def branch(case: Case, first: int, second: int) -> str:
        return f"{await case.step(waited, first)}{await case.step(waited, second)}"

    async def run(case: Case, order: Order) -> Receipt:
        pairs = await asyncio.gather(branch(case, 3, 4), branch(case, 1, 2))
        await case.review("desk")
        return Receipt(text=" ".join(pairs))

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {})
        case = rehearsal.rule(case, "approve")

        assert (case.state, case.outcome) == (CaseState.SETTLED, '{"text":"34 12"}')


def test_branches_of_branches_have_numbers_of_their_own() -> None:
    async def leaf(case: Case, length: int) -> int:
        return await case.step(waited, length) + await case.step(waited, 1)

    async def branch(case: Case, length: int) -> int:
        await case.step(waited, length)
        return sum(await asyncio.gather(leaf(case, 2), leaf(case, length)))

    async def run(case: Case, order: Order) -> Receipt:
        sums = await asyncio.gather(branch(case, 3), branch(case, 1))
        await case.sleep("1h")
        return Receipt(text=str(sums))

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {})
        numbers = [entry.seq for entry in rehearsal.journal(case)]
        rehearsal.advance("2h")

        assert rehearsal.case(case.id).outcome == '{"text":"[7, 5]"}'
        assert len(set(numbers)) == 11


@pytest.mark.parametrize("is_group", [False, True])
def test_a_step_beside_a_review_is_not_run_again_by_the_park(is_group: bool) -> None:
    ran: list[int] = []

    async def slow() -> int:
        ran.append(1)
        await asyncio.sleep(5)
        return 5

    async def run(case: Case, order: Order) -> Receipt:
        if is_group:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(case.review("desk")), group.create_task(case.step(slow))]
            return Receipt(text=str(tasks[1].result()))
        _, five = await asyncio.gather(case.review("desk"), case.step(slow))
        return Receipt(text=str(five))

    with Rehearsal(defined(run)) as rehearsal:
        case = rehearsal.submit("orders", {})
        case = rehearsal.rule(case, "approve")

        assert (case.outcome, ran) == ('{"text":"5"}', [1])


async def test_a_review_beside_a_timer_is_opened_with_it(tmp_path: Path) -> None:
    """On a database the review is looked up first, while the timer already wants to park."""

    async def run(case: Case, order: Order) -> Receipt:
        await case.review("first")
        await asyncio.gather(case.sleep("1h"), case.review("second"))
        return Receipt(text="done")

    clock = SystemClock()
    store = SqliteStore(tmp_path / "db", chain=WriterChain(clock), clock=clock)
    async with running(app_on(store, defined(run))) as app:
        case = await submitted(app)
        row = await until(app, case.id, CaseState.WAITING)
        await app.desk.rule(f"{case.id}-0", "approve", by="ann")
        while row.due_at_ms is None:
            row = await until(app, case.id, CaseState.WAITING)

        assert row.waiting_for == f"review:{case.id}-2"
        assert [review.queue for review in await app.desk.waiting()] == ["second"]


async def test_a_case_never_parks_for_a_review_whose_commit_was_given_up() -> None:
    """The step's commit carries the review's row; the author's own limit cancels it while the database is away."""
    is_away = [True]

    def refuses(writes: Sequence[Any]) -> bool:
        carries = any(
            isinstance(write, Insert) and isinstance(write.row, ReviewRow) for write in writes
        )
        return carries and bool(is_away)

    async def limited(case: Case) -> None:
        try:
            async with asyncio.timeout(0.05):
                await case.step(at_once)
        except TimeoutError:
            is_away.clear()

    async def run(case: Case, order: Order) -> Receipt:
        ruling, _ = await asyncio.gather(case.review("desk"), limited(case))
        return Receipt(text=ruling.verdict)

    store = weak()
    store.refuses = refuses
    async with running(app_on(store, defined(run))) as app:
        case = await submitted(app)
        await until(app, case.id, CaseState.WAITING)
        await app.desk.rule(f"{case.id}-0", "approve", by="ann")
        row = await until(app, case.id, CaseState.SETTLED)

        assert row.outcome == '{"text":"approve"}'
