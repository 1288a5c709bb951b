"""The second stage: one leader gives committed entries their places in the tree and signs its root.

Many processes may run a sequencer; the one leader row decides. Each commit requires the leader's own epoch, so that one who
was replaced while it slept writes nothing. All of a tick is one commit: places, tiles, cursors, checkpoint. What is kept in
memory (the edge of the tree) is only a copy: after any doubt it is thrown away and read again from tiles and entries.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from opsrail import faults
from opsrail.clock import Clock
from opsrail.errors import Conflict, Fenced, LedgerBroken, StaleWrite, Unavailable
from opsrail.ledger import reading
from opsrail.ledger.anchor import Anchor, check_anchored
from opsrail.ledger.chain import START, chain_hash
from opsrail.ledger.keys import Signer
from opsrail.ledger.notes import Checkpoint, read_checkpoint
from opsrail.ledger.reading import LEADER
from opsrail.ledger.tiles import Edge
from opsrail.ports import Store
from opsrail.values.ledger import (
    CheckpointRow,
    LedgerEntryRow,
    LedgerLeaderRow,
    LedgerPendingRow,
    LedgerRunRow,
    LedgerTileRow,
    LedgerWriterRow,
)
from opsrail.values.rows import Delete, Insert, Require, Update, Value, Write

LEASE_MS = 3_000
"""How long a silent leader keeps the others waiting; with two intervals of rest it bounds the gap to 5 s."""
INTERVAL_S = 1.0
"""At most one checkpoint in this time, unless more waits than one tick takes."""
TICK_COUNT = 4_096
"""Entries of one tick, about: bounds its memory and the length of its transaction."""
SLICE_COUNT = 128
"""Entries read and hashed at once: about half a millisecond of the event loop's time, and as much of a reader's."""
PAUSE_S = 0.005
"""Between two of those. Ours: the entries of a second with 5,000 decisions are spread over a fifth of it, where one wave
of answers in twenty was late by them (bench serve: p99 25 to 18 ms with 64 callers); a backlog goes at 25,000 a second."""

_log = logging.getLogger("opsrail.ledger")
_sha256 = hashlib.sha256


@dataclass
class _Lead:
    """What a leader knows: its epoch, the tree's edge, and for each writer it met the next seq and the chain's head."""

    epoch: int
    edge: Edge
    writers: dict[str, tuple[int, bytes]] = field(default_factory=dict)


class _Run(NamedTuple):
    """Adjoining batches of one writer; `parts` are their first seqs."""

    writer: str
    first_seq: int
    entry_count: int
    parts: tuple[int, ...]


class Sequencer:
    """Gives entries their places. `run` for ever, or `tick` by hand."""

    def __init__(
        self,
        store: Store,
        signer: Signer,
        clock: Clock,
        holder: str,
        *,
        anchor: Anchor | None = None,
        lease_ms: int = LEASE_MS,
        interval_s: float = INTERVAL_S,
    ) -> None:
        """Prepare; nothing is read or written yet.

        Args:
            holder: Id of this process, fresh each boot.
            anchor: Where to keep the last checkpoint outside the database; None keeps none.
            lease_ms: How long this process leads unless it renews, on the database's clock; the same in all processes.
            interval_s: Rest between two ticks.
        """
        self._store = store
        self._signer = signer
        self._clock = clock
        self._holder = holder
        self._anchor = anchor
        self._lease_ms = lease_ms
        self._interval_s = interval_s
        self._lead: _Lead | None = None
        self.last: CheckpointRow | None = None
        """The newest checkpoint that this process signed."""

    @property
    def is_leader(self) -> bool:
        """Whether this process held the lead when it last looked."""
        return self._lead is not None

    async def run(self) -> None:
        """Sequence until cancelled; a store that is down is waited for.

        Raises:
            LedgerBroken: the book does not fit itself or its external checkpoint. Terminal: nothing more is sequenced.
        """
        changed = self._store.changed(LedgerPendingRow)
        try:
            while True:
                changed.clear()
                try:
                    count = await self.tick()
                except Unavailable as error:
                    _log.warning("The ledger waits for the database: %s", error)
                    count = 0
                if count < TICK_COUNT:
                    await self._rest(changed)
        finally:
            await asyncio.shield(self.resign())

    async def tick(self) -> int:
        """Give waiting entries their places, if this process leads or may; return how many.

        Raises:
            LedgerBroken: as `run`.
            StoreUnavailable: nothing, or not known what, was written; the next tick finds out.
        """
        waiting = await self._waiting()
        if not waiting:
            return 0
        lead, self._lead = (
            self._lead,
            None,
        )  # a failure below leaves no lead: memory may be ahead of the rows
        epoch = lead.epoch if lead else await self._win()
        if epoch is None:
            return 0
        try:
            if lead is None:
                lead = await self._recover(epoch)
                waiting = await self._waiting()  # the leader before may have been at it until now
                if not waiting:
                    self._lead = lead
                    return 0
            faults.point("ledger.before_sequence")
            writes, count = await self._places(lead, waiting)
        except LedgerBroken:
            if await self._is_replaced(epoch):  # then it is this process's memory that does not fit
                return 0
            raise
        return count if await self._publish(lead, writes) else 0

    async def _publish(self, lead: _Lead, writes: Sequence[Write]) -> bool:
        """Commit all of a tick with a signed checkpoint; return False when another leads."""
        now_ms = await self._store.now_ms()
        root = Checkpoint(self._signer.origin, lead.edge.size, lead.edge.root())
        note = self._signer.sign(root.text())
        checkpoint = CheckpointRow(root.size, root.root.hex(), note, lead.epoch, now_ms)
        faults.point("ledger.sequenced")
        mine = {"epoch": lead.epoch}
        moved = {"size": root.size, "lease_until_ms": now_ms + self._lease_ms}
        fence = Require(LedgerLeaderRow, (LEADER,), mine, "fenced")
        try:
            await self._store.commit(
                [
                    fence,
                    Update(LedgerLeaderRow, (LEADER,), moved, mine),
                    *writes,
                    Insert(checkpoint),
                ]
            )
        except Fenced:
            _log.warning(
                "The ledger has another leader than %s, epoch %d.", self._holder, lead.epoch
            )
            return False
        except StaleWrite as error:
            raise LedgerBroken(
                "Rows of the ledger are not as its leader left them; run `opsrail ledger verify`."
            ) from error
        if self._anchor is not None:
            await self._keep(self._anchor, note)
        faults.point("ledger.checkpointed")
        self._lead, self.last = lead, checkpoint
        return True

    @staticmethod
    async def _keep(anchor: Anchor, note: str) -> None:
        """Keep the checkpoint outside the database; where that fails, the older one goes on guarding what it covers."""
        try:
            await asyncio.to_thread(anchor.write, note)
        except OSError as error:
            _log.error(
                "The ledger's external checkpoint cannot be written, make room or set its rights: %s",
                error,
            )

    async def resign(self) -> None:
        """Let another lead at once; harmless when this process does not."""
        lead, self._lead = self._lead, None
        if lead is not None:
            with contextlib.suppress(Conflict, Unavailable):
                mine = {"epoch": lead.epoch}
                await self._store.commit(
                    [Update(LedgerLeaderRow, (LEADER,), {"lease_until_ms": 0}, mine)]
                )

    async def _rest(self, changed: asyncio.Event) -> None:
        """Wait the interval, then for news; no longer than one more interval, for what other processes wrote unseen."""
        await self._clock.sleep(self._interval_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(
                INTERVAL_S
            ):  # not wait_for: in 3.11 it can swallow a cancellation
                await changed.wait()

    async def _waiting(self) -> list[LedgerPendingRow]:
        return await self._store.select(
            LedgerPendingRow, order=("writer", "first_seq"), limit=TICK_COUNT
        )

    async def _win(self) -> int | None:
        """Become leader if there is none, or its lease has run out; return the new epoch."""
        now_ms = await self._store.now_ms()
        row = await self._store.get(LedgerLeaderRow, LEADER)
        if row is None:
            row = LedgerLeaderRow(LEADER, 1, self._holder, now_ms + self._lease_ms, 0)
            write: Write = Insert(row)
        elif row.holder != self._holder and 0 < row.lease_until_ms - now_ms <= self._lease_ms:
            return None  # a lease that ends later still was given by a clock that ran ahead: it binds nobody
        else:
            was, row = row, row._replace(epoch=row.epoch + 1)
            won: dict[str, Value] = {
                "epoch": row.epoch,
                "holder": self._holder,
                "lease_until_ms": now_ms + self._lease_ms,
            }
            write = Update(LedgerLeaderRow, (LEADER,), won, {"epoch": was.epoch})
        try:
            await self._store.commit([write])
        except StaleWrite:
            return None
        return row.epoch

    async def _is_replaced(self, epoch: int) -> bool:
        row = await self._store.get(LedgerLeaderRow, LEADER)
        return row is None or row.epoch != epoch

    async def _recover(self, epoch: int) -> _Lead:
        """Read where the leader before stood, and check that it fits. Raises LedgerBroken."""
        size = await reading.sequenced_size(self._store)
        lead = _Lead(epoch, await reading.resume_edge(self._store, size))
        await self._check(lead)
        _log.info("%s leads the ledger from entry %d, epoch %d.", self._holder, size, epoch)
        return lead

    async def _check(self, lead: _Lead) -> None:
        """Check the book against its own last checkpoint, and the one outside the database.

        Raises:
            LedgerBroken: it does not fit.
        """
        last = await reading.last_checkpoint(self._store)
        if last is not None:
            signed = read_checkpoint(last.note, self._signer.verifiers)
            if (signed.size, signed.root.hex()) != (
                last.size,
                last.root,
            ) or signed.size != lead.edge.size:
                raise LedgerBroken(
                    f"The ledger's newest checkpoint speaks of {signed.size} entries, but {lead.edge.size} have their "
                    "place; run `opsrail ledger verify`."
                )
            if signed.root != lead.edge.root():
                raise LedgerBroken(
                    f"The ledger's {signed.size} entries do not have the root that was signed; run `opsrail ledger verify`."
                )
        elif lead.edge.size:
            raise LedgerBroken("The ledger's checkpoints are gone; run `opsrail ledger verify`.")
        if self._anchor is not None:
            await check_anchored(
                self._store, self._signer.verifiers, await asyncio.to_thread(self._anchor.read)
            )

    async def _places(
        self, lead: _Lead, waiting: Sequence[LedgerPendingRow]
    ) -> tuple[list[Write], int]:
        """Append what waits to the edge, writer by writer; return the writes and the number of entries."""
        writes: list[Write] = []
        total = 0
        for run in _runs(waiting):
            if total >= TICK_COUNT:
                break
            writes += await self._place(lead, run)
            total += run.entry_count
        return writes, total

    async def _place(self, lead: _Lead, run: _Run) -> list[Write]:
        """Append one run to the edge; return its writes. Raises LedgerBroken at an entry that does not fit its chain."""
        seq, head = lead.writers.get(run.writer) or await self._cursor(run.writer)
        if run.first_seq != seq:
            raise LedgerBroken(
                f"Entry {run.first_seq} of writer {run.writer} waits for its place, but {seq} is next."
            )
        first_index, started_at_ms = lead.edge.size, 0
        writes: list[Write] = [
            Delete(LedgerPendingRow, {"writer": run.writer, "first_seq": at}) for at in run.parts
        ]
        async for rows in reading.entries_of_run(
            self._store, run.writer, seq, run.entry_count, SLICE_COUNT
        ):
            if started_at_ms:  # not the first: the event loop belongs to decisions
                await self._clock.sleep(PAUSE_S)
            started_at_ms = started_at_ms or (rows[0].at_ms if rows else 0)
            head, tiles = _append(lead.edge, rows, head)
            writes += map(Insert, tiles)
        end_seq = seq + run.entry_count
        if lead.edge.size != first_index + run.entry_count:
            raise LedgerBroken(
                f"Entries of writer {run.writer} in {seq}..{end_seq - 1} are gone; keep the file."
            )
        lead.writers[run.writer] = end_seq, head
        writes.append(Insert(LedgerRunRow(first_index, run.writer, seq, run.entry_count)))
        if seq == 0:
            writes.append(Insert(LedgerWriterRow(run.writer, end_seq, started_at_ms)))
        else:
            writes.append(
                Update(LedgerWriterRow, (run.writer,), {"sequenced": end_seq}, {"sequenced": seq})
            )
        return writes

    async def _cursor(self, writer: str) -> tuple[int, bytes]:
        """Return a writer's next seq and the hash that its next entry must name."""
        row = await self._store.get(LedgerWriterRow, writer)
        if row is None:
            return 0, bytes.fromhex(START)
        last = await self._store.get(LedgerEntryRow, writer, row.sequenced - 1)
        if last is None:
            raise LedgerBroken(
                f"Entry {row.sequenced - 1} of writer {writer} is gone; run `opsrail ledger verify`."
            )
        return row.sequenced, bytes.fromhex(chain_hash(last.prev_hash, last.leaf_hash))


