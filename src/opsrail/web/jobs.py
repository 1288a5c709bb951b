"""Jobs over HTTP: files that are sent for them, how far they are, what came of them, and their end."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from tempfile import SpooledTemporaryFile
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from opsrail.access.roles import EVERYWHERE
from opsrail.app.work import DIGEST
from opsrail.clock import rfc3339
from opsrail.errors import Denied, Overloaded
from opsrail.jobs.jobs import FILE_MS, job_record
from opsrail.values.jobs import JobFileRow, JobRow, JobState
from opsrail.web.answers import Moment, Shape, ulid_of
from opsrail.web.bulk import IN_MEMORY_BYTES, spooled
from opsrail.web.door import (
    CASE_ID,
    LIMIT_PARAMETER,
    Answer,
    Door,
    Operation,
    Parameter,
    actor_of,
    answer,
    grants_of,
    id_parameter,
    permit,
)
from opsrail.web.headers import headers_of
from opsrail.web.paging import after_parameter, choice, next_page
from opsrail.web.problems import Malformed, NotJson
from opsrail.web.reading import page_of, query_of

OCTETS = "application/octet-stream"
STATE = re.compile("|".join(JobState))
DIGESTS = re.compile(DIGEST)
BY_ID = (id_parameter("job_id", CASE_ID, "Id of a job: a ULID."),)
OF_DIGEST = Parameter(
    "digest",
    "query",
    {"type": "string", "pattern": f"^{DIGEST}$"},
    "That the body has to have; another one is refused.",
)
KNOWN = "interface.read"
"""Whoever is known may come in; which job or file is theirs to see is looked at then."""
NEEDS: Mapping[str, str] = {
    "backtest": "lab.use",
    "training-set": "lab.use",
    "backfill": "features.write",
    "register": "models.change",
    "import": "models.change",
    "import-mlflow": "models.change",
}
"""What one must hold to ask for a job, by its kind."""
MOST_SENT = 2
"""Files that are taken at a time, as each is held in memory once. Ours."""


class Job(Shape):
    """Work that runs beside decisions. `result` is there when it is done, `problem` when nothing came of it."""

    id: str
    kind: str
    subject: str
    state: JobState
    by: str
    losses: int
    done: float
    total: float
    words: str
    created_at: Moment
    begun_at: Moment | None
    ended_at: Moment | None
    result: dict[str, Any] | None
    problem: dict[str, Any] | None
    has_file: bool


class JobList(Shape):
    """A page of jobs; `next` leads to the next one."""

    jobs: list[Job]
    next: str | None


class Sent(Shape):
    """A file that is kept for jobs, for a day."""

    id: str
    digest: str
    size_bytes: int
    expires_at: Moment


class JobsDoor:
    """Serves `/v1/jobs` and `/v1/files`."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._under_way = 0

    def operations(self) -> list[Operation]:
        """Return what is served."""
        one = "/v1/jobs/{job_id}"
        of_list = {name: {"job_id": "$response.body#/jobs/0/id"} for name in ("job", "cancel_job")}
        listed = {200: Answer("Jobs, newest first.", JobList, (), of_list)}
        shown = {200: Answer("The job as it stands now.", Job)}
        file = {200: Answer("The file that it made.", media=("application/octet-stream",))}
        sent = {201: Answer("The file is kept for a day.", Sent)}
        removed = {200: Answer("The file that is not kept any more.", Sent)}
        which = (choice("state", STATE), LIMIT_PARAMETER, after_parameter("id"))
        body = {OCTETS: {"type": "string", "minLength": 1, "contentMediaType": OCTETS}}
        return [
            Operation("GET", "/v1/jobs", "jobs", "List jobs.", self.list, listed, parameters=which,
                permission=KNOWN),
            Operation("GET", one, "job", "Show a job.", self.show, shown, parameters=BY_ID, errors=(404,),
                permission=KNOWN),
            Operation(
                "POST", f"{one}/cancel", "cancel_job", "End a job for good.", self.cancel, shown,
                parameters=BY_ID, errors=(404, 409), permission=KNOWN,
            ),
            Operation(
                "GET", f"{one}/file", "job_file", "Fetch the file that a job made.", self.file, file,
                parameters=BY_ID, errors=(404,), permission=KNOWN,
            ),
            Operation(
                "POST", "/v1/files", "send_file", "Send a file for a job.", self.send, sent, content=body,
                parameters=(OF_DIGEST,), errors=(409,), permission=KNOWN,
            ),
            Operation(
                "DELETE", "/v1/files/{file_id}", "remove_file", "Remove a file.", self.remove, removed,
                parameters=(id_parameter("file_id", CASE_ID, "Id of a file: a ULID."),), errors=(404,), permission=KNOWN,
            ),
        ]  # fmt: skip

    async def list(self, request: Request) -> Response:
        """Answer with jobs."""
        query, page = page_of(request, state=STATE)
        rows = await self._door.app.jobs.list(
            state=query.get("state"), limit=page.limit + 1, after=page.after
        )
        shown = rows[: page.limit]
        told = [job_record(row) for row in shown if _is_theirs(request, row)]
        return answer({"jobs": told, "next": next_page(request, rows, shown, "id")})

    async def show(self, request: Request) -> Response:
        """Answer with a job."""
        query_of(request)
        return answer(job_record(await self._of(request)))

    async def cancel(self, request: Request) -> Response:
        """End a job."""
        query_of(request)
        row = await self._of(request)
        return answer(job_record(await self._door.app.jobs.cancel(row.id, by=actor_of(request))))

    async def file(self, request: Request) -> Response:
        """Answer with the file that a job made."""
        query_of(request)
        kept = await self._door.app.jobs.made((await self._of(request)).id)
        return Response(kept.content, media_type=kept.media, headers=_digest_of(kept))

    async def send(self, request: Request) -> Response:
        """Keep a file."""
        query = query_of(request, digest=DIGESTS)
        if not any(grants_of(request).may_somewhere(one) for one in NEEDS.values()):
            raise Denied("this needs a permission to ask for a job, and you hold none")
        headers = headers_of(request)
        media = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != OCTETS or headers.get("content-encoding", "identity").lower() != "identity":
            raise NotJson(f"the body must be declared as {OCTETS}, and not encoded")
        if self._under_way >= MOST_SENT:
            raise Overloaded(f"{MOST_SENT} files are being sent", after_s=5.0)
        self._under_way += 1
        try:
            with SpooledTemporaryFile(IN_MEMORY_BYTES) as spool:
                await spooled(request, spool, self._door.app.config.web.bulk_bytes)
                spool.seek(0)
                content = spool.read()
            if not content:
                raise Malformed("this needs a body; there was none")
            row = await self._door.app.jobs.keep_file(
                content, OCTETS, by=actor_of(request), expected_digest=query.get("digest")
            )
        finally:
            self._under_way -= 1
        return answer(_file_record(row), 201)

    async def remove(self, request: Request) -> Response:
        """Remove a file."""
        query_of(request)
        file_id = ulid_of(request, "file")
        if (await self._door.app.jobs.file(file_id)).by != actor_of(request):
            permit(request, "models.change", EVERYWHERE)
        return answer(_file_record(await self._door.app.jobs.remove_file(file_id)))

    async def _of(self, request: Request) -> JobRow:
        row = await self._door.app.jobs.get(ulid_of(request, "job"))
        if not _is_theirs(request, row):
            permit(request, NEEDS[row.kind], scope_of(row))
        return row


def scope_of(row: JobRow) -> str:
    """Return where what a job is about lies: its decision point, else everywhere."""
    return row.subject if row.kind == "backtest" else EVERYWHERE


def _is_theirs(request: Request, row: JobRow) -> bool:
    """Return whether who asks asked for a job, or could have."""
    if row.by == actor_of(request):
        return True
    return grants_of(request).may(NEEDS[row.kind], scope_of(row))


def _file_record(row: JobFileRow) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in ("id", "digest", "size_bytes")}
    return {**told, "expires_at": rfc3339(row.created_at_ms + FILE_MS)}


def _digest_of(row: JobFileRow) -> dict[str, str]:
    """Return the header that tells a file's digest. Source: RFC 9530, section 2."""
    coded = base64.b64encode(bytes.fromhex(row.digest.removeprefix("sha256:"))).decode()
    return {"content-digest": f"sha-256=:{coded}:"}
