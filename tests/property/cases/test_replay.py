"""Whatever an automation does and wherever its process dies, it ends as if nothing had happened."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from opsrail import Action, Automation, Case, StepFailed, Terminal, faults
from opsrail.cases.intake import Submission
from opsrail.cases.loader import Definitions
from opsrail.ledger.chain import WriterChain
from opsrail.store.memory import MemoryStore
from opsrail.testing import Rehearsal
from opsrail.values.cases import CaseState

T = TypeVar("T")
Program = Sequence[tuple[str, Any]]
POINTS = (
    "case.step_ran",
    "case.step_durable",
    "case.before_commit",
    "case.after_commit",
    "case.claimed",
    "commit.begun",
    "commit.done",
    "outbox.before_send",
    "outbox.after_send",
    "review.before_ruling",
    "review.after_ruling",
)
LOOKS = 60
"""Times a case is helped on (a ruling, an hour) before it counts as stuck; programs need under 20."""


class Nothing(BaseModel):
    """Input."""


class Told(BaseModel):
    """Outcome: what the program saw, in order."""

    lines: list[str]


class Killed(Exception):
    """The process died."""


async def waited(length: int) -> int:
    await asyncio.sleep(length)
    return length


def threaded(number: int) -> int:
    return number + 1


async def shown(value: str) -> str:
    return "seen"


async def refused(number: int) -> None:
    await asyncio.sleep(number)
    raise Terminal(f"never {number}")


async def ship(key: str, number: int) -> str:
    return key


async def play(case: Case, program: Program, act: Action[[int]]) -> list[str]:
    """Do what a program says; what is read from time and chance goes into a step's arguments, where a change is noticed."""
    told: list[str] = []
    for kind, argument in program:
        if kind == "step":
            told.append(str(await case.step(waited, argument)))
        elif kind == "thread":
            told.append(str(await case.step(threaded, argument)))
        elif kind == "fail":
            try:
                await case.step(refused, argument)
            except StepFailed:
                told.append("failed")
        elif kind == "now":
            told.append(await case.step(shown, str(await case.now())))
        elif kind == "random":
            told.append(await case.step(shown, str(await case.random())))
        elif kind == "act":
            told.append((await case.act(act, argument)).removeprefix(case.id))
        elif kind == "sleep":
            await case.sleep(60.0 * argument)
        elif kind == "review":
            told.append((await case.review(f"desk-{argument}")).verdict)
        elif kind == "if-odd":
            if len(told) % 2:
                told += await play(case, argument, act)
        elif kind == "gather":
            branches = await asyncio.gather(*(play(case, branch, act) for branch in argument))
            told += [line for branch in branches for line in branch]
        else:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(play(case, branch, act)) for branch in argument]
            told += [line for task in tasks for line in task.result()]
    return told


def defined(program: Program) -> Definitions:
    automation = Automation("programs", case=Nothing, outcome=Told)
    act = automation.action()(ship)

    async def run(case: Case, given: Nothing) -> Told:
        return Told(lines=await play(case, program, act))

    automation.run(run)
    return Definitions({"programs": automation}, {}, (), (__file__,))


class MortalStore(MemoryStore):
    """Rows that the process reaches no more once it is dead."""

    is_reached = True

    async def commit(self, writes: Any) -> None:
        await self._reached()
        await super().commit(writes)

    async def take(self, table: type[Any], *where: Any, **how: Any) -> list[Any]:
        await self._reached()
        return await super().take(table, *where, **how)

    async def _reached(self) -> None:
        if not self.is_reached:
            await asyncio.get_running_loop().create_future()


class MortalRehearsal(Rehearsal):
    """A rehearsal whose process can be killed at a crash point."""

    def __init__(self, source: Definitions) -> None:
        super().__init__(source)
        self._store: MortalStore = MortalStore(WriterChain(self.clock), clock=self.clock)
        self.app = self._app()

    def kill(self) -> None:
        self._store.is_reached = False
        self._loop.stop()

    def restart(self) -> None:
        self._store.is_reached = True
        super().restart()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return super()._do(work)
        except RuntimeError as stopped:
            if self._store.is_reached:
                raise
            raise Killed from stopped


