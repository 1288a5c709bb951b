"""Keeps jobs and runs them, one at a time on a database, each in a process of its own that stands behind decisions.

The row is the truth: who cancels a job changes its row, and whoever runs it sees that and ends its process. A job whose
process or server died is waiting again, and is begun anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from opsrail.clock import Clock, rfc3339_or_none
from opsrail.errors import Conflict, NotFound, Overloaded, StaleWrite, Unavailable
from opsrail.jobs.child import working
from opsrail.jobs.machine import ENDED, JobEvent, next_state
from opsrail.ports import Store
from opsrail.values.canonical import digest
from opsrail.values.cases import WorkerRow
from opsrail.values.jobs import JobFileRow, JobRow, JobState
from opsrail.values.rows import Delete, Insert, Require, Update, Value, Where, equals

log = logging.getLogger("opsrail.jobs")
POLL_S = 5.0
"""How long a job may wait unseen when the store's notice of it is lost. Ours."""
TELL_S = 1.0
"""How often progress is written, and a job that was cancelled elsewhere is ended. Ours."""
MOST_WAITING = 20
"""Jobs that wait at a time. Ours: at a minute each the last one waits for 20 minutes."""
MOST_FILES = 50
FILE_MS = 86_400_000
"""How long a file is kept that nobody removes: a day. Ours: it is sent for a job at once, or fetched once it is done."""
KEPT_MS = 30 * 86_400_000
"""How long a job that has ended is shown. Ours: a month."""
PROGRESS, RESULT, PROBLEM = "progress", "result", "problem"
"""What a line of the process may tell."""


