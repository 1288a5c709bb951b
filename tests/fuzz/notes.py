"""Signed notes, checkpoints and keys of the ledger."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from opsrail.errors import InvalidInput, LedgerBroken
from opsrail.ledger.notes import (
    Checkpoint,
    SigningKey,
    VerifierKey,
    parse_checkpoint,
    read,
    read_checkpoint,
    sign,
)

T = TypeVar("T")
KEY = SigningKey("fuzz.opsrail.local/ledger", b"k" * 32)
OTHER = SigningKey("fuzz.opsrail.local/older", b"o" * 32)
TEXT = Checkpoint("fuzz.opsrail.local/ledger", 17, b"r" * 32).text()
SAMPLES = (
    sign(TEXT, [KEY]).encode(),
    sign(TEXT + "more\nlines\n", [OTHER, KEY]).encode(),
    TEXT.encode(),
    f"origin\n{'9' * 5_000}\n{TEXT.splitlines()[2]}\n".encode(),
    str(KEY.verifier).encode(),
    SigningKey("made.for/this", b"s" * 32).secret_text().encode(),
)


def run_one(data: bytes) -> None:
    """Read a text as each of them; what was read says the same when it is written and read again."""
    text = data.decode("utf-8", "replace")
    known = [KEY.verifier, OTHER.verifier]
    if (found := _read(parse_checkpoint, text)) is not None:
        assert parse_checkpoint(found.text()) == found
    if (parsed := _read(VerifierKey.parse, text)) is not None:
        assert VerifierKey.parse(str(parsed)) == parsed
    if (signing := _read(SigningKey.parse, text)) is not None:
        assert SigningKey.parse(signing.secret_text()).verifier == signing.verifier
    with suppress(LedgerBroken):
        body, signed = read(text, known)
        again, by = read(sign(body, [KEY]), known)
        assert signed
        assert (again, by) == (body, (KEY.verifier,))
    read_checkpoint(text, known)


def _read(reader: Callable[[str], T], text: str) -> T | None:
    try:
        return reader(text)
    except (InvalidInput, LedgerBroken):
        return None
