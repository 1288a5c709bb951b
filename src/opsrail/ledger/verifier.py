#!/usr/bin/env python3
"""Check an exported opsrail ledger, or one proof of it, without opsrail.

    python verifier.py FOLDER_OR_PROOF [--key KEY ...] [--checkpoint FILE ...]

FOLDER_OR_PROOF  a folder with entries.jsonl and checkpoints.jsonl, or the JSON file of a proof
--key            the ledger's verifier key `name+id+key`, from a source you trust; without one, signatures are not checked
--checkpoint     a signed checkpoint that you received earlier; shows that nothing was rewritten or removed since

Exit code 0: all fits. 1: it does not; each fault is a line, the lowest bad index first. 2: the call or a file is unusable.
Needs Python 3.11 and, for signatures, the package `cryptography`. It shares no code with opsrail: it is a second opinion.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Fault = tuple[int, str]
"""Lowest index that may be bad, and what is wrong."""
Known = dict[tuple[str, bytes], bytes]
"""Public key by name and key id."""


class Unusable(Exception):
    """A file or an argument cannot be read."""


def sha256(*parts: bytes) -> bytes:
    """Return the hash of the parts, joined."""
    return hashlib.sha256(b"".join(parts)).digest()


class Tree:
    """Roots of the full subtrees of the leaves so far, by height."""

    def __init__(self) -> None:
        self.size = 0
        self.full: list[bytes | None] = []

    def add(self, leaf: bytes) -> None:
        node, height = leaf, 0
        while height < len(self.full) and (left := self.full[height]) is not None:
            node = sha256(b"\x01", left, node)
            self.full[height] = None
            height += 1
        if height == len(self.full):
            self.full.append(None)
        self.full[height] = node
        self.size += 1

    def root(self) -> bytes:
        root: bytes | None = None
        for left in self.full:
            if left is not None:
                root = left if root is None else sha256(b"\x01", left, root)
        return sha256() if root is None else root


def root_of_path(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes | None:
    """Return the root that a path leads to, walking down the tree by sizes; None when its length is wrong."""
    turns: list[bool] = []  # from the root down: does the leaf lie to the right
    if not 0 <= index < size:
        return None
    while size > 1:
        left = 1 << ((size - 1).bit_length() - 1)
        turns.append(index >= left)
        index, size = (index - left, size - left) if index >= left else (index, left)
    if len(turns) != len(path):
        return None
    node = leaf
    for is_right, other in zip(reversed(turns), path, strict=True):
        node = sha256(b"\x01", other, node) if is_right else sha256(b"\x01", node, other)
    return node


def parse_key(text: str) -> tuple[tuple[str, bytes], bytes]:
    """Return name and id, and public key, of a verifier key."""
    try:
        name, key_id, encoded = text.strip().split("+", 2)
        raw = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise Unusable(f"--key {text!r} does not look like name+id+key") from error
    known_id = sha256(name.encode(), b"\n", raw)[:4]
    if raw[:1] != b"\x01" or len(raw) != 33 or known_id.hex() != key_id:
        raise Unusable(f"--key {text!r} is no Ed25519 key, or was mistyped")
    return (name, known_id), raw[1:]


def open_note(note: str, known: Known) -> tuple[int, bytes]:
    """Return size and root of a signed checkpoint. Raises ValueError with what is wrong."""
    text, gap, signatures = note.rpartition("\n\n")
    lines = text.split("\n")
    if not gap or len(lines) < 3 or not signatures.endswith("\n"):
        raise ValueError("is not a signed checkpoint")
    if known:
        good = 0
        for line in signatures[:-1].split("\n"):
            dash, name, encoded = [*line.split(" "), "", ""][:3]
            raw = base64.b64decode(encoded, validate=True)
            if dash == "\u2014" and (public := known.get((name, raw[:4]))) is not None:
                if not is_signed(public, raw[4:], (text + "\n").encode()):
                    raise ValueError(f"has a wrong signature by {name}")
                good += 1
        if not good:
            raise ValueError("is signed by none of the keys given")
    root = base64.b64decode(lines[2], validate=True)
    if len(root) != 32:
        raise ValueError("has no root of 32 bytes")
    return int(lines[1]), root


def is_signed(public: bytes, signature: bytes, text: bytes) -> bool:
    """Return whether the Ed25519 key signed the text."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise Unusable("to check signatures run: pip install cryptography") from error
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except InvalidSignature:
        return False
    return True


def check_entry(entry: dict[str, Any]) -> tuple[bytes, str]:
    """Return an entry's leaf hash, made from its body, and what is wrong with the entry alone."""
    leaf = sha256(b"\x00", entry["body"].encode())
    if leaf.hex() != entry["leaf_hash"]:
        return leaf, "its body is not what was hashed"
    try:
        body = json.loads(entry["body"])
    except ValueError:
        body = None
    names = ("kind", "subject_id", "at_ms")
    if isinstance(body, dict) and all(name in body for name in names):
        wrong = [name for name in names if body[name] != entry[name]]
        if wrong:
            return leaf, f"its {', '.join(wrong)} are not those of its body"
    return leaf, ""


