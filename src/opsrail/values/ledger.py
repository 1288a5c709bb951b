"""What the store keeps of the audit ledger. Append only, but for the waiting list, the writers' cursors, the leader row."""

from __future__ import annotations

from typing import NamedTuple


class LedgerEntryRow(NamedTuple):
    """Stage one: an event, written in the transaction of what it speaks of, linked to the writer's entry before.

    Attributes:
        writer: Id of the writing process's chain (a fresh one each boot).
        seq: Position in that chain, from 0, without gaps.
        prev_hash: chain hash of the entry before, hex; 64 zeros for the first.
        leaf_hash: RFC 6962 leaf hash of `body`, hex.
        kind, subject_id, at_ms, body: As in `rows.Append`; body is UTF-8 text of the canonical bytes.
    """

    writer: str
    seq: int
    prev_hash: str
    leaf_hash: str
    kind: str
    subject_id: str
    body: str
    at_ms: int


class LedgerPendingRow(NamedTuple):
    """Entries `first_seq .. first_seq+entry_count-1` of a writer wait for their places: one row a transaction, then gone.

    It spares the sequencer from asking every chain ever begun whether it grew.
    """

    writer: str
    first_seq: int
    entry_count: int


ChainRow = LedgerEntryRow | LedgerPendingRow
"""What `EntryChain.link` returns; the store inserts each as it is."""


class LedgerWriterRow(NamedTuple):
    """How far a writer's chain has been given its places in the tree; made by the sequencer with the chain's first run.

    Attributes:
        sequenced: Entries of this writer with an index; the next one has seq == sequenced.
        started_at_ms: Moment of the chain's first entry.
    """

    writer: str
    sequenced: int
    started_at_ms: int


class LedgerRunRow(NamedTuple):
    """Stage two: entries `first_seq .. first_seq+entry_count-1` of a writer stand at `first_index ..` of the tree."""

    first_index: int
    writer: str
    first_seq: int
    entry_count: int


class LedgerTileRow(NamedTuple):
    """A full tile of the tree, C2SP tlog-tiles: 256 hashes of one level, concatenated."""

    level: int
    number: int
    hashes: bytes


class CheckpointRow(NamedTuple):
    """A signed statement of the tree's size and root.

    Attributes:
        size: Leaves covered.
        root: Merkle tree hash, hex.
        note: C2SP checkpoint, a signed note.
        epoch: Of the leader that signed it.
    """

    size: int
    root: str
    note: str
    epoch: int
    at_ms: int


class LedgerLeaderRow(NamedTuple):
    """Who may sequence now: one row, `name` is `sequencer`.

    Attributes:
        epoch: Grows with each change of leader; each commit of a sequencer requires its own.
        holder: Worker id.
        lease_until_ms: On the database's clock.
        size: Leaves sequenced so far.
    """

    name: str
    epoch: int
    holder: str
    lease_until_ms: int
    size: int
