"""Verification of the whole book: every entry, chain, place, tile and checkpoint, from the first to the last, page by page.

Entries are hashed anew from their bodies. Chains say whether an entry was changed or is missing, tiles and checkpoints
whether somebody computed the chains anew, external checkpoints whether somebody with the signing key did. After the first
entry that does not fit, the tree cannot be compared further; chains still are, so that all faults are found at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from opsrail.errors import LedgerBroken
from opsrail.ledger import reading
from opsrail.ledger.chain import START
from opsrail.ledger.entries import ENVELOPE
from opsrail.ledger.notes import Checkpoint, VerifierKey, read_checkpoint
from opsrail.ledger.tiles import HASH_BYTES, HEIGHT, Edge
from opsrail.ports import Store
from opsrail.values.ledger import (
    CheckpointRow,
    LedgerEntryRow,
    LedgerRunRow,
    LedgerTileRow,
)

FAULTS_KEPT = 100
"""Faults that a report lists; the others are only counted."""
Progress = Callable[[int, int], None]
"""Called after each page with entries checked and entries in all."""
_sha256 = hashlib.sha256


@dataclass(frozen=True, slots=True)
class LedgerFault:
    """One place where the book does not fit.

    Attributes:
        index: First place of the tree that is bad; None for an entry that has no place yet.
        until: The bad place is below this one; index + 1 where it is known exactly.
        message: What is wrong there.
    """

    index: int | None
    until: int | None
    message: str

    def __str__(self) -> str:
        if self.index is None or self.until is None:
            return self.message
        place = (
            f"entry {self.index}"
            if self.until == self.index + 1
            else f"entries {self.index}..{self.until - 1}"
        )
        return f"{place}: {self.message}"


class VerifyReport(NamedTuple):
    """What a verification found.

    Attributes:
        entries: Entries that have their place in the tree.
        waiting: Entries that have none yet.
        checkpoint: The newest signed checkpoint; None in an empty book.
        unbound: Entries whose body does not repeat the columns of its row, so that those are not protected.
        faults: What does not fit, in order of index; at most FAULTS_KEPT.
        fault_count: Of all that was found.
    """

    entries: int
    waiting: int
    checkpoint: Checkpoint | None
    unbound: int
    faults: tuple[LedgerFault, ...]
    fault_count: int

    @property
    def is_intact(self) -> bool:
        """Whether everything fits."""
        return not self.faults

    @property
    def first_bad_index(self) -> int | None:
        """First place of the tree that is bad; None when all fit, or only entries without a place do not."""
        return min((fault.index for fault in self.faults if fault.index is not None), default=None)


class Audit:
    """One verification. Made for one `run`."""

    def __init__(
        self,
        store: Store,
        known: Sequence[VerifierKey],
        external_notes: Sequence[str],
        progress: Progress,
    ) -> None:
        self._store = store
        self._known = known
        self._external_notes = external_notes
        self._progress = progress
        self._edge = Edge()
        self._is_whole = True  # the tree can be compared: no entry so far was missing or changed
        self._index = 0
        self._good = 0  # size of the last checkpoint that fitted
        self._writers: dict[str, tuple[int, bytes | None]] = {}
        self._externals: list[Checkpoint] = []
        self._newest: Checkpoint | None = None
        self._unbound = 0
        self._faults: list[LedgerFault] = []
        self._fault_count = 0

    async def run(self) -> VerifyReport:
        """Check everything that is committed now; what is appended meanwhile may go unchecked."""
        for note in self._external_notes:
            try:
                self._externals.append(read_checkpoint(note, self._known))
            except LedgerBroken as broken:
                self._fault(None, None, f"external checkpoint: {broken}")
        self._externals.sort(key=lambda checkpoint: checkpoint.size)
        size, covered = await reading.snapshot(self._store)
        await self._check_tree(size, covered)
        self._check_ends(size, covered)
        waiting = await self._check_waiting(size)
        faults = sorted(self._faults, key=lambda fault: (fault.index is None, fault.index))
        return VerifyReport(
            self._index,
            waiting,
            self._newest,
            self._unbound,
            tuple(faults[:FAULTS_KEPT]),
            self._fault_count,
        )

    async def _check_tree(self, size: int, covered: int) -> None:
        """Walk the runs by index, comparing roots wherever a checkpoint speaks of one."""
        checkpoints = reading.checkpoints(self._store, covered)
        checkpoint = await anext(checkpoints, None)
        async for run in reading.runs_below(self._store, size):
            self._begin_run(run)
            async for page in reading.entries_of_run(
                self._store, run.writer, run.first_seq, run.entry_count
            ):
                upper = min(self._index + reading.PAGE_COUNT, run.first_index + run.entry_count)
                start = 0
                while checkpoint is not None and checkpoint.size <= upper:
                    start = await self._feed(run, page, start, checkpoint.size)
                    self._compare(checkpoint)
                    checkpoint = await anext(checkpoints, None)
                await self._feed(run, page, start, upper)
                self._progress(self._index, size)

    def _check_ends(self, size: int, covered: int) -> None:
        """Check that entries, places and checkpoints end together."""
        if self._index != size:
            ends = sorted((self._index, size))
            self._fault(
                ends[0], ends[1], f"{size} entries have their place, but runs hold {self._index}"
            )
        if covered > size:
            self._fault(size, covered, f"a checkpoint speaks of {covered} entries: the tail is cut")
        elif covered < size:
            self._fault(covered, size, "no checkpoint covers them")
        for external in self._externals:
            if external.size > size:
                message = f"an external checkpoint of {external.size} knows them: rolled back"
                self._fault(size, external.size, message)

    def _begin_run(self, run: LedgerRunRow) -> None:
        """Check that a run begins where the one before ended, in the tree and in its writer's chain."""
        seq, _ = self._writers.setdefault(run.writer, (0, bytes.fromhex(START)))
        if run.first_index != self._index:
            self._misplaced(
                min(self._index, run.first_index),
                f"runs leave or share places from {self._index} on",
            )
            self._index = run.first_index
        if run.first_seq != seq:
            self._misplaced(
                self._index,
                f"writer {run.writer} goes on with its entry {run.first_seq}, not {seq}",
            )
            self._writers[run.writer] = run.first_seq, None

    async def _feed(
        self, run: LedgerRunRow, page: Sequence[LedgerEntryRow], start: int, upper: int
    ) -> int:
        """Check a page's rows from `start` for the places below `upper`; return where in the page to go on."""
        tiles: list[LedgerTileRow] = []
        while self._index < upper:
            seq = run.first_seq + self._index - run.first_index
            row = page[start] if start < len(page) else None
            if row is None or row.seq != seq:
                self._break(self._index, f"entry {seq} of writer {run.writer} is missing")
                self._writers[run.writer] = seq + 1, None
            else:
                start += 1
                tiles += self._check_entry(row, self._index)
            self._index += 1
            self._compare_external()
        for tile in tiles:
            await self._compare_tile(tile)
        return start

    def _check_entry(self, row: LedgerEntryRow, index: int | None) -> list[LedgerTileRow]:
        """Check an entry against its body and its chain; append it to the tree if it has a place."""
        _, head = self._writers[row.writer]
        leaf = _sha256(b"\x00" + row.body.encode()).digest()
        wrong = ""
        if leaf.hex() != row.leaf_hash:
            wrong = "its body is not what was hashed"
        elif head is not None and head.hex() != row.prev_hash:
            wrong = f"entry {row.seq} of writer {row.writer} does not follow the entry before it"
        else:
            wrong = self._envelope_fault(row)
        if wrong:
            self._break(index, wrong)
            self._writers[row.writer] = row.seq + 1, None
            return []
        before = bytes.fromhex(row.prev_hash) if head is None else head
        self._writers[row.writer] = row.seq + 1, _sha256(before + leaf).digest()
        return self._edge.append(leaf) if index is not None and self._is_whole else []

    def _envelope_fault(self, row: LedgerEntryRow) -> str:
        """Return which column differs from the body that repeats it."""
        try:
            body = orjson.loads(row.body)
        except orjson.JSONDecodeError:
            body = None
        if not isinstance(body, dict) or not all(name in body for name in ENVELOPE):
            self._unbound += 1
            return ""
        columns = (row.kind, row.subject_id, row.at_ms)
        wrong = [name for name, value in zip(ENVELOPE, columns, strict=True) if body[name] != value]
        return f"the row's {', '.join(wrong)} are not those of its body" if wrong else ""

    async def _compare_tile(self, made: LedgerTileRow) -> None:
        stored = await self._store.get(LedgerTileRow, made.level, made.number)
        if stored == made:
            return
        width = 1 << (HEIGHT * made.level)
        hashes = stored.hashes if stored else b""
        at = next(
            (
                at
                for at, (one, other) in enumerate(zip(hashes, made.hashes, strict=False))
                if one != other
            ),
            len(hashes),
        )
        first = (made.number * 256 + min(at // HASH_BYTES, 255)) * width
        self._fault(
            first,
            first + width,
            f"tile {made.number} of level {made.level} says otherwise, or is missing",
        )

    def _compare(self, row: CheckpointRow) -> None:
        """Compare the tree with a stored checkpoint of its size."""
        try:
            signed = read_checkpoint(row.note, self._known)
        except LedgerBroken as broken:
            self._fault(self._good, row.size, f"checkpoint of {row.size}: {broken}")
            return
        self._newest = signed
        if (signed.size, signed.root.hex()) != (row.size, row.root):
            self._fault(
                self._good,
                row.size,
                f"the row of the checkpoint of {row.size} is not what its note says",
            )
        elif self._is_whole and signed.root != self._edge.root():
            self._fault(
                self._good, row.size, f"they do not have the root that was signed for {row.size}"
            )
        elif self._is_whole:
            self._good = row.size

    def _compare_external(self) -> None:
        """Compare the tree with external checkpoints of its size."""
        while self._externals and self._externals[0].size <= self._index:
            external = self._externals.pop(0)
            if (
                self._is_whole
                and external.size == self._edge.size
                and external.root != self._edge.root()
            ):
                self._fault(
                    0,
                    external.size,
                    "they are not those that an external checkpoint was signed for: rewritten",
                )

    async def _check_waiting(self, size: int) -> int:
        """Check entries without a place, and that none is hidden from the sequencer; return how many there are."""
        writers = {row.writer: row.sequenced async for row in reading.writers(self._store)}
        for writer, sequenced in writers.items():
            if sequenced < self._writers.get(writer, (0, None))[0]:
                self._fault(
                    None,
                    None,
                    f"writer {writer} is said to have {sequenced} entries in the tree; it has more",
                )
        waiting = await reading.waiting_counts(self._store)
        at_least = {
            writer: writers.get(writer, 0) + waiting.get(writer, 0)
            for writer in {*writers, *waiting}
        }
        counted = {
            str(key[0]): n
            for key, n in (await self._store.count(LedgerEntryRow, by=("writer",))).items()
        }
        waiting_now = await reading.waiting_counts(self._store)
        now = {row.writer: row.sequenced async for row in reading.writers(self._store)}
        for writer in {*at_least, *counted}:
            at_most = now.get(writer, 0) + waiting_now.get(writer, 0)
            if not at_least.get(writer, 0) <= counted.get(writer, 0) <= at_most:
                self._fault(
                    None,
                    None,
                    f"writer {writer} has {counted.get(writer, 0)} entries; its places and the waiting list say {at_most}",
                )
        for writer, end in at_least.items():
            await self._check_tail(writer, end)
        return sum(waiting.values())

    async def _check_tail(self, writer: str, end: int) -> None:
        """Check the chain of a writer's entries beyond those of the tree."""
        seq, _ = self._writers.setdefault(writer, (0, bytes.fromhex(START)))
        async for page in reading.entries_of_run(self._store, writer, seq, end - seq):
            for row in page:
                if row.seq != self._writers[writer][0]:
                    self._fault(
                        None,
                        None,
                        f"entry {self._writers[writer][0]} of writer {writer} is missing",
                    )
                    self._writers[writer] = row.seq, None
                self._check_entry(row, None)

    def _break(self, index: int | None, message: str) -> None:
        """Note a fault after which the tree cannot be compared."""
        if index is not None:
            self._is_whole = False
        self._fault(index, None if index is None else index + 1, message)

    def _misplaced(self, index: int, message: str) -> None:
        """Note that runs do not fit; those before, back to the last root that fitted, may be the wrong ones."""
        since = self._good if self._is_whole else index
        self._is_whole = False
        self._fault(since, index + 1, message)

    def _fault(self, index: int | None, until: int | None, message: str) -> None:
        self._fault_count += 1
        if len(self._faults) < FAULTS_KEPT:
            self._faults.append(LedgerFault(index, until, message))
