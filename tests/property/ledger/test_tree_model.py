"""The tree against a model: the definition of RFC 6962, written down as it stands there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from opsrail.ledger import tree, verifier
from opsrail.ledger.tiles import WIDTH, Edge, hashes_of, tile_of
from opsrail.values.ledger import LedgerTileRow

SIZES = st.integers(1, 300)


def leaves(count: int) -> list[bytes]:
    return [tree.leaf_hash(str(number).encode()) for number in range(count)]


def split(count: int) -> int:
    power = 1
    while power * 2 < count:
        power *= 2
    return power


def root_of(hashes: Sequence[bytes]) -> bytes:
    if not hashes:
        return hashlib.sha256().digest()
    if len(hashes) == 1:
        return hashes[0]
    k = split(len(hashes))
    return hashlib.sha256(b"\x01" + root_of(hashes[:k]) + root_of(hashes[k:])).digest()


def path(index: int, hashes: Sequence[bytes]) -> list[bytes]:
    if len(hashes) == 1:
        return []
    k = split(len(hashes))
    if index < k:
        return [*path(index, hashes[:k]), root_of(hashes[k:])]
    return [*path(index - k, hashes[k:]), root_of(hashes[:k])]


def subproof(old: int, hashes: Sequence[bytes], is_whole: bool) -> list[bytes]:
    if old == len(hashes):
        return [] if is_whole else [root_of(hashes)]
    k = split(len(hashes))
    if old <= k:
        return [*subproof(old, hashes[:k], is_whole), root_of(hashes[k:])]
    return [*subproof(old - k, hashes[k:], False), root_of(hashes[:k])]


def node_hashes(nodes: Sequence[tree.Node], hashes: Sequence[bytes]) -> dict[tree.Node, bytes]:
    return {
        (height, number): root_of(hashes[number << height : (number + 1) << height])
        for height, number in nodes
    }


@given(SIZES)
def test_a_grown_edge_has_the_root_of_the_definition(size: int) -> None:
    grown = Edge()
    other = verifier.Tree()
    for leaf in leaves(size):
        grown.append(leaf)
        other.add(leaf)

    assert grown.root() == root_of(leaves(size))
    assert other.root() == root_of(leaves(size))


@given(SIZES, st.data())
def test_inclusion_proofs_are_those_of_the_definition_and_hold_in_both_verifiers(
    size: int, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, size - 1))
    hashes = leaves(size)
    nodes = tree.inclusion_nodes(index, size)
    proof = tree.build(nodes, node_hashes([node for part in nodes for node in part], hashes))

    assert proof == path(index, hashes)
    assert tree.is_included(index, size, hashes[index], proof, root_of(hashes))
    assert verifier.root_of_path(index, size, hashes[index], proof) == root_of(hashes)


@given(SIZES, st.data())
def test_consistency_proofs_are_those_of_the_definition_and_hold(
    size: int, data: st.DataObject
) -> None:
    old = data.draw(st.integers(1, size))
    hashes = leaves(size)
    nodes = tree.consistency_nodes(old, size)
    proof = tree.build(nodes, node_hashes([node for part in nodes for node in part], hashes))

    assert proof == subproof(old, hashes, True)
    assert tree.is_consistent(old, size, proof, root_of(hashes[:old]), root_of(hashes))


@given(SIZES, st.data())
def test_no_other_leaf_index_or_size_fits_a_proof(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    hashes = leaves(size)
    proof = path(index, hashes)
    other_index = data.draw(st.integers(0, size))
    other_leaf = data.draw(st.sampled_from([hashes[index], leaves(size + 1)[-1]]))
    both = (
        tree.is_included(other_index, size, other_leaf, proof, root_of(hashes)),
        verifier.root_of_path(other_index, size, other_leaf, proof) == root_of(hashes),
    )

    assert both == ((other_index, other_leaf) == (index, hashes[index]),) * 2


@settings(max_examples=8, deadline=None)
@given(st.sampled_from([1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 66_049]))
def test_an_edge_fills_tiles_and_can_be_resumed_from_them_at_any_size(size: int) -> None:
    hashes = leaves(size)
    edge = Edge()
    tiles: dict[tuple[int, int], LedgerTileRow] = {}
    for leaf in hashes:
        for tile in edge.append(leaf):
            tiles[tile.level, tile.number] = tile
    levels: list[list[bytes]] = []
    for level in range(3):
        end = size >> (8 * level)
        start = end - end % WIDTH
        below = (
            hashes
            if level == 0
            else [tree.full_root(hashes_of(tiles[level - 1, number])) for number in range(end)]
        )
        levels.append(below[start:end])

    assert len(tiles) == size // 256 + size // 65_536
    assert hashes_of(tiles[0, 0]) == hashes[:256] if size >= 256 else not tiles
    assert (edge.size, Edge(levels).size) == (size, size)
    assert Edge(levels).root() == edge.root()
    other = verifier.Tree()
    for leaf in hashes:
        other.add(leaf)
    assert edge.root() == other.root()


@given(st.integers(0, 40), st.integers(0, 2**40))
def test_every_subtree_lies_within_one_tile(height: int, number: int) -> None:
    level, tile, first, end = tile_of((height, number))

    assert 0 <= first < end <= WIDTH
    assert ((tile * WIDTH + first) << (8 * level), (tile * WIDTH + end) << (8 * level)) == (
        number << height,
        (number + 1) << height,
    )
