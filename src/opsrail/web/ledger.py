"""The audit ledger over HTTP: its newest checkpoint, and proofs of what it says about a subject."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from opsrail.access.roles import EVERYWHERE
from opsrail.clock import datetime_of, rfc3339
from opsrail.errors import Fault, NotFound, Overloaded
from opsrail.ledger import book, exporting
from opsrail.ledger.reading import last_checkpoint
from opsrail.web import answers
from opsrail.web.archive import ZIP, zipped
from opsrail.web.door import (
    SUBJECT_ID,
    Answer,
    Door,
    Operation,
    Parameter,
    answer,
    id_parameter,
    permit,
)
from opsrail.web.objects import permit_subject
from opsrail.web.problems import Malformed
from opsrail.web.reading import query_of
from opsrail.web.standing import Standing
from opsrail.web.streaming import Streamed

MOST_PROOFS = 100
MOST_EXPORTS = 2
"""Exports that are sent at a time. Ours: each reads and packs some 40,000 entries a second."""
SIZE = re.compile("0|[1-9][0-9]{0,15}")
SIZE_SCHEMA = {"type": "integer", "minimum": 0, "maximum": 10**16 - 1}
OF_SIZES = (
    Parameter("size", "query", SIZE_SCHEMA, "Entries of the earlier tree.", is_required=True),
    Parameter(
        "of", "query", SIZE_SCHEMA, "Entries of the later tree; without: the newest checkpoint's."
    ),
)
BY_SUBJECT = (
    id_parameter("subject_id", SUBJECT_ID, "A case, decision, review, action or decision point."),
)


class Ledger:
    """Serves `/v1/ledger`."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._sending = 0

    def operations(self) -> list[Operation]:
        """Return what is served."""
        newest = {200: Answer("The newest signed checkpoint.", answers.Checkpoint)}
        proofs = {200: Answer("One proof an entry, oldest first.", answers.Proofs)}
        whole = {200: Answer("Entries, checkpoints and a verifier, packed.", media=(ZIP,))}
        path = {200: Answer("Hashes from the smaller tree to the larger.", answers.Consistency)}
        one = "/v1/ledger/proof/{subject_id}"
        return [
            Operation(
                "GET", "/v1/ledger/checkpoint", "checkpoint", "Show the newest checkpoint.", self.checkpoint, newest,
                errors=(404,), permission="ledger.read",
            ),
            Operation(
                "GET", one, "proof", "Prove what the ledger says about a subject.", self.proof, proofs,
                parameters=BY_SUBJECT, errors=(404,), permission="ledger.read",
            ),
            Operation(
                "GET", "/v1/ledger/consistency", "consistency", "Prove that a tree begins with an earlier one.",
                self.consistency, path, parameters=OF_SIZES, errors=(404,), permission="ledger.read",
            ),
            Operation(
                "GET", "/v1/ledger/export", "export_ledger", "Send the whole ledger with a verifier.", self.export, whole,
                errors=(404,), permission="ledger.read",
            ),
        ]  # fmt: skip

    async def checkpoint(self, request: Request) -> Response:
        """Answer with the newest checkpoint and the keys that verify it."""
        query_of(request)
        row = await last_checkpoint(self._door.app.store)
        if row is None:
            raise NotFound(
                "the ledger has no checkpoint yet; the first is signed soon after the first entry"
            )
        shown: dict[str, Any] = {
            "size": row.size,
            "root": row.root,
            "note": row.note,
            "at": rfc3339(row.at_ms),
        }
        return answer(
            {**shown, "verifier_keys": [str(key) for key in self._door.app.signer.verifiers]}
        )

    async def consistency(self, request: Request) -> Response:
        """Answer with what shows that a tree begins with an earlier one, for who kept that one's root."""
        query = query_of(request, size=SIZE, of=SIZE)
        if "size" not in query:
            raise Malformed("the query is wrong", [Fault("size", "is missing")])
        store, size = self._door.app.store, int(query["size"])
        if "of" in query:
            later = int(query["of"])
        else:
            newest = await last_checkpoint(store)
            later = 0 if newest is None else newest.size
        path = await book.consistency_path(store, size, later)
        return answer({"size": size, "of": later, "path": path})

    async def export(self, request: Request) -> Response:
        """Send all of it while it is read, to those who may see what it says of everything."""
        query_of(request)
        permit(request, "ledger.read", EVERYWHERE)
        app = self._door.app
        if self._sending >= MOST_EXPORTS:
            raise Overloaded(f"{MOST_EXPORTS} exports are being sent", after_s=5.0)
        standing = Standing(
            self._door, request, lambda grants: grants.may("ledger.read", EVERYWHERE)
        )
        self._sending += 1
        try:
            found = await exporting.covered(app.store, app.signer.verifiers)
        except BaseException:
            self._sent()
            raise
        name = f"opsrail-ledger-{found.entries}.zip"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        files = exporting.parts(app.store, found.entries)
        packed = standing.confirmed(zipped(files, datetime_of(app.clock.now_ms())))
        return Streamed(packed, self._sent, ZIP, headers)

    def _sent(self) -> None:
        self._sending -= 1

    async def proof(self, request: Request) -> Response:
        """Answer with a proof of every entry about a subject; 503 while the newest has no place in the tree yet."""
        query_of(request)
        subject_id, app = request.path_params["subject_id"], self._door.app
        known = re.fullmatch(SUBJECT_ID, subject_id) is not None
        await permit_subject(request, self._door, "ledger.read", subject_id)
        entries = (
            await book.entries_about(app.store, subject_id, limit=MOST_PROOFS) if known else []
        )
        if not entries:
            raise NotFound(f"the ledger says nothing about {subject_id[:63]!r}")
        proofs = [
            await book.prove(app.store, row.writer, row.seq, app.signer.verifiers)
            for row in entries
        ]
        return answer({"subject_id": subject_id, "proofs": proofs})
