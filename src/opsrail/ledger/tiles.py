"""Tiles: the tree cut into pieces of 256 hashes, after C2SP `tlog-tiles`; pure.

A tile of level 0 holds 256 leaf hashes; one of level n the roots of 256 tiles of level n-1. Only full tiles are stored: they
never change again. What has not filled a tile yet is the edge, which the sequencer keeps in memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from opsrail.ledger.tree import EMPTY_ROOT, Node, fold, full_root
from opsrail.values.ledger import LedgerTileRow

HEIGHT = 8
WIDTH = 1 << HEIGHT
"""Hashes of a full tile. Source: C2SP tlog-tiles, which fixes height 8."""
HASH_BYTES = 32


class Edge:
    """The right edge of the tree: on each level the hashes that do not fill a tile yet.

    Hashes above them are made when a tile is full and when the root is asked for, at most 255 a level.

    Attributes:
        size: Leaves appended.
    """

    def __init__(self, levels: Sequence[Sequence[bytes]] = ()) -> None:
        """Resume an edge.

        Args:
            levels: For each level from 0, the 0..255 hashes of its unfinished tile.
        """
        self._levels = [list(hashes) for hashes in levels] or [[]]
        self.size = sum(
            len(hashes) << (HEIGHT * level) for level, hashes in enumerate(self._levels)
        )

    def root(self) -> bytes:
        """Return the Merkle tree hash of all leaves."""
        subtrees = [root for hashes in reversed(self._levels) for root in _subtrees(hashes)]
        return fold(subtrees) if subtrees else EMPTY_ROOT

    def append(self, leaf: bytes) -> list[LedgerTileRow]:
        """Add a leaf hash; return the tiles that it filled, lowest level first."""
        hashes = self._levels[0]
        hashes.append(leaf)
        self.size += 1
        return [] if len(hashes) < WIDTH else self._filled()

    def _filled(self) -> list[LedgerTileRow]:
        """Take away the tiles that are full; the root of each is a hash of the level above."""
        levels, filled, level = self._levels, list[LedgerTileRow](), 0
        while len(hashes := levels[level]) == WIDTH:
            levels[level] = []
            level += 1
            number = (self.size >> (HEIGHT * level)) - 1
            filled.append(LedgerTileRow(level - 1, number, b"".join(hashes)))
            if level == len(levels):
                levels.append([])
            levels[level].append(full_root(hashes))
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
