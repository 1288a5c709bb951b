"""The automation that crash tests run: each kind of call a case can make, and traces of everything it does outside.

The result of a step is the process it ran in, so that a journal tells who wrote it. Traces are lines appended to files,
which a kill cannot tear: `steps` gets one when a step begins, `sent` is the far side.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from opsrail import Automation, Band, Case, DecisionPoint, Policy, Queue
from opsrail.cases.loader import Definitions

CANARY = "canary-7f3a9c"
"""Stands in each input as a personal value would; no log may hold it."""
NAME = "chaos"
POINT = "risk"
QUEUE = "desk"
HELD = Queue(QUEUE, undo="100ms")
"""A ruling is held for a moment before it goes to its case: a process may die in between, too."""


class Work(BaseModel):
    """Input of a case.

    Attributes:
        key: Names the case across tries of the load client.
        kind: `whole`: every kind of call; `steps`: `count` steps; `naps`: a sleep of `span_s`; `fails`: raises until
            it is mended; `kills`: ends its process after a step.
        span_s: Length of each step, or of the sleep.
    """

    key: str
    kind: str = "whole"
    count: int = 3
    span_s: float = 0.0
    person: str = CANARY


class Done(BaseModel):
    """Outcome of a case."""

    key: str


def note(path: Path, **fields: Any) -> None:
    """Append one line that no kill can tear; its time is the machine's monotonic clock, the same in all processes."""
    line = json.dumps({**fields, "pid": os.getpid(), "at_s": time.monotonic()}) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def defined(traces: Path) -> Definitions:
    """Return the automation; what its cases do is noted in the folder `traces`."""
    steps, sent, woken = (traces / name for name in ("steps", "sent", "woken"))
    risk = DecisionPoint(
        POINT,
        request=Work,
        policy=Policy(bands=[Band("review", below=1.01)], without_score="review"),
    )
    chaos = Automation(NAME, case=Work, outcome=Done)

    @chaos.action()
    def pay(key: str, work: Work, *, amount: int) -> str:
        note(sent, key=key, body=f"{work.key} {amount}")
        return "paid"

    def counted(work: Work, number: int) -> int:
        note(steps, key=work.key, number=number)
        time.sleep(work.span_s)
        return os.getpid()

    async def counted_on_the_loop(work: Work, number: int) -> int:
        note(steps, key=work.key, number=number)
        await asyncio.sleep(work.span_s)
        return os.getpid()

    def killed(work: Work) -> int:
        note(steps, key=work.key, number=-1)
        os._exit(137)

    @chaos.run
    async def carry(case: Case, work: Work) -> Done:
        if work.kind == "naps":
            await case.sleep(work.span_s)
            note(woken, key=work.key)
            return Done(key=work.key)
        for number in range(work.count):
            step = counted if number % 2 else counted_on_the_loop
            await case.step(step, work, number)
        if work.kind == "fails" and not (traces / "mended").exists():
            raise ValueError("this case does not work")
        if work.kind == "kills":
            await case.step(killed, work)
        if work.kind == "whole":
            decision = await case.decide(risk, work)
            await case.sleep(0.05)
            ruling = await case.review(HELD, decision)
            await case.act(pay, work, amount=len(ruling.verdict))
        return Done(key=work.key)

    return Definitions({NAME: chaos}, {POINT: risk}, (), (__file__,))