def _runs(waiting: Sequence[LedgerPendingRow]) -> list[_Run]:
    """Return the waiting batches, those that adjoin made one."""
    runs: list[_Run] = []
    for writer, first_seq, count in waiting:
        if runs and (runs[-1].writer, runs[-1].first_seq + runs[-1].entry_count) == (
            writer,
            first_seq,
        ):
            before = runs.pop()
            runs.append(
                _Run(
                    writer, before.first_seq, before.entry_count + count, (*before.parts, first_seq)
                )
            )
        else:
            runs.append(_Run(writer, first_seq, count, (first_seq,)))
    return runs


def _append(
    edge: Edge, rows: Sequence[LedgerEntryRow], head: bytes
) -> tuple[bytes, list[LedgerTileRow]]:
    """Append entries to the edge; return their chain's new head and the tiles that became full.

    Raises:
        LedgerBroken: an entry was changed since it was written.
    """
    tiles: list[LedgerTileRow] = []
    for row in rows:
        leaf = _sha256(b"\x00" + row.body.encode()).digest()
        if leaf.hex() != row.leaf_hash or head.hex() != row.prev_hash:
            raise LedgerBroken(
                f"Entry {row.seq} of writer {row.writer} was changed before it had its place; keep the file."
            )
        head = _sha256(head + leaf).digest()
        tiles += edge.append(leaf)
    return head, tiles
