"""What others ask of the audit book: verify it, prove an entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opsrail.errors import LedgerBroken, NotFound, Unavailable
from opsrail.ledger import reading, tree
from opsrail.ledger.audit import Audit, Progress, VerifyReport
from opsrail.ledger.notes import Checkpoint, VerifierKey, read_checkpoint
from opsrail.ports import Store
from opsrail.values.ledger import LedgerEntryRow
from opsrail.values.rows import Where, equals

PROOF_FORMAT = "opsrail-ledger-proof/1"
PAGE_COUNT = 500


async def verify(
    store: Store,
    known: Sequence[VerifierKey],
    external_notes: Sequence[str] = (),
    progress: Progress = lambda done, total: None,
) -> VerifyReport:
    """Check the whole book; faults are in the report. Streams: memory does not grow with the book.

    Args:
        known: The ledger's verifier keys, retired ones too.
        external_notes: Checkpoints kept outside the database, e.g. `Anchor.read()`; only they show that somebody with the
            signing key rewrote the book. Several narrow down where.
        progress: Called after each page with entries checked and entries in all.
    """
    return await Audit(store, known, external_notes, progress).run()


async def prove(
    store: Store, writer: str, seq: int, known: Sequence[VerifierKey]
) -> dict[str, Any]:
    """Return the proof that an entry stands in the tree of the newest checkpoint.

    Returns:
        JSON values: `format`, `entry` (writer, seq, prev_hash, leaf_hash, kind, subject_id, at_ms, body), `index`, `path`
        (hex hashes from the leaf up), `checkpoint` (the signed note). `verifier.py` checks it offline.

    Raises:
        NotFound: no such entry.
        Unavailable: it has no place yet; ask again after `after_s`.
        LedgerBroken: the stored tree does not fit the checkpoint. Terminal.
    """
    entry = await reading.entry_at(store, writer, seq)
    index = await reading.index_of(store, writer, seq)
    last = await reading.last_checkpoint(store)
    if index is None or last is None or index >= last.size:
        raise Unavailable(
            f"Entry {seq} of writer {writer} has no place in the ledger's tree yet; ask again.",
            after_s=2.0,
        )
    signed = read_checkpoint(last.note, known)
    path = tree.inclusion_nodes(index, signed.size)
    hashes = await reading.node_hashes(
        store, [node for nodes in path for node in nodes], signed.size
    )
    proof = tree.build(path, hashes)
    if not tree.is_included(index, signed.size, bytes.fromhex(entry.leaf_hash), proof, signed.root):
        raise LedgerBroken(
            f"Entry {index} of the ledger does not fit its newest checkpoint; run `opsrail ledger verify`."
        )
    return {
        "format": PROOF_FORMAT,
        "entry": entry._asdict(),
        "index": index,
        "path": [part.hex() for part in proof],
        "checkpoint": last.note,
    }


async def entries_about(
    store: Store, subject_id: str, limit: int = 1000, *, since_ms: int = 0
) -> list[LedgerEntryRow]:
    """Return the entries that speak of a case, decision, review or model, oldest first; each can be proven.

    Args:
        since_ms: From which moment on, epoch ms.
    """
    since = [Where("at_ms", ">=", since_ms)] if since_ms else []
    return await store.select(
        LedgerEntryRow,
        *equals(subject_id=subject_id),
        *since,
        order=("at_ms", "writer", "seq"),
        limit=limit,
    )


async def prove_consistency(
    store: Store, note: str, known: Sequence[VerifierKey]
) -> dict[str, Any]:
    """Return the proof that today's tree begins with the one that an earlier checkpoint speaks of.

    Returns:
        JSON values: `old_checkpoint`, `path` (hex), `checkpoint`.

    Raises:
        LedgerBroken: no known key signed the note, or the tree does not begin so: rolled back or rewritten. Terminal.
    """
    old = read_checkpoint(note, known)
    last = await reading.last_checkpoint(store)
    new = read_checkpoint(last.note, known) if last else Checkpoint(old.origin, 0, tree.EMPTY_ROOT)
    if last is None or old.size > new.size:
        raise LedgerBroken(
            f"The ledger has a checkpoint of {new.size} entries, older than one of {old.size}: rolled back."
        )
    path = tree.consistency_nodes(old.size, new.size)
    hashes = await reading.node_hashes(store, [node for nodes in path for node in nodes], new.size)
    proof = tree.build(path, hashes)
    if not tree.is_consistent(old.size, new.size, proof, old.root, new.root):
        raise LedgerBroken(
            f"The ledger's first {old.size} entries are not those of the earlier checkpoint: rewritten."
        )
    return {"old_checkpoint": note, "path": [part.hex() for part in proof], "checkpoint": last.note}


async def consistency_path(store: Store, old_size: int, size: int) -> list[str]:
    """Return the hashes that show that the tree of `size` entries begins with that of `old_size`, hex.

    They prove nothing by themselves: who kept the earlier checkpoint compares them with its root (RFC 9162, 2.1.4.2).

    Raises:
        NotFound: the ledger has no tree of that size. Terminal; for who saw a larger one before, it was rolled back.
        LedgerBroken: a tile or an entry is missing. Terminal.
    """
    last = await reading.last_checkpoint(store)
    most = 0 if last is None else last.size
    if not 0 <= old_size <= size <= most:
        raise NotFound(
            f"the ledger's newest checkpoint is of {most} entries, so nothing is told of {old_size} in {size}"
        )
    path = tree.consistency_nodes(old_size, size)
    hashes = await reading.node_hashes(store, [node for nodes in path for node in nodes], size)
    return [part.hex() for part in tree.build(path, hashes)]
