"""The Merkle tree against published hashes, and every way in which a proof can be wrong.

The leaves, roots and proofs of the eight-leaf tree are those that Certificate Transparency implementations share as test
vectors (published with transparency-dev/merkle, Apache-2.0); the kinds of damage are those its test data names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from opsrail.ledger import tree
from opsrail.ledger.tiles import Edge

LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    bytes.fromhex(text)
    for text in (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
INCLUSION = {
    (0, 1): [],
    (0, 8): ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
             "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
             "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"],
    (5, 8): ["bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
             "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
             "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): ["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
             "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
             "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"],
}  # fmt: skip
CONSISTENCY = {
    (1, 1): [],
    (1, 8): ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
             "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
             "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"],
    (6, 8): ["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
             "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
             "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"],
    (2, 5): ["5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
             "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"],
    (6, 7): ["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
             "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
             "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"],
}  # fmt: skip
OTHER = bytes.fromhex("abacaba000000000000000000000000000000000000000000060061e00123456")


class Inclusion(NamedTuple):
    kind: str
    at: int
    size: int
    leaf: bytes
    proof: list[bytes]
    root: bytes


class Consistency(NamedTuple):
    kind: str
    old_size: int
    size: int
    proof: list[bytes]
    old_root: bytes
    root: bytes


def flipped(proof: list[bytes], at: int) -> list[bytes]:
    changed = list(proof)
    changed[at] = bytes([proof[at][0] ^ 8]) + proof[at][1:]
    return changed


def garbled(proof: list[bytes], *others: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Yield every way to damage a proof's hashes."""
    for other in (b"", *others):
        yield f"trailing {other.hex()[:4]}", [*proof, other]
        yield f"preceding {other.hex()[:4]}", [other, *proof]
    for at in range(len(proof)):
        yield f"bit of part {at}", flipped(proof, at)
    if proof:
        yield "first part twice", [proof[0], *proof]
        yield "last part removed", proof[:-1]
        yield "part put in", [proof[0], OTHER, *proof[1:]]
        yield "empty", []


def bad_inclusions() -> Iterator[Inclusion]:
    for (index, size), hashes in INCLUSION.items():
        proof = [bytes.fromhex(part) for part in hashes]
        good = Inclusion("", index, size, tree.leaf_hash(LEAVES[index]), proof, ROOTS[size - 1])
        for other in (index - 1, index + 1, index ^ 2):
            yield good._replace(kind=f"index {other}", at=other)
        for other in (size * 2, size // 2):
            yield good._replace(kind=f"size {other}", size=other)
        yield good._replace(kind="leaf", leaf=b"WrongLeaf")
        yield good._replace(kind="no leaf", leaf=b"")
        for root in (tree.EMPTY_ROOT, OTHER, b""):
            yield good._replace(kind=f"root {root.hex()[:4]}", root=root)
        for kind, wrong in garbled(proof, good.root):
            yield good._replace(kind=kind, proof=wrong)
    for index, size in ((0, 0), (0, 1), (1, 0), (2, 1)):
        for leaf, root in ((OTHER, b""), (b"", tree.EMPTY_ROOT), (OTHER, tree.EMPTY_ROOT)):
            yield Inclusion("no such leaf", index, size, leaf, [], root)


def bad_consistencies() -> Iterator[Consistency]:
    for (old, size), hashes in CONSISTENCY.items():
        proof = [bytes.fromhex(part) for part in hashes]
        good = Consistency("", old, size, proof, ROOTS[old - 1], ROOTS[size - 1])
        if not proof:
            continue
        for other in (old - 1, old + 1, old ^ 2):
            yield good._replace(kind=f"old size {other}", old_size=other)
        for other in (size * 2, size // 2):
            yield good._replace(kind=f"size {other}", size=other)
        yield good._replace(kind="old root", old_root=b"WrongRoot")
        yield good._replace(kind="root", root=b"WrongRoot")
        yield good._replace(kind="roots swapped", old_root=good.root, root=good.old_root)
        for kind, wrong in garbled(proof, good.old_root, good.root):
            yield good._replace(kind=kind, proof=wrong)
    one, two = b"one", b"two"
    for old, size, proof, old_root, root in (
        (0, 0, [], one, two), (1, 1, [], one, two), (1, 0, [], one, two), (2, 1, [], one, two), (1, 2, [], one, two),
        (0, 0, [], tree.EMPTY_ROOT, two), (1, 1, [], tree.EMPTY_ROOT, two),
        (0, 0, [OTHER], one, one), (0, 1, [OTHER], one, one), (1, 1, [OTHER], one, one),
        (-1, 1, [], one, one),
    ):  # fmt: skip
        yield Consistency("trivial sizes", old, size, proof, old_root, root)


def test_roots_of_the_published_leaves_are_the_published_roots() -> None:
    grown = Edge()
    roots = []
    for leaf in LEAVES:
        grown.append(tree.leaf_hash(leaf))
        roots.append(grown.root())

    assert roots == ROOTS
    assert Edge().root() == tree.EMPTY_ROOT


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_published_inclusion_proofs_hold(index: int, size: int) -> None:
    proof = [bytes.fromhex(part) for part in INCLUSION[index, size]]

    assert tree.is_included(index, size, tree.leaf_hash(LEAVES[index]), proof, ROOTS[size - 1])


@pytest.mark.parametrize(("old", "size"), CONSISTENCY)
def test_published_consistency_proofs_hold(old: int, size: int) -> None:
    proof = [bytes.fromhex(part) for part in CONSISTENCY[old, size]]

    assert tree.is_consistent(old, size, proof, ROOTS[old - 1], ROOTS[size - 1])


@pytest.mark.parametrize(
    "wrong", list(bad_inclusions()), ids=lambda case: f"{case.at} of {case.size}: {case.kind}"
)
def test_a_damaged_inclusion_proof_fails(wrong: Inclusion) -> None:
    assert not tree.is_included(wrong.at, wrong.size, wrong.leaf, wrong.proof, wrong.root)


@pytest.mark.parametrize(
    "wrong",
    list(bad_consistencies()),
    ids=lambda case: f"{case.old_size} to {case.size}: {case.kind}",
)
def test_a_damaged_consistency_proof_fails(wrong: Consistency) -> None:
    assert not tree.is_consistent(
        wrong.old_size, wrong.size, wrong.proof, wrong.old_root, wrong.root
    )


def test_the_empty_tree_is_the_beginning_of_every_tree() -> None:
    assert tree.is_consistent(0, 0, [], b"any", b"any")
    assert tree.is_consistent(0, 7, [], b"any", b"other")
    assert tree.consistency_nodes(0, 7) == []


def test_there_is_no_proof_of_what_is_not_there() -> None:
    with pytest.raises(IndexError):
        tree.inclusion_nodes(3, 3)
    with pytest.raises(IndexError):
        tree.consistency_nodes(4, 3)
