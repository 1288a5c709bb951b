"""The Merkle tree of RFC 6962, pure: roots, proofs and their checks over hashes alone.

Hashes are 32 raw bytes. A node `(height, number)` is the root of the full subtree over leaves `number << height` up to
`(number + 1) << height`; every proof element is a fold of such nodes, so that a proof can be made from stored tiles.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

Node = tuple[int, int]
"""Height and number of a full subtree."""

EMPTY_ROOT = hashlib.sha256(b"").digest()
_sha256 = hashlib.sha256


def leaf_hash(content: bytes) -> bytes:
    """Return the hash of a leaf. Source: RFC 6962, section 2.1."""
    return _sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees. Source: RFC 6962, section 2.1."""
    return _sha256(b"\x01" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the hash over adjoining full subtrees, given largest first."""
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def full_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over 2**n hashes of one level."""
    level = list(hashes)
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=True)
        level = [_sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return level[0]


def nodes_of(start: int, end: int) -> list[Node]:
    """Return the full subtrees that cover leaves `start` up to `end`, largest first.

    Args:
        start: A multiple of the largest power of two <= end - start, as every range that a proof names is.
    """
    nodes: list[Node] = []
    while start < end:
        height = (end - start).bit_length() - 1
        nodes.append((height, start >> height))
        start += 1 << height
    return nodes


def inclusion_nodes(index: int, size: int) -> list[list[Node]]:
    """Return what the inclusion proof of a leaf is made of, from the leaf up: each element is a fold of nodes.

    Raises:
        IndexError: the index is not below the size.

    Source:
        RFC 6962, section 2.1.1.
    """
    if not 0 <= index < size:
        raise IndexError(f"leaf {index} is not in a tree of {size}")
    path: list[list[Node]] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(nodes_of(middle, end))
            end = middle
        else:
            path.append(nodes_of(start, middle))
            start = middle
    return path[::-1]


def consistency_nodes(old_size: int, size: int) -> list[list[Node]]:
    """Return what the proof is made of that a tree of `size` begins with the tree of `old_size`.

    Raises:
        IndexError: the old size is above the size.

    Source:
        RFC 6962, section 2.1.2.
    """
    if not 0 <= old_size <= size:
        raise IndexError(f"a tree of {size} has no earlier size {old_size}")
    path: list[list[Node]] = []
    start, end, is_whole = 0, size, True
    if old_size == 0:
        return path
    while old_size != end:
        middle = start + _split(end - start)
        if old_size <= middle:
            path.append(nodes_of(middle, end))
            end = middle
        else:
            path.append(nodes_of(start, middle))
            start, is_whole = middle, False
    if not is_whole:
        path.append(nodes_of(start, end))
    return path[::-1]


def build(path: Sequence[Sequence[Node]], hashes: Mapping[Node, bytes]) -> list[bytes]:
    """Return a proof's hashes, given the hash of each of its nodes."""
    return [fold([hashes[node] for node in nodes]) for nodes in path]


def root_from_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes | None:
    """Return the root that an inclusion proof leads to; None when it has the wrong shape.

    Source:
        RFC 9162, section 2.1.3.2.
    """
    if not 0 <= index < size or any(len(part) != 32 for part in (leaf, *proof)):
        return None
    at, last, root = index, size - 1, leaf
    for part in proof:
        if last == 0:
            return None
        if at & 1 or at == last:
            root = node_hash(part, root)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            root = node_hash(root, part)
        at, last = at >> 1, last >> 1
    return root if last == 0 else None


def is_included(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Return whether the leaf stands at that index of the tree with that root."""
    return root_from_inclusion(index, size, leaf, proof) == root


def is_consistent(
    old_size: int, size: int, proof: Sequence[bytes], old_root: bytes, root: bytes
) -> bool:
    """Return whether the tree with `root` begins with the tree with `old_root`.

    Source:
        RFC 9162, section 2.1.4.2.
    """
    if not 0 <= old_size <= size or any(len(part) != 32 for part in proof):
        return False
    if old_size in (0, size):
        return not proof and (old_size != size or old_root == root)
    parts = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not parts:
        return False
    at, last = old_size - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = parts[0]
    for part in parts[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(part, old), node_hash(part, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, part)
        at, last = at >> 1, last >> 1
    return last == 0 and old == old_root and new == root


def _split(count: int) -> int:
    """Return the largest power of two below `count`, which is > 1."""
    return 1 << ((count - 1).bit_length() - 1)