class Seen(NamedTuple):
    """What can be told of a case from outside; time, chance and ids left out."""

    state: str
    outcome: str | None
    reason: str | None
    journal: list[tuple[int, str, str, str]]
    sent: list[tuple[str, str, tuple[Any, ...]]]


def seen_after(program: Program, crashes: Sequence[tuple[str, int]]) -> Seen:
    with MortalRehearsal(defined(program)) as rehearsal:
        row, _ = rehearsal._do(rehearsal.app.intake.accept(Submission("programs", {}, "test")))
        for point, nth in crashes:
            try:
                with faults.armed(point, rehearsal.kill, nth):
                    helped_on(rehearsal, row.id)
            except Killed:
                rehearsal.restart()
        helped_on(rehearsal, row.id)
        case = rehearsal.case(row.id)
        journal = [
            (
                entry.seq,
                entry.kind,
                entry.name,
                entry.result.replace(row.id, "") if entry.kind in ("step", "failed", "act") else "",
            )
            for entry in rehearsal.journal(row.id)
        ]
        sent = [(one.name, one.key.removeprefix(row.id), one.args) for one in rehearsal.sent()]
        return Seen(case.state, case.outcome, case.reason, journal, sorted(sent))


def helped_on(rehearsal: MortalRehearsal, case_id: str) -> None:
    """Rule on what waits and let time pass until the case is at its end."""
    for _ in range(LOOKS):
        case = rehearsal.case(case_id)
        if case.state not in (CaseState.WAITING, CaseState.READY, CaseState.RUNNING):
            rehearsal.advance("1h")  # what is to be sent is sent
            return
        waiting = [review for review in rehearsal.reviews(case_id) if review.ruling is None]
        if waiting:
            rehearsal._do(rehearsal.app.desk.rule(waiting[0].id, "approve", by="a-person"))
        else:
            rehearsal.advance("1h")
    raise AssertionError(f"the case is stuck: {rehearsal.case(case_id)}")


calls = st.tuples(
    st.sampled_from(["step", "fail", "now", "random", "act", "sleep", "review", "thread"]),
    st.integers(0, 3),
)
lines = st.lists(calls, min_size=1, max_size=3)
branches = st.tuples(st.sampled_from(["gather", "group"]), st.lists(lines, min_size=2, max_size=3))
# A branch makes a call before it branches out itself: `Journal` says why.
branching = st.tuples(calls, branches, calls | branches).map(list)
nested = st.tuples(st.just("gather"), st.lists(branching | lines, min_size=2, max_size=2))
programs = st.lists(
    calls | branches | nested | st.tuples(st.just("if-odd"), lines), min_size=1, max_size=3
)
crashes = st.lists(st.tuples(st.sampled_from(POINTS), st.integers(1, 8)), min_size=1, max_size=2)


@settings(max_examples=150, deadline=None)
@given(programs, crashes)
def test_a_case_ends_as_if_its_process_had_never_died(
    program: Program, crashes: Sequence[tuple[str, int]]
) -> None:
    undisturbed = seen_after(program, [])

    assert undisturbed.state == CaseState.SETTLED, undisturbed
    assert seen_after(program, crashes) == undisturbed


def test_a_death_after_any_commit_of_a_rich_case_changes_nothing() -> None:
    program: Program = [
        ("now", 0),
        ("gather", [[("step", 2), ("act", 1)], [("fail", 1), ("step", 0), ("review", 1)]]),
        ("group", [[("review", 0), ("step", 1)], [("random", 0), ("sleep", 3), ("thread", 1)]]),
        ("act", 2),
    ]
    undisturbed = seen_after(program, [])
    deaths = [seen_after(program, [("commit.done", nth)]) for nth in range(1, 30)]

    assert undisturbed.state == CaseState.SETTLED
    assert [death for death in deaths if death != undisturbed] == []
