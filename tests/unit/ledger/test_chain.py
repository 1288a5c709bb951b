"""The chain of one process."""

from __future__ import annotations

import hashlib

from opsrail.clock import SystemClock
from opsrail.ledger.chain import START, WriterChain, chain_hash
from opsrail.values.ledger import LedgerEntryRow, LedgerPendingRow
from opsrail.values.rows import Append

ENTRIES = [
    Append("a.happened", "x", 1, b'{"n":1}'),
    Append("b.happened", "y", 2, '{"n":"é"}'.encode()),
]


def test_each_entry_names_the_one_before_it() -> None:
    chain = WriterChain(SystemClock())
    first, second, pending = chain.link(ENTRIES)
    assert isinstance(first, LedgerEntryRow)
    assert isinstance(second, LedgerEntryRow)
    leaf = hashlib.sha256(b"\x00" + ENTRIES[0].body).digest()
    head = hashlib.sha256(bytes(32) + leaf).hexdigest()

    assert (first.prev_hash, first.leaf_hash) == (START, leaf.hex())
    assert second.prev_hash == head == chain_hash(first.prev_hash, first.leaf_hash)
    assert (second.seq, second.body, second.kind) == (1, '{"n":"é"}', "b.happened")
    assert pending == LedgerPendingRow(chain.writer, 0, 2)


def test_the_head_moves_only_when_rows_are_committed() -> None:
    chain = WriterChain(SystemClock())
    linked = chain.link(ENTRIES)
    again = chain.link(ENTRIES)
    chain.advance(again)
    further = chain.link(ENTRIES[:1])

    assert linked == again
    assert further[0][:2] == (chain.writer, 2)
    assert further[1] == LedgerPendingRow(chain.writer, 2, 1)


def test_nothing_to_link_gives_no_rows_and_moves_nothing() -> None:
    chain = WriterChain(SystemClock())
    chain.advance(chain.link([]))

    assert chain.link([]) == []
    assert chain.link(ENTRIES)[0][1] == 0


def test_after_doubt_a_fresh_chain_begins_under_a_new_id() -> None:
    chain = WriterChain(SystemClock())
    chain.advance(chain.link(ENTRIES))
    before = chain.writer
    chain.renew()
    row = chain.link(ENTRIES)[0]

    assert chain.writer > before
    assert row[:3] == (chain.writer, 0, START)