class Checker:
    """Walks an export once."""

    def __init__(self, checkpoints: list[tuple[str, int, bytes]]) -> None:
        """Take (label, size, root) of every checkpoint to compare with."""
        self.pending = sorted(checkpoints, key=lambda checkpoint: checkpoint[1])
        self.tree = Tree()
        self.is_whole = True
        self.good = 0
        self.index = 0
        self.heads: dict[str, tuple[int, bytes | None]] = {}
        self.faults: list[Fault] = []

    def add(self, entry: dict[str, Any]) -> None:
        self.compare()
        if entry["index"] != self.index:
            self.fault(
                min(self.index, entry["index"]),
                f"entry {self.index} should follow, not {entry['index']}",
            )
            self.index = entry["index"]
        leaf, wrong = check_entry(entry)
        seq, head = self.heads.get(entry["writer"], (0, bytes(32)))
        if not wrong and entry["seq"] != seq:
            wrong = f"writer {entry['writer']} goes on with its entry {entry['seq']}, not {seq}"
        if not wrong and head is not None and head.hex() != entry["prev_hash"]:
            wrong = "it does not follow its writer's entry before it"
        if wrong:
            self.fault(self.index, wrong)
        follows = None if wrong else sha256(bytes.fromhex(entry["prev_hash"]), leaf)
        self.heads[entry["writer"]] = entry["seq"] + 1, follows
        self.tree.add(leaf)
        self.index += 1

    def compare(self) -> None:
        """Compare the tree with the checkpoints of its size."""
        while self.pending and self.pending[0][1] <= self.index:
            label, size, root = self.pending.pop(0)
            if not self.is_whole:
                continue
            if size == self.tree.size and self.tree.root() == root:
                self.good = size
            else:
                self.faults.append((self.good, f"{label} of {size} entries was signed for others"))

    def finish(self) -> None:
        self.compare()
        for label, size, _ in self.pending:
            self.faults.append(
                (self.index, f"{label} speaks of {size} entries, but here are {self.index}")
            )
        if self.is_whole and not self.pending and self.good < self.index:
            self.faults.append(
                (self.good, f"no checkpoint covers entries {self.good}..{self.index - 1}")
            )

    def fault(self, index: int, message: str) -> None:
        self.is_whole = False
        self.faults.append((index, message))


def lines_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON values of a file, one a line."""
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise Unusable(f"{path}, line {number}: is not JSON") from error
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path}: {error}") from error


def check_folder(
    folder: Path, known: Known, earlier: Sequence[tuple[str, str]] = ()
) -> tuple[int, list[Fault]]:
    """Return the number of entries and all faults, lowest index first.

    `earlier` holds (label, note) of checkpoints received before.
    """
    notes = [("a checkpoint", line["note"]) for line in lines_of(folder / "checkpoints.jsonl")]
    checkpoints: list[tuple[str, int, bytes]] = []
    faults: list[Fault] = []
    for label, note in (*notes, *earlier):
        try:
            checkpoints.append((label, *open_note(note, known)))
        except ValueError as error:
            faults.append((0, f"{label} {error}"))
    checker = Checker(checkpoints)
    for entry in lines_of(folder / "entries.jsonl"):
        checker.add(entry)
    checker.finish()
    return checker.index, sorted(faults + checker.faults)


def check_proof(proof: dict[str, Any], known: Known) -> list[Fault]:
    """Return what is wrong with the proof of one entry."""
    index = proof["index"]
    try:
        size, root = open_note(proof["checkpoint"], known)
        path = [bytes.fromhex(part) for part in proof["path"]]
    except ValueError as error:
        return [(index, f"its checkpoint or path {error}")]
    leaf, wrong = check_entry(proof["entry"])
    if not wrong and root_of_path(index, size, leaf, path) != root:
        wrong = f"it is not in the tree of {size} entries that was signed"
    return [(index, wrong)] if wrong else []


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("export", type=Path, metavar="FOLDER_OR_PROOF")
    parser.add_argument(
        "--key", action="append", default=[], help="verifier key name+id+key; may be given again"
    )
    parser.add_argument(
        "--checkpoint",
        action="append",
        default=[],
        type=Path,
        help="earlier checkpoint; may be given again",
    )
    called = parser.parse_args(arguments)
    try:
        known: Known = dict(parse_key(text) for text in called.key)
        if called.export.is_dir():
            earlier = [(str(path), path.read_text("utf-8")) for path in called.checkpoint]
            count, faults = check_folder(called.export, known, earlier)
        else:
            count, faults = 1, check_proof(json.loads(called.export.read_text("utf-8")), known)
    except (Unusable, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(
            f"unusable: {error!r}" if not isinstance(error, Unusable) else f"unusable: {error}",
            file=sys.stderr,
        )
        return 2
    for index, message in faults:
        print(f"from entry {index}: {message}")
    state = f"{len(faults)} faults" if faults else "all fits"
    print(
        f"{count} entries, {state}; signatures {'checked' if known else 'NOT checked: give --key'}"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
