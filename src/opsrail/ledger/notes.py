"""Signed notes and checkpoints, after the C2SP specifications `signed-note`, `tlog-checkpoint`; Ed25519 keys.

A note is text that ends in a line break, an empty line, and signature lines. Several keys may sign one note: while a key is
being replaced the old and the new one both do, so that a verifier who knows either is content.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from opsrail.errors import InvalidInput, LedgerBroken

_ED25519 = b"\x01"
_NAME = re.compile(r"[^\s+\x00-\x1f]+")
_SIGNATURE = re.compile(r"— (\S+) (\S+)")
_CHECKPOINT = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([^\n]+)\n((?:[^\n]+\n)*)")
"""Its size has 19 digits at most, as 2**63 has: Python refuses to read an integer of thousands."""


class VerifierKey:
    """A public key with its name; `str` gives the text to hand to auditors: `name+id+key`."""

    def __init__(self, name: str, public: bytes) -> None:
        """Take the 32 bytes of an Ed25519 public key.

        Raises:
            InvalidInput: the name is empty or holds white space or `+`. Terminal.
        """
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"{name!r} cannot name a key; use text without white space and `+`, e.g. `example.org/ledger`."
            )
        self.name = name
        self.key_id = key_id(name, public)
        self._public = public
        self._key = Ed25519PublicKey.from_public_bytes(public)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key of `name+id+key`. Raises InvalidInput when it is no such text or its id does not fit."""
        name, *rest = text.strip().split("+", 2)
        try:
            raw = base64.b64decode(rest[1], validate=True)
            key = cls(name, raw[1:])
            if raw[:1] == _ED25519 and rest[0] == key.key_id.hex():
                return key
        except (ValueError, IndexError):
            pass
        raise InvalidInput(
            f"{text!r} is not a verifier key; it looks like `name+01234567+AbC...` for Ed25519."
        )

    def is_signed(self, text: bytes, signature: bytes) -> bool:
        """Return whether this key signed the text."""
        try:
            self._key.verify(signature, text)
        except InvalidSignature:
            return False
        return True

    def __str__(self) -> str:
        return (
            f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self._public).decode()}"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerifierKey) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


class SigningKey:
    """A private key with its name."""

    def __init__(self, name: str, seed: bytes) -> None:
        """Take the 32 secret bytes of an Ed25519 key."""
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = VerifierKey(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key of `PRIVATE+KEY+name+id+key`. Raises InvalidInput; the message never shows the text."""
        try:
            private, word, name, known_id, key = text.strip().split("+", 4)
            raw = base64.b64decode(key, validate=True)
            made = cls(name, raw[1:])
            if (private, word, raw[:1], known_id) == (
                "PRIVATE",
                "KEY",
                _ED25519,
                made.verifier.key_id.hex(),
            ):
                return made
        except ValueError:
            pass
        raise InvalidInput(
            "A line of the key file is not an Ed25519 signing key `PRIVATE+KEY+name+id+key`."
        )

    def secret_text(self) -> str:
        """Return what belongs in the key file and nowhere else."""
        name, key_id, _ = str(self.verifier).split("+", 2)
        return f"PRIVATE+KEY+{name}+{key_id}+{base64.b64encode(_ED25519 + self._seed).decode()}"

    def line(self, text: str) -> str:
        """Return the signature line for a note's text."""
        signature = self.verifier.key_id + self._key.sign(text.encode())
        return f"— {self.verifier.name} {base64.b64encode(signature).decode()}\n"


class Checkpoint(NamedTuple):
    """The tree's size and root, as signed.

    Attributes:
        origin: Names the ledger; the same for all its life.
        root: 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return the body of the note."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def key_id(name: str, public: bytes) -> bytes:
    """Return the 4 bytes that say which key signed. Source: C2SP signed-note, Ed25519."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def sign(text: str, keys: Sequence[SigningKey]) -> str:
    """Return the note: the text, signed by each key."""
    return text + "\n" + "".join(key.line(text) for key in keys)


def read(note: str, known: Sequence[VerifierKey]) -> tuple[str, tuple[VerifierKey, ...]]:
    """Return a note's text and which of the known keys signed it; lines of unknown keys do not count.

    Raises:
        LedgerBroken: it is not a note, a known key's signature is wrong, or no known key signed it. Terminal.
    """
    text, gap, lines = note.rpartition("\n\n")
    text += "\n"
    if not gap or not lines.endswith("\n"):
        raise LedgerBroken(
            "A checkpoint is not a signed note: the empty line before its signatures, or the last line break, is missing."
        )
    signed: list[VerifierKey] = []
    for line in lines[:-1].split("\n"):
        name, signature = _signature(line)
        for key in known:
            if key.name == name and key.key_id == signature[:4]:
                if not key.is_signed(text.encode(), signature[4:]):
                    raise LedgerBroken(
                        f"A checkpoint's signature by {key.name}+{key.key_id.hex()} does not fit its text."
                    )
                signed.append(key)
    if not signed:
        raise LedgerBroken(
            "No known key signed a checkpoint; add the ledger's earlier verifier keys, or treat it as forged."
        )
    return text, tuple(signed)


def read_checkpoint(note: str, known: Sequence[VerifierKey]) -> Checkpoint:
    """Return what a signed checkpoint says.

    Raises:
        LedgerBroken: as `read`, or its text is no checkpoint. Terminal.
    """
    return parse_checkpoint(read(note, known)[0])


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint of a note's text, whoever signed it.

    Raises:
        LedgerBroken: it is no checkpoint. Terminal.
    """
    if match := _CHECKPOINT.fullmatch(text):
        try:
            root = base64.b64decode(match[3], validate=True)
        except ValueError:  # also of letters beyond ASCII
            root = b""
        if len(root) == 32:
            return Checkpoint(match[1], int(match[2]), root)
    raise LedgerBroken(
        f"A signed note is no checkpoint; it must hold an origin, a size and a root, but says {text[:80]!r}."
    )


def _signature(line: str) -> tuple[str, bytes]:
    """Return name and key id + signature of a signature line. Raises LedgerBroken."""
    if match := _SIGNATURE.fullmatch(line):
        try:
            signature = base64.b64decode(match[2], validate=True)
        except ValueError:  # also of letters beyond ASCII
            signature = b""
        if len(signature) > 4:
            return match[1], signature
    raise LedgerBroken(f"A checkpoint's signature line cannot be read: {line[:80]!r}.")
