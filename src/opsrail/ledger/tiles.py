"""Tiles: the tree cut into pieces of 256 hashes, after C2SP `tlog-tiles`; pure.

A tile of level 0 holds 256 leaf hashes; one of level n the roots of 256 tiles of level n-1. Only full tiles are stored: they
never change again. What has not filled a tile yet is the edge, which the sequencer keeps in memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from opsrail.ledger.tree import CompactRange, Node, full_root
from opsrail.values.ledger import LedgerTileRow

HEIGHT = 8
WIDTH = 1 << HEIGHT
"""Hashes of a full tile. Source: C2SP tlog-tiles, which fixes height 8."""
HASH_BYTES = 32


class Edge:
    """The right edge of the tree: its compact range, and on each level the hashes that do not fill a tile yet."""

    def __init__(self, levels: Sequence[Sequence[bytes]] = ()) -> None:
        """Resume an edge.

        Args:
            levels: For each level from 0, the 0..255 hashes of its unfinished tile.
        """
        self._levels = [list(hashes) for hashes in levels] or [[]]
        size = sum(len(hashes) << (HEIGHT * level) for level, hashes in enumerate(self._levels))
        subtrees = [root for hashes in reversed(self._levels) for root in _subtrees(hashes)]
        self._range = CompactRange(size, subtrees)

    @property
    def size(self) -> int:
        """Leaves appended."""
        return self._range.size

    def root(self) -> bytes:
        """Return the Merkle tree hash of all leaves."""
        return self._range.root()

    def append(self, leaf: bytes) -> list[LedgerTileRow]:
        """Add a leaf hash; return the tiles that it filled, lowest level first."""
        levels = self._levels
        filled: list[LedgerTileRow] = []
        levels[0].append(leaf)
        subtrees = self._range.append(leaf)
        if len(subtrees) < HEIGHT:
            return filled
        for height, root in subtrees[HEIGHT - 1 :: HEIGHT]:
            level = height // HEIGHT
            number = (self._range.size >> height) - 1
            filled.append(LedgerTileRow(level - 1, number, b"".join(levels[level - 1])))
            levels[level - 1] = []
            if level == len(levels):
                levels.append([])
            levels[level].append(root)
        return filled


def tile_of(node: Node) -> tuple[int, int, int, int]:
    """Return where a subtree's hash comes from: a tile's level and number, and the half-open range of its hashes to fold."""
    height, number = node
    level, within = divmod(height, HEIGHT)
    first = number << within
    return level, first // WIDTH, first % WIDTH, first % WIDTH + (1 << within)


def hashes_of(tile: LedgerTileRow) -> list[bytes]:
    """Return a tile's hashes, in order."""
    return [tile.hashes[at : at + HASH_BYTES] for at in range(0, len(tile.hashes), HASH_BYTES)]


def _subtrees(hashes: Sequence[bytes]) -> list[bytes]:
    """Return the roots of the full subtrees over an unfinished tile's hashes, largest first."""
    roots: list[bytes] = []
    start = 0
    for height in range(HEIGHT - 1, -1, -1):
        if len(hashes) >> height & 1:
            roots.append(full_root(hashes[start : start + (1 << height)]))
            start += 1 << height
    return roots
