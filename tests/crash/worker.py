"""One worker process: carries cases until its input ends, and does what lines on that input ask for.

`python -m tests.crash.worker FOLDER TRACES [STOP_AT [serves]]`. Lines in: `submit JSON`, `file PATH`, `rest`,
`shift SECONDS`.
Lines out, as JSON: `ready`, `acknowledged`, `refused`, `fed`, `rested`, `broken`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from opsrail import faults
from opsrail.app import App, build
from opsrail.cases.batch import FileRun
from opsrail.cases.files import check_file
from opsrail.cases.intake import Submission
from opsrail.clock import SystemClock
from opsrail.config import load
from opsrail.errors import AlreadyRuled, OpsrailError, Unavailable
from opsrail.values.cases import CaseRow, CaseState, OutboxRow, OutboxState
from opsrail.values.ledger import LedgerPendingRow
from opsrail.values.rows import Where
from opsrail.web.server import serve_running
from tests.crash.flow import NAME, defined

LOOK_S = 0.05
MOVING = (CaseState.READY, CaseState.RUNNING, CaseState.WAITING)


class SetClock(SystemClock):
    """A clock that somebody sets wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.offset_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.offset_ms


def say(what: str, **fields: Any) -> None:
    print(json.dumps({"what": what, **fields}), flush=True)


class Worker:
    """Answers the lines of its input."""

    def __init__(self, app: App, clock: SetClock, folder: Path) -> None:
        self._app = app
        self._clock = clock
        self._folder = folder

    async def answer(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        if verb == "submit":
            await self._submit(json.loads(rest))
        elif verb == "file":
            await self._feed(Path(rest))
        elif verb == "shift":
            self._clock.offset_ms += round(float(rest) * 1000)
            say("shifted", by_s=float(rest))
        else:
            await self._rest()

    async def _submit(self, given: dict[str, Any]) -> None:
        begun_s = time.monotonic()
        try:
            row, is_new = await self._app.intake.accept(
                Submission(NAME, given, "client", given["key"])
            )
        except OpsrailError as error:
            took_s = time.monotonic() - begun_s
            say("refused", key=given["key"], code=error.code, took_s=took_s)
        else:
            say("acknowledged", key=given["key"], case=row.id, is_new=is_new)

    async def _feed(self, path: Path) -> None:
        app, automation = self._app, self._app.definitions.automations[NAME]
        checked = await asyncio.to_thread(check_file, path, automation)
        run = FileRun(app.store, app.clock, app.intake, automation, checked)
        await run.begin()
        await run.feed()
        say("fed", accepted=run.accepted)

    async def _rest(self) -> None:
        """Answer when nothing can go on by itself any more."""
        while await self._is_moving():  # noqa: ASYNC110 - rows of other processes raise no event here
            await asyncio.sleep(LOOK_S)
        say("rested")

    async def _is_moving(self) -> bool:
        store = self._app.store
        try:
            return bool(
                await store.select(CaseRow, Where("state", "in", MOVING), limit=1)
                or await store.select(OutboxRow, Where("state", "=", OutboxState.DUE), limit=1)
                or await store.select(LedgerPendingRow, limit=1)
            )
        except Unavailable:
            return True

    async def rule(self) -> None:
        """Be the desk: approve whatever waits."""
        while True:
            try:
                for review in await self._app.desk.waiting():
                    await self._app.desk.rule(review.id, "approve", by="a-person")
            except (Unavailable, AlreadyRuled):
                pass
            if self._app.broken is not None:
                say("broken", why=str(self._app.broken))
            await asyncio.sleep(LOOK_S)


async def serve(app: App) -> None:
    await serve_running(app, port=0, announce=lambda url: say("serving", url=url))


async def work(folder: Path, traces: Path, stop_at: str = "", serves: str = "") -> None:
    clock = SetClock()
    app = build(load()[0], folder, defined(traces), runs=True, clock=clock)
    async with app.running():
        worker = Worker(app, clock, folder)
        point, _, nth = stop_at.partition(":")
        freeze = (
            faults.armed(point, lambda: os.kill(os.getpid(), signal.SIGSTOP), int(nth or 1))
            if point
            else nullcontext()
        )
        with freeze:
            desk = asyncio.create_task(worker.rule())
            door = asyncio.create_task(serve(app) if serves else asyncio.sleep(0))
            say("ready", worker=app.worker.id)
            answers: set[asyncio.Task[None]] = set()
            while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
                answers.add(asyncio.create_task(worker.answer(line)))
            for task in (desk, door, *answers):
                task.cancel()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    asyncio.run(work(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
