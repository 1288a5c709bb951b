"""Hands the audit book out: every entry under the newest checkpoint, with a verifier that shares no code with opsrail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from opsrail.errors import InvalidInput, NotFound
from opsrail.ledger import reading
from opsrail.ledger import verifier as verifier_file
from opsrail.ledger.audit import Progress
from opsrail.ledger.notes import Checkpoint, VerifierKey, read_checkpoint
from opsrail.ports import Store
from opsrail.values.ledger import CheckpointRow
from opsrail.values.rows import Where

PAGE_COUNT = 500
ENTRIES = "entries.jsonl"
README = """\
An export of an opsrail audit ledger.

entries.jsonl      one entry a line, in the order of the tree: index, writer, seq, prev_hash, leaf_hash, kind,
                   subject_id, at_ms, and body; leaf_hash is SHA-256 of a zero byte and the body's UTF-8 bytes
checkpoints.jsonl  every signed statement of the tree's size and root (C2SP tlog-checkpoint in a signed note)
verifier.py        checks all of it alone: Python 3.11, the standard library, and `cryptography` for signatures

    python verifier.py . --key KEY --checkpoint FILE

KEY is the ledger's verifier key (`name+id+key`): have it from the ledger's owner, not from this folder. FILE is a
checkpoint that you received earlier: it shows that nothing was rewritten since. The tree is that of RFC 6962, SHA-256.
"""


class Export(NamedTuple):
    """What was written.

    Attributes:
        entries: Lines of entries.jsonl: all entries under the newest checkpoint.
        checkpoint: The newest checkpoint.
    """

    entries: int
    checkpoint: Checkpoint


async def covered(store: Store, known: Sequence[VerifierKey]) -> Export:
    """Return what an export begun now will hold.

    Raises:
        NotFound: there is no checkpoint yet. It passes: the first is signed soon after the first entry.
        LedgerBroken: the newest is not signed by a known key. Terminal.
    """
    last = await reading.last_checkpoint(store)
    if last is None:
        raise NotFound(
            "The ledger has no checkpoint yet, so there is nothing to export; make an entry and wait 2 s."
        )
    return Export(last.size, read_checkpoint(last.note, known))


async def parts(store: Store, entries: int) -> AsyncIterator[tuple[str, bytes]]:
    """Yield the files of an export piece by piece: a file's name, and what comes next in it. One file follows another.

    Args:
        entries: As `covered` returned them.

    Raises:
        LedgerBroken: an entry is missing. Terminal: what was yielded is no whole export.
    """
    yield "README.txt", README.encode()
    yield "verifier.py", await asyncio.to_thread(Path(verifier_file.__file__).read_bytes)
    after = -1
    while rows := await store.select(
        CheckpointRow,
        Where("size", ">", after),
        Where("size", "<=", entries),
        order=("size",),
        limit=PAGE_COUNT,
    ):
        after = rows[-1].size
        yield "checkpoints.jsonl", _lines({"size": row.size, "note": row.note} for row in rows)
    lines: list[dict[str, Any]] = []
    async for index, row in reading.entries_between(store, 0, entries):
        lines.append({"index": index, **row._asdict()})
        if len(lines) == PAGE_COUNT or index == entries - 1:
            yield ENTRIES, _lines(lines)
            lines = []


async def export(
    store: Store,
    folder: Path,
    known: Sequence[VerifierKey],
    progress: Progress = lambda done, total: None,
) -> Export:
    """Write all entries under the newest checkpoint, all checkpoints and the verifier into a new folder. Streams.

    Raises:
        InvalidInput: the folder is not empty. Terminal: nothing was written.
        NotFound, LedgerBroken: as `covered`, or an entry is missing. Terminal: what was written is no whole export.
    """
    found = await covered(store, known)
    await asyncio.to_thread(_prepare, folder)
    written = 0
    async for name, content in parts(store, found.entries):
        await asyncio.to_thread(_add, folder / name, content)
        if name == ENTRIES:
            written += content.count(b"\n")
            progress(written, found.entries)
    return found


def _prepare(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InvalidInput(f"{folder} is not empty; name a new folder for the export.")


def _add(path: Path, content: bytes) -> None:
    with open(path, "ab") as file:
        file.write(content)


def _lines(records: Iterable[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records)
