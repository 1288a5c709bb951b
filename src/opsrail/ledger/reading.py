"""Reads of the stored tree: places of entries, hashes of subtrees, the root at an earlier size, the edge to go on from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from opsrail.errors import LedgerBroken, NotFound
from opsrail.ledger.tiles import HEIGHT, WIDTH, Edge, hashes_of, tile_of
from opsrail.ledger.tree import EMPTY_ROOT, Node, fold, full_root, nodes_of
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
from opsrail.values.rows import R, Where, equals

LEADER = "sequencer"
"""Key of the one leader row."""
PAGE_COUNT = 500
"""Entries read at a time: about half a megabyte."""


async def sequenced_size(store: Store) -> int:
    """Return how many entries have their place in the tree."""
    row = await store.get(LedgerLeaderRow, LEADER)
    return row.size if row else 0


async def last_checkpoint(store: Store) -> CheckpointRow | None:
    """Return the newest checkpoint."""
    rows = await store.select(CheckpointRow, order=("size",), descending=True, limit=1)
    return rows[0] if rows else None


async def run_at(store: Store, index: int) -> LedgerRunRow | None:
    """Return the run that holds an index."""
    rows = await store.select(
        LedgerRunRow,
        Where("first_index", "<=", index),
        order=("first_index",),
        descending=True,
        limit=1,
    )
    return rows[0] if rows and index < rows[0].first_index + rows[0].entry_count else None


async def index_of(store: Store, writer: str, seq: int) -> int | None:
    """Return an entry's place in the tree; None while it waits for one."""
    rows = await store.select(
        LedgerRunRow,
        *equals(writer=writer),
        Where("first_seq", "<=", seq),
        order=("first_seq",),
        descending=True,
        limit=1,
    )
    if not rows or seq >= rows[0].first_seq + rows[0].entry_count:
        return None
    return rows[0].first_index + seq - rows[0].first_seq


async def entries_of_run(
    store: Store, writer: str, first_seq: int, count: int, page_count: int = PAGE_COUNT
) -> AsyncIterator[list[LedgerEntryRow]]:
    """Yield the stored entries of a run in pages, by seq; what is missing is not there."""
    end = first_seq + count
    while first_seq < end:
        upper = min(first_seq + page_count, end)
        yield await store.select(
            LedgerEntryRow,
            *equals(writer=writer),
            Where("seq", ">=", first_seq),
            Where("seq", "<", upper),
            order=("seq",),
            limit=page_count,
        )
        first_seq = upper


async def entries_between(
    store: Store, start: int, end: int
) -> AsyncIterator[tuple[int, LedgerEntryRow]]:
    """Yield (index, entry) for the places `start` up to `end` of the tree.

    Raises:
        LedgerBroken: one is missing; the message names the first.
    """
    while start < end:
        if (run := await run_at(store, start)) is None:
            raise LedgerBroken(
                f"No run of the ledger holds entry {start}; run `opsrail ledger verify`."
            )
        skipped = start - run.first_index
        count = min(run.entry_count - skipped, end - start)
        async for page in entries_of_run(store, run.writer, run.first_seq + skipped, count):
            for row in page:
                if row.seq != run.first_seq + start - run.first_index:
                    break
                yield start, row
                start += 1
        if start < min(run.first_index + run.entry_count, end):
            raise LedgerBroken(
                f"Entry {start} of the ledger is missing; run `opsrail ledger verify`."
            )


async def leaves_between(store: Store, start: int, end: int) -> list[bytes]:
    """Return the leaf hashes at `start` up to `end`. Raises LedgerBroken when one is missing."""
    return [bytes.fromhex(row.leaf_hash) async for _, row in entries_between(store, start, end)]


async def node_hashes(store: Store, nodes: Iterable[Node], size: int) -> dict[Node, bytes]:
    """Return the hash of each full subtree of the tree of `size`, from tiles and, at the edge, from entries.

    Raises:
        LedgerBroken: a tile or an entry is missing.
    """
    found: dict[Node, bytes] = {}
    tiles: dict[tuple[int, int], list[bytes]] = {}
    for node in nodes:
        level, number, first, end = tile_of(node)
        if (number + 1) << (HEIGHT * (level + 1)) <= size:
            if (level, number) not in tiles:
                tiles[level, number] = await tile_hashes(store, level, number)
            found[node] = full_root(tiles[level, number][first:end])
        else:
            base = number * WIDTH
            found[node] = full_root(await _edge_hashes(store, level, base + first, base + end))
    return found


