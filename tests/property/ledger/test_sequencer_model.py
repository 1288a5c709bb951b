"""Several sequencers, failing commits, jumping clocks, new boots: whatever the order, the book stays one and whole."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from opsrail import faults
from opsrail.errors import StoreUnavailable
from opsrail.ledger import book
from opsrail.ledger.sequencer import Sequencer
from opsrail.values.ledger import CheckpointRow, LedgerLeaderRow
from tests.unit.ledger.desk import Desk

WORKERS = 3
LOST = ("commit.begun", "commit.written", "commit.done")
STEPS = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 300)),
    st.tuples(st.just("renew"), st.just(0)),
    st.tuples(st.just("tick"), st.integers(0, WORKERS - 1)),
    st.tuples(st.just("reboot"), st.integers(0, WORKERS - 1)),
    st.tuples(st.just("wait"), st.sampled_from([100, 3_000, 10_000])),
    st.tuples(st.just("race"), st.just(0)),
    st.tuples(st.just("lose"), st.integers(0, WORKERS * len(LOST) * 2 - 1)),
)


def lose() -> None:
    raise StoreUnavailable("the server went away")


async def play(steps: list[tuple[str, int]], folder: Path) -> None:
    desk = Desk(folder)
    await desk.store.open()
    workers: list[Sequencer] = [desk.another(f"worker-{number}") for number in range(WORKERS)]
    boots = WORKERS
    appended = 0
    notes: list[str] = []
    for step, number in steps:
        if step == "append":
            await desk.append(number)
            appended += number
        elif step == "renew":
            desk.chain.renew()
        elif step == "tick":
            await workers[number].tick()
        elif step == "race":
            await asyncio.gather(*(worker.tick() for worker in workers))
        elif step == "reboot":
            workers[number], boots = desk.another(f"worker-{boots}"), boots + 1
        elif step == "wait":
            desk.clock.wall_ms += number
        else:
            worker, rest = divmod(number, len(LOST) * 2)
            with (
                faults.armed(LOST[rest // 2], lose, rest % 2 + 1),
                contextlib.suppress(StoreUnavailable),
            ):
                await workers[worker].tick()
        if (note := desk.anchor.read()) and note not in notes:
            notes.append(note)
    desk.clock.wall_ms += 10_000
    await workers[0].tick()
    report = await book.verify(desk.store, desk.known, notes)
    checkpoints = await desk.store.select(CheckpointRow)
    leader = await desk.store.get(LedgerLeaderRow, "sequencer")

    assert report.faults == ()
    assert (report.entries, report.waiting) == (appended, 0)
    assert (leader.size if leader else 0) == appended
    assert [row.epoch for row in checkpoints] == sorted(row.epoch for row in checkpoints)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_the_book_stays_whole_whoever_leads_and_whatever_fails(
    steps: list[tuple[str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(steps, Path(folder)))