class Jobs:
    """Jobs of one installation.

    Args:
        owner: Returns the id of this process's worker.
        fence: Returns the condition that every write of this process's worker carries.

    Attributes:
        module: What the process of a job runs.
        order: Returns the installation that it shall open, as plain JSON; None: no other process can open this one.
    """

    def __init__(
        self, store: Store, clock: Clock, owner: Callable[[], str], fence: Callable[[], Require]
    ) -> None:
        self._store = store
        self._clock = clock
        self._owner = owner
        self._fence = fence
        self.module = ""
        self.order: Callable[[], Mapping[str, Any]] | None = None

    async def ask(self, kind: str, subject: str, wish: str, *, by: str) -> JobRow:
        """Keep a job; it is begun as soon as no other runs.

        Args:
            wish: JSON, as the kind has it.

        Raises:
            Conflict: no other process can open this installation, as it lives in memory.
            Overloaded: too many jobs wait.
        """
        if self.order is None:
            raise Conflict("this installation lives in memory; jobs need one in a folder")
        waiting = await self._store.count(JobRow, *equals(state=JobState.WAITING))
        if waiting.get((), 0) >= MOST_WAITING:
            raise Overloaded(f"{MOST_WAITING} jobs wait already", after_s=60.0)
        row = JobRow(
            self._clock.new_id(), kind, subject, JobState.WAITING, wish, by, None, 0, 0.0, 0.0, "",
            None, None, None, 0, self._clock.now_ms(), None, None,
        )  # fmt: skip
        await self._store.commit([Insert(row)])
        return row

    async def get(self, job_id: str) -> JobRow:
        """Return a job. Raises NotFound."""
        row = await self._store.get(JobRow, job_id)
        if row is None:
            raise NotFound(f"no job {job_id!r}; see GET /v1/jobs or `opsrail jobs list`")
        return row

    async def list(
        self, *, state: str | None = None, limit: int = 100, after: str | None = None
    ) -> list[JobRow]:
        """Return jobs, newest first.

        Args:
            after: Id of the last one of the page before.
        """
        where = [
            *([] if state is None else equals(state=state)),
            *([] if after is None else [Where("id", "<", after)]),
        ]
        return await self._store.select(JobRow, *where, order=("id",), descending=True, limit=limit)

    async def cancel(self, job_id: str, *, by: str) -> JobRow:
        """End a job for good; what it wrote until then stays.

        Raises:
            NotFound: there is none of that id. Terminal.
            Conflict: it has ended.
        """
        while True:
            row = await self.get(job_id)
            why = {"code": "cancelled", "detail": f"{by} cancelled it", "faults": []}
            try:
                return await self._moved(row, JobEvent.CANCEL, problem=orjson.dumps(why).decode())
            except StaleWrite:
                continue

    # -- files -----------------------------------------------------------------------------------------------------------

    async def keep_file(
        self, content: bytes, media: str, *, by: str, expected_digest: str | None = None
    ) -> JobFileRow:
        """Keep a file for a day.

        Raises:
            Conflict: it has another digest than expected; nothing was kept.
            Overloaded: too many are kept.
        """
        found = await asyncio.to_thread(digest, content)
        if expected_digest is not None and found != expected_digest:
            raise Conflict(f"what arrived has digest {found}, expected was {expected_digest}")
        if await self._is_full():
            await self._sweep()
        if await self._is_full():
            raise Overloaded(f"{MOST_FILES} files are kept already", after_s=600.0)
        row = JobFileRow(
            self._clock.new_id(), media, found, len(content), by, self._clock.now_ms(), content
        )  # fmt: skip
        await self._store.commit([Insert(row)])
        return row

    async def _is_full(self) -> bool:
        return (await self._store.count(JobFileRow)).get((), 0) >= MOST_FILES

    async def file(self, file_id: str) -> JobFileRow:
        """Return a file. Raises NotFound."""
        row = await self._store.get(JobFileRow, file_id)
        if row is None:
            raise NotFound(f"no file {file_id!r}; a file is kept for a day")
        return row

    async def made(self, job_id: str) -> JobFileRow:
        """Return the file that a job made. Raises NotFound."""
        row = await self.get(job_id)
        if row.file_id is None:
            raise NotFound(f"job {row.id} has no file: it is {row.state}")
        return await self.file(row.file_id)

    async def remove_file(self, file_id: str) -> JobFileRow:
        """Remove a file and return it. Raises NotFound."""
        row = await self.file(file_id)
        await self._store.commit([Delete(JobFileRow, {"id": file_id})])
        return row

    async def check_file(self, file_id: str, expected_digest: str | None = None) -> None:
        """Refuse a file that is not there, or is another than it should be, without reading it.

        Raises:
            NotFound: it is not there. Terminal.
            Conflict: it has another digest.
        """
        where = equals(id=file_id)
        digests = (await self._store.columns(JobFileRow, ("digest",), *where, limit=1))[0]
        if not digests:
            raise NotFound(f"no file {file_id!r}; send it with POST /v1/files first")
        if expected_digest is not None and digests[0] != expected_digest:
            raise Conflict(
                f"file {file_id} has digest {digests[0]}, expected was {expected_digest}"
            )

    # -- how it works ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Run jobs until cancelled; then the one under way is given back."""
        changed = self._store.changed(JobRow)
        while True:
            changed.clear()
            try:
                await self._take_over()
                while (row := await self._begun()) is not None:
                    await self._run(row)
                await self._sweep()
            except (Unavailable, Conflict) as down:
                log.warning("jobs wait: %s", down)
            try:
                async with asyncio.timeout(POLL_S):
                    await changed.wait()
            except TimeoutError:
                pass

    async def _take_over(self) -> None:
        """Let jobs wait again whose worker is not alive, and our own: none runs now, what came of it was not written."""
        running = await self._store.select(JobRow, *equals(state=JobState.RUNNING))
        if not running:
            return
        living = await self._store.select(WorkerRow, *equals(state="alive"))
        alive = {row.id for row in living}
        for row in running:
            if row.owner == self._owner():
                await self._give_back(row)
            elif row.owner not in alive:
                await self._lose(row, "the process that served it died")

    async def _begun(self) -> JobRow | None:
        """Return a job that is ours to run now; None: there is none, or another runs."""
        if self.order is None:
            return None
        running = equals(state=JobState.RUNNING)
        waiting = await self._store.select(
            JobRow, *equals(state=JobState.WAITING), order=("id",), limit=1
        )
        if not waiting or await self._store.select(JobRow, *running, limit=1):
            return None
        owned: dict[str, Value] = {"owner": self._owner(), "begun_at_ms": self._clock.now_ms()}
        row = await self._moved(waiting[0], JobEvent.BEGIN, **owned)
        if len(await self._store.select(JobRow, *running, limit=2)) > 1:  # another began one too
            await self._give_back(row)
            await self._clock.sleep(self._clock.uniform())
            return None
        return row

    async def _run(self, row: JobRow) -> None:
        """Run one job to its end; what came of it is written once."""
        log.info("job %s (%s of %s) begins", row.id, row.kind, row.subject)
        order = {**(self.order() if self.order else {}), "job": row._asdict()}
        ending: asyncio.Task[Mapping[str, Any]] = asyncio.create_task(self._worked(row, order))
        watching = asyncio.create_task(self._watched(row))
        try:
            await asyncio.wait((ending, watching), return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                return log.info("job %s was ended by another", row.id)
            if (failed := ending.exception()) is not None:
                log.error("the process of job %s could not be run", row.id, exc_info=failed)
            await self._end(row, ending.result() if failed is None else {})
        except asyncio.CancelledError:
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)
            await self._give_back(row)
            raise
        finally:
            for task in (ending, watching):
                task.cancel()
            await asyncio.gather(ending, watching, return_exceptions=True)

    async def _worked(self, row: JobRow, order: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the last word of the job's process; empty: it died."""
        told_s = float("-inf")
        async with working(self.module, order) as lines:
            async for told in lines:
                if PROGRESS not in told:
                    last: Mapping[str, Any] = told
                    return last
                if self._clock.monotonic_s() - told_s >= TELL_S:
                    told_s = self._clock.monotonic_s()
                    await self._tell(row, *told[PROGRESS])
        return {}

    async def _tell(self, row: JobRow, done: float, total: float, words: str) -> None:
        columns: dict[str, Value] = {"done": done, "total": total, "words": words}
        try:
            await self._store.commit([Update(JobRow, (row.id,), columns, _same(row))])
        except (StaleWrite, Unavailable):
            return  # `_watched` sees what became of it; progress may be told later

    async def _watched(self, row: JobRow) -> None:
        """Return as soon as the row is not as we have it."""
        while True:
            await self._clock.sleep(TELL_S)
            try:
                held = await self._store.get(JobRow, row.id)
            except Unavailable:
                continue
            if held is None or held.version != row.version:
                return

    async def _end(self, row: JobRow, told: Mapping[str, Any]) -> None:
        if RESULT in told:
            columns: dict[str, Value] = {
                "result": orjson.dumps(told[RESULT]).decode(), "file_id": told.get("file_id")
            }  # fmt: skip
            await self._moved(row, JobEvent.FINISH, **columns)
        elif PROBLEM in told:
            problem = orjson.dumps(told[PROBLEM]).decode()
            await self._moved(row, JobEvent.FAIL, problem=problem)
        else:
            await self._lose(row, "its process died")
        log.info("job %s has ended", row.id)

    async def _lose(self, row: JobRow, why: str) -> None:
        losses = row.losses + 1
        state = next_state(row.state, JobEvent.LOSE, losses=losses)
        columns: dict[str, Value] = {"losses": losses, "owner": None}
        if state is JobState.FAILED:
            detail = f"{why} {losses} times; the log of opsrail may say of what"
            told = {"code": "process-died", "detail": detail, "faults": []}
            columns["problem"] = orjson.dumps(told).decode()
        await self._moved(row, JobEvent.LOSE, **columns)

    async def _give_back(self, row: JobRow) -> None:
        """Let a job wait again; nobody is blamed."""
        try:
            await self._moved(row, JobEvent.LOSE, owner=None)
        except (StaleWrite, Unavailable) as lost:
            log.warning("job %s was not given back: %s", row.id, lost)

    async def _moved(self, row: JobRow, event: JobEvent, **columns: Value) -> JobRow:
        """Return the row after an event, written where it still was as we have it; of a worker, while that is alive."""
        losses = columns.get("losses")
        state = next_state(row.state, event, losses=losses if isinstance(losses, int) else 0)
        changed: dict[str, Value] = {**columns, "state": state, "version": row.version + 1}
        if state in ENDED:
            changed |= {"ended_at_ms": self._clock.now_ms(), "owner": None}
        fence = [] if event is JobEvent.CANCEL else [self._fence()]
        await self._store.commit([*fence, Update(JobRow, (row.id,), changed, _same(row))])
        return JobRow(**{**row._asdict(), **changed})

    async def _sweep(self) -> None:
        """Remove files that are older than a day, and jobs that ended a month ago."""
        now_ms = self._clock.now_ms()
        old = Where("created_at_ms", "<", now_ms - FILE_MS)
        gone = (await self._store.columns(JobFileRow, ("id",), old))[0]
        over = await self._store.select(
            JobRow, Where("state", "in", ENDED), Where("ended_at_ms", "<", now_ms - KEPT_MS)
        )
        removed = [
            *(Delete(JobFileRow, {"id": one}) for one in gone),
            *(Delete(JobRow, {"id": one.id}) for one in over),
        ]
        if removed:
            await self._store.commit(removed)


def job_record(row: JobRow) -> dict[str, Any]:
    """Return a job as plain JSON values."""
    at = {
        name: rfc3339_or_none(moment)
        for name, moment in (
            ("created_at", row.created_at_ms), ("begun_at", row.begun_at_ms), ("ended_at", row.ended_at_ms),
        )
    }  # fmt: skip
    kept: Sequence[str] = (
        "id",
        "kind",
        "subject",
        "state",
        "by",
        "losses",
        "done",
        "total",
        "words",
    )
    return {
        **{name: getattr(row, name) for name in kept},
        **at,
        "result": None if row.result is None else orjson.loads(row.result),
        "problem": None if row.problem is None else orjson.loads(row.problem),
        "has_file": row.file_id is not None,
    }


def _same(row: JobRow) -> dict[str, Value]:
    return {"version": row.version}
