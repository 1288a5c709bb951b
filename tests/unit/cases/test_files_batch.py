from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import BaseModel

from opsrail import Automation, Case
from opsrail.cases.batch import PAGE_ROWS, FileRun, Standing
from opsrail.cases.files import check_file
from opsrail.cases.intake import Intake
from opsrail.errors import Conflict, StoreUnavailable
from opsrail.ledger.chain import WriterChain
from opsrail.store.memory import MemoryStore
from opsrail.testing import JumpingLoop, ManualClock
from opsrail.values.cases import CaseRow, CaseState, InboxRow
from opsrail.values.intake import FileRow
from opsrail.values.rows import Insert, Update, Value, Where, Write

T = TypeVar("T")


class Order(BaseModel):
    id: int


orders = Automation("orders", case=Order, outcome=Order)


@orders.run
async def handle(case: Case, order: Order) -> Order:
    return order


class Flaky(MemoryStore):
    """A database whose commits fail on demand: before they are written, or after, with the answer lost."""

    lost: str = ""

    async def commit(self, writes: Sequence[Write]) -> None:
        lost, self.lost = self.lost, ""
        if lost == "before":
            raise StoreUnavailable("the disk is full")
        await super().commit(writes)
        if lost == "after":
            raise StoreUnavailable("the server went away")


class World:
    """A file of orders, and the rooms that take it in."""

    def __init__(self, path: Path, rows: int, *, backlog: int = 10_000) -> None:
        path.write_text("id\n" + "".join(f"{number}\n" for number in range(rows)))
        self.loop = JumpingLoop()
        self.clock = ManualClock(self.loop.time)
        self.store = Flaky(WriterChain(self.clock), clock=self.clock)
        self.intake = Intake(self.store, self.clock, {"orders": orders}, backlog=backlog)
        self.checked = check_file(path, orders)

    def played(self, play: Coroutine[Any, Any, T]) -> T:
        """Run a play on the loop and close it."""
        try:
            self.loop.run_until_complete(self.store.open())
            return self.loop.run_until_complete(play)
        finally:
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()

    def file_run(self) -> FileRun:
        return FileRun(self.store, self.clock, self.intake, orders, self.checked)

    async def inputs(self) -> list[int]:
        rows = await self.store.select(CaseRow, limit=100_000)
        return sorted(Order.model_validate_json(row.input).id for row in rows)

    async def settle_all(self) -> None:
        await self.store.take(
            CaseRow,
            Where("state", "=", CaseState.READY),
            set={"state": CaseState.SETTLED},
            limit=100_000,
        )


def test_every_good_row_becomes_one_case_page_by_page(tmp_path: Path) -> None:
    world = World(tmp_path / "a.csv", 2 * PAGE_ROWS + 1)

    async def play() -> tuple[int, int, list[int]]:
        run = world.file_run()
        earlier = await run.begin()
        await run.feed()
        return earlier, run.new, await world.inputs()

    earlier, new, inputs = world.played(play())

    assert (earlier, new) == (0, 2 * PAGE_ROWS + 1)
    assert inputs == list(range(2 * PAGE_ROWS + 1))


@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_page_whose_answer_was_lost_is_neither_lost_nor_doubled(
    tmp_path: Path, lost: str
) -> None:
    world = World(tmp_path / "a.csv", PAGE_ROWS + 3)

    async def play() -> list[int]:
        run = world.file_run()
        await run.begin()
        world.store.lost = lost
        await run.feed()
        return await world.inputs()

    assert world.played(play()) == list(range(PAGE_ROWS + 3))


def test_a_page_that_waits_for_the_database_says_why_until_it_is_in(tmp_path: Path) -> None:
    world = World(tmp_path / "a.csv", 3)

    async def play() -> list[str | None]:
        run = world.file_run()
        await run.begin()
        told = [run.held]
        world.store.lost = "before"
        feeding = asyncio.create_task(run.feed())
        while run.held is None:  # noqa: ASYNC110 - the page is read by a thread
            await asyncio.sleep(0)
        told.append(run.held)
        await feeding
        return [*told, run.held]

    assert world.played(play()) == [None, "the disk is full", None]


def test_a_full_backlog_is_waited_for(tmp_path: Path) -> None:
    world = World(tmp_path / "a.csv", 3 * PAGE_ROWS, backlog=PAGE_ROWS)

    async def play() -> tuple[int, list[int]]:
        run = world.file_run()
        await run.begin()
        feeding = asyncio.create_task(run.feed())
        await asyncio.sleep(30)
        stuck_at = run.accepted
        while not feeding.done():
            await world.settle_all()
            await asyncio.sleep(3)
        await feeding
        return stuck_at, await world.inputs()

    stuck_at, inputs = world.played(play())

    assert stuck_at == PAGE_ROWS
    assert inputs == list(range(3 * PAGE_ROWS))


def test_a_second_run_of_a_file_goes_on_behind_its_cursor(tmp_path: Path) -> None:
    world = World(tmp_path / "a.csv", PAGE_ROWS + 3)

    async def play() -> tuple[int, int, list[int]]:
        first = world.file_run()
        await first.begin()
        await first.feed()
        second = world.file_run()
        earlier = await second.begin()
        await second.feed()
        return earlier, second.new, await world.inputs()

    assert world.played(play()) == (PAGE_ROWS + 3, 0, list(range(PAGE_ROWS + 3)))


def test_a_cursor_that_somebody_else_moved_stops_the_run(tmp_path: Path) -> None:
    world = World(tmp_path / "a.csv", PAGE_ROWS + 3)

    async def play() -> None:
        run = world.file_run()
        await run.begin()
        await world.store.commit([Update(FileRow, (world.checked.digest,), {"accepted": 7})])
        await run.feed()

    with pytest.raises(Conflict, match="accepted by another process too"):
        world.played(play())


def test_a_run_may_go_on_while_something_can_happen_without_a_person(tmp_path: Path) -> None:
    world = World(tmp_path / "a.csv", 5)
    states: dict[int, Mapping[str, Value]] = {
        0: {"state": CaseState.WAITING, "waiting_for": "review:x", "due_at_ms": None},
        1: {"state": CaseState.WAITING, "waiting_for": "timer"},
        2: {"state": CaseState.SET_ASIDE},
        3: {"state": CaseState.SETTLED},
    }

    async def play() -> tuple[Standing, bool, bool]:
        run = world.file_run()
        await run.begin()
        await run.feed()
        rows = await world.store.select(CaseRow)
        for row in rows:
            if change := states.get(Order.model_validate_json(row.input).id):
                await world.store.commit([Update(CaseRow, (row.id,), change)])
        before = await run.is_woken()
        parked = next(
            row.id for row in await world.store.select(CaseRow) if row.waiting_for == "review:x"
        )
        await world.store.commit([Insert(InboxRow("ruling-x", parked, "review:x", "{}", 0))])
        return await run.standing(), before, await run.is_woken()

    standing, before, after = world.played(play())

    assert standing == Standing(settled=1, waiting=1, timers=1, set_aside=1, running=1)
    assert standing.cases == 5
    assert standing.may_go_on
    assert (before, after) == (False, True)


def test_held_actions_do_not_keep_a_run_going() -> None:
    assert not Standing(settled=3, held_actions=2, dead_actions=1, waiting=4).may_go_on
    assert Standing(due_actions=1).may_go_on
