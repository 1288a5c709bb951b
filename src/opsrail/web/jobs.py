"""Jobs over HTTP: files that are sent for them, how far they are, what came of them, and their end."""

from __future__ import annotations

import base64
import re
from tempfile import SpooledTemporaryFile
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from opsrail.clock import rfc3339
from opsrail.errors import Fault, NotFound, Overloaded
from opsrail.jobs.jobs import FILE_MS, job_record
from opsrail.values.jobs import JobFileRow, JobRow, JobState
from opsrail.web.answers import Moment, Shape, is_ulid
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
    id_parameter,
)
from opsrail.web.headers import headers_of
from opsrail.web.paging import after_parameter, choice, next_page
from opsrail.web.problems import Malformed, NotJson
from opsrail.web.reading import page_of, query_of

OCTETS = "application/octet-stream"
STATE = re.compile("|".join(JobState))
DIGESTS = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")
"""How the digest of a body is written. Source: RFC 9530, sections 2 and 5, with one algorithm."""
BY_ID = (id_parameter("job_id", CASE_ID, "Id of a job: a ULID."),)
CONTENT_DIGEST = Parameter(
    "Content-Digest",
    "header",
    {"type": "string", "pattern": f"^{DIGESTS.pattern}$"},
    "sha-256 of the body (RFC 9530); one that is another is refused.",
)
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
            Operation("GET", "/v1/jobs", "jobs", "List jobs.", self.list, listed, parameters=which),
            Operation("GET", one, "job", "Show a job.", self.show, shown, parameters=BY_ID, errors=(404,)),
            Operation(
                "POST", f"{one}/cancel", "cancel_job", "End a job for good.", self.cancel, shown,
                parameters=BY_ID, errors=(404, 409),
            ),
            Operation(
                "GET", f"{one}/file", "job_file", "Fetch the file that a job made.", self.file, file,
                parameters=BY_ID, errors=(404,),
            ),
            Operation(
                "POST", "/v1/files", "send_file", "Send a file for a job.", self.send, sent, content=body,
                parameters=(CONTENT_DIGEST,), errors=(409,),
            ),
            Operation(
                "DELETE", "/v1/files/{file_id}", "remove_file", "Remove a file.", self.remove, removed,
                parameters=(id_parameter("file_id", CASE_ID, "Id of a file: a ULID."),), errors=(404,),
            ),
        ]  # fmt: skip

    async def list(self, request: Request) -> Response:
        """Answer with jobs."""
        query, page = page_of(request, state=STATE)
        rows = await self._door.app.jobs.list(
            state=query.get("state"), limit=page.limit + 1, after=page.after
        )
        shown = rows[: page.limit]
        told = [job_record(row) for row in shown]
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
        query_of(request)
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
            row = await self._kept(content, headers.get("content-digest"), actor_of(request))
        finally:
            self._under_way -= 1
        return answer(_file_record(row), 201)

    async def remove(self, request: Request) -> Response:
        """Remove a file."""
        query_of(request)
        file_id: str = request.path_params["file_id"]
        if not is_ulid(file_id):
            raise NotFound(f"no file {file_id[:63]!r}")
        return answer(_file_record(await self._door.app.jobs.remove_file(file_id)))

    async def _kept(self, content: bytes, told: str | None, by: str) -> JobFileRow:
        found = DIGESTS.fullmatch(told or "")
        if told is not None and found is None:
            fault = Fault("Content-Digest", "write sha-256=:BASE64:")
            raise Malformed("a header is wrong", [fault])
        jobs = self._door.app.jobs
        if found is None:
            return await jobs.keep_file(content, OCTETS, by=by)
        expected = f"sha256:{base64.b64decode(found[1]).hex()}"
        return await jobs.keep_file(content, OCTETS, by=by, expected_digest=expected)

    async def _of(self, request: Request) -> JobRow:
        job_id: str = request.path_params["job_id"]
        if not is_ulid(job_id):
            raise NotFound(f"no job {job_id[:63]!r}")
        return await self._door.app.jobs.get(job_id)


def _file_record(row: JobFileRow) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in ("id", "digest", "size_bytes")}
    return {**told, "expires_at": rfc3339(row.created_at_ms + FILE_MS)}


def _digest_of(row: JobFileRow) -> dict[str, str]:
    coded = base64.b64encode(bytes.fromhex(row.digest.removeprefix("sha256:"))).decode()
    return {"content-digest": f"sha-256=:{coded}:"}
