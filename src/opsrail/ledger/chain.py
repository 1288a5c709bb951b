"""The first stage: the hash chain of one process, which makes a gap, an edit or a swap among its entries visible at once.

The chain hash of an entry is `sha256(prev_hash || leaf_hash)` over the 64 raw bytes; it stands in the next entry as
`prev_hash`. The first entry's `prev_hash` is 32 zero bytes. The leaf hash is that of RFC 6962 over the body's bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from opsrail.clock import Clock
from opsrail.values.ledger import ChainRow, LedgerEntryRow, LedgerPendingRow
from opsrail.values.rows import Append

START = "0" * 64
"""`prev_hash` of a chain's first entry."""
_sha256 = hashlib.sha256


class WriterChain:
    """Links the entries of one process; implements `ports.EntryChain`. Pure but for its head: no I/O, no waiting."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.renew()

    @property
    def writer(self) -> str:
        """Id of the chain that is being written."""
        return self._writer

    def link(self, entries: Sequence[Append]) -> list[ChainRow]:
        """Return a row for each entry and one for the sequencer's waiting list; the head stays."""
        if not entries:
            return []
        writer, first, head = self._writer, self._seq, self._head
        rows: list[ChainRow] = []
        for seq, (kind, subject_id, at_ms, body) in enumerate(entries, first):
            leaf = _sha256(b"\x00" + body).digest()
            rows.append(
                LedgerEntryRow(
                    writer, seq, head.hex(), leaf.hex(), kind, subject_id, body.decode(), at_ms
                )
            )
            head = _sha256(head + leaf).digest()
        rows.append(LedgerPendingRow(writer, first, len(entries)))
        return rows

    def advance(self, rows: Sequence[ChainRow]) -> None:
        """Move the head past rows that `link` returned and the store committed."""
        for row in reversed(rows):
            if isinstance(row, LedgerEntryRow):
                self._seq = row.seq + 1
                self._head = bytes.fromhex(chain_hash(row.prev_hash, row.leaf_hash))
                return

    def renew(self) -> None:
        """Start a fresh chain under a new id: it is not known whether the last rows were committed."""
        self._writer = self._clock.new_id()
        self._seq = 0
        self._head = bytes.fromhex(START)


def chain_hash(prev_hash: str, leaf_hash: str) -> str:
    """Return the `prev_hash` of the entry that follows, hex."""
    return _sha256(bytes.fromhex(prev_hash + leaf_hash)).hexdigest()