async def tile_hashes(store: Store, level: int, number: int) -> list[bytes]:
    """Return the hashes of a stored tile. Raises LedgerBroken when it is missing or cut."""
    tile = await store.get(LedgerTileRow, level, number)
    if tile is None or len(hashes := hashes_of(tile)) != WIDTH or len(hashes[-1]) != len(hashes[0]):
        raise LedgerBroken(
            f"Tile {number} of level {level} of the ledger is missing or cut; run `opsrail ledger verify`."
        )
    return hashes


async def root_at(store: Store, size: int) -> bytes:
    """Return the tree's root when it had `size` leaves, as tiles and entries tell it. Raises LedgerBroken."""
    if size == 0:
        return EMPTY_ROOT
    nodes = nodes_of(0, size)
    hashes = await node_hashes(store, nodes, size)
    return fold([hashes[node] for node in nodes])


async def resume_edge(store: Store, size: int) -> Edge:
    """Return the edge of the tree of `size`, to append to. Raises LedgerBroken when what it is made of is missing."""
    levels: list[list[bytes]] = []
    level = 0
    while level == 0 or size >> (HEIGHT * level):
        end = size >> (HEIGHT * level)
        levels.append(await _edge_hashes(store, level, end - end % WIDTH, end))
        level += 1
    return Edge(levels)


async def entry_at(store: Store, writer: str, seq: int) -> LedgerEntryRow:
    """Return an entry. Raises NotFound."""
    row = await store.get(LedgerEntryRow, writer, seq)
    if row is None:
        raise NotFound(
            f"The ledger has no entry {seq} of writer {writer}; entries and their writers stand in `opsrail ledger export`."
        )
    return row


async def waiting_counts(store: Store) -> dict[str, int]:
    """Return how many entries of each writer wait for a place."""
    counts: dict[str, int] = {}
    for (writer,) in await store.count(LedgerPendingRow, by=("writer",)):
        async for row in _each(store, LedgerPendingRow, "first_seq", -1, *equals(writer=writer)):
            counts[writer] = counts.get(writer, 0) + row.entry_count
    return counts


async def runs_below(store: Store, size: int) -> AsyncIterator[LedgerRunRow]:
    """Yield the runs of the first `size` places, by index."""
    below = Where("first_index", "<", size)
    async for row in _each(store, LedgerRunRow, "first_index", -1, below):
        yield row


async def snapshot(store: Store) -> tuple[int, int]:
    """Return how many entries have their place, and how many the newest checkpoint covers, at one moment.

    A leader may be at work: the two are read until no checkpoint came between.
    """
    before = await last_checkpoint(store)
    size = await sequenced_size(store)
    while (after := await last_checkpoint(store)) != before:
        before, size = after, await sequenced_size(store)
    return size, after.size if after else 0


async def checkpoints(store: Store, largest: int) -> AsyncIterator[CheckpointRow]:
    """Yield the checkpoints of at most `largest` entries, by size."""
    async for row in _each(store, CheckpointRow, "size", -1, Where("size", "<=", largest)):
        yield row


async def writers(store: Store) -> AsyncIterator[LedgerWriterRow]:
    """Yield all writers, by id."""
    async for row in _each(store, LedgerWriterRow, "writer", ""):
        yield row


async def _each(
    store: Store, table: type[R], column: str, after: str | int, *where: Where
) -> AsyncIterator[R]:
    """Yield all rows that meet the conditions, by a column that tells them apart, from above `after` on."""
    while rows := await store.select(
        table, *where, Where(column, ">", after), order=(column,), limit=PAGE_COUNT
    ):
        for row in rows:
            yield row
        after = getattr(rows[-1], column)


async def _edge_hashes(store: Store, level: int, start: int, end: int) -> list[bytes]:
    """Return hashes of one level that no full tile holds."""
    if level == 0:
        return await leaves_between(store, start, end)
    return [full_root(await tile_hashes(store, level - 1, number)) for number in range(start, end)]
