"""The page of the ledger: its checkpoints, what it says of a subject, and how to check and take all of it away."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from opsrail.access.roles import EVERYWHERE
from opsrail.ledger import book
from opsrail.ledger.reading import last_checkpoint, sequenced_size
from opsrail.values.ledger import CheckpointRow
from opsrail.values.rows import Where
from opsrail.web.answers import parsed
from opsrail.web.console.listing import next_of
from opsrail.web.console.pages import Pages, page
from opsrail.web.door import SUBJECT_ID, Door, Operation, grants_of
from opsrail.web.objects import permit_subject
from opsrail.web.reading import query_of

READ = "ledger.read"
PAGE_COUNT = 25
MOST_ENTRIES = 100
SUBJECT = re.compile(f"({SUBJECT_ID}|[a-z][a-z0-9-]{{0,62}}/[1-9][0-9]{{0,8}})?")
SIZE = re.compile("(0|[1-9][0-9]{0,18})")


class LedgerPages:
    """Serves `/console/ledger`."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._app = door.app
        self._pages = pages

    def operations(self) -> list[Operation]:
        """Return what is served."""
        return [page("/console/ledger", "console_ledger", self.show, READ)]

    async def show(self, request: Request) -> Response:
        """Answer with checkpoints, newest first, and with the entries about a subject where one is named."""
        query = query_of(request, subject=SUBJECT, after=SIZE, since=SIZE)
        store, subject = self._app.store, query.get("subject") or None
        if subject is not None:
            await permit_subject(request, self._door, READ, subject)
        after = [Where("size", "<", int(query["after"]))] if "after" in query else []
        rows = await store.select(
            CheckpointRow, *after, order=("size",), descending=True, limit=PAGE_COUNT + 1
        )
        newest = await last_checkpoint(store) if after else next(iter(rows), None)
        since_ms, found = int(query.get("since", 0)), []
        if subject is not None:
            found = await book.entries_about(store, subject, MOST_ENTRIES + 1, since_ms=since_ms)
        return self._pages.render(
            request, "ledger.html", title="Ledger", here="ledger", newest=newest, rows=rows[:PAGE_COUNT],
            age_ms=None if newest is None else self._app.clock.now_ms() - newest.at_ms,
            size=await sequenced_size(store), keys=[str(key) for key in self._app.signer.verifiers], subject=subject,
            entries=[(row, parsed(row.body)) for row in found[:MOST_ENTRIES]], since_ms=since_ms,
            later=_since(subject, max(found[MOST_ENTRIES].at_ms, since_ms + 1)) if found[MOST_ENTRIES:] else "",
            begin=_since(subject, 0) if since_ms else "",
            may_export=grants_of(request).may(READ, EVERYWHERE),
            next=next_of(request, rows, PAGE_COUNT, "size"), first=request.url.path if "after" in query else "",
        )  # fmt: skip


def _since(subject: str | None, since_ms: int) -> str:
    """Return the address of the entries about a subject from a moment on, 0: of all."""
    since = {"since": str(since_ms)} if since_ms else {}
    return f"/console/ledger?{urlencode({'subject': subject or '', **since})}"
