"""The last checkpoint, kept in a file outside the database: what the database has forgotten, the file still knows.

A backup that is restored, or a book that an insider computed anew, begins before or beside this checkpoint and not with it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from opsrail.clock import Clock
from opsrail.errors import LedgerBroken
from opsrail.ledger import reading
from opsrail.ledger.entries import entry
from opsrail.ledger.notes import VerifierKey, read_checkpoint
from opsrail.ports import Store

SUBJECT = "ledger"
"""`subject_id` of entries that speak of the book itself."""


class Anchor:
    """A checkpoint file, replaced whole or not at all. Blocking: call it in a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> str | None:
        """Return the note; None when there is none yet."""
        try:
            return self._path.read_text("utf-8")
        except FileNotFoundError:
            return None

    def write(self, note: str) -> None:
        """Replace the note, durably."""
        fresh = self._path.with_name(self._path.name + ".new")
        with open(fresh, "w", encoding="utf-8") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self._path)

    def set_aside(self, suffix: str) -> Path:
        """Rename the file, so that the next checkpoint begins a new one; return where it is now."""
        aside = self._path.with_name(f"{self._path.name}.{suffix}")
        os.replace(self._path, aside)
        return aside


async def check_anchored(store: Store, known: Sequence[VerifierKey], note: str | None) -> None:
    """Check that the book begins with the tree that an external checkpoint speaks of.

    Args:
        known: The ledger's verifier keys.
        note: The external checkpoint; None passes.

    Raises:
        LedgerBroken: the database is older than the checkpoint (rolled back), or says something else (rewritten).
            Terminal: serve nothing that writes until an operator has looked at it and acknowledged.
    """
    if note is None:
        return
    anchored = read_checkpoint(note, known)
    size = await reading.sequenced_size(store)
    if size < anchored.size:
        raise LedgerBroken(
            f"The ledger was rolled back: the database has {size} entries, but a checkpoint of {anchored.size} was signed; "
            f"{anchored.size - size} are lost. Restore a newer copy, or run `opsrail ledger acknowledge`."
        )
    if await reading.root_at(store, anchored.size) != anchored.root:
        raise LedgerBroken(
            f"The ledger was rewritten: its first {anchored.size} entries are not those of a checkpoint signed before. "
            "Keep the file, compare with an export; run `opsrail ledger verify`."
        )


async def acknowledge_rollback(
    store: Store,
    anchor: Anchor,
    known: Sequence[VerifierKey],
    clock: Clock,
    *,
    operator: str,
    reason: str,
) -> None:
    """Enter in the book that an operator accepts it as it is, and set the external checkpoint aside.

    The entry keeps the checkpoint that no longer fits, so that whoever holds it finds out why. Killed in between, it may be
    called again; the book then holds two such entries.

    Raises:
        LedgerBroken: nothing was rolled back. Terminal: nothing was written.
    """
    note = anchor.read()
    try:
        await check_anchored(store, known, note)
    except LedgerBroken as broken:
        fields = {
            "operator": operator,
            "reason": reason,
            "finding": str(broken),
            "checkpoint": note,
            "entries": await reading.sequenced_size(store),
        }
        await store.commit([entry("ledger.rollback_acknowledged", SUBJECT, clock.now_ms(), fields)])
        anchor.set_aside(f"broken-{clock.now_ms()}")
        return
    raise LedgerBroken(
        "The ledger agrees with its external checkpoint; there is no rollback to acknowledge."
    )
