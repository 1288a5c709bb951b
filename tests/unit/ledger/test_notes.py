"""Signed notes and checkpoints."""

from __future__ import annotations

import pytest

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

# The example of Go's golang.org/x/mod/sumdb/note, whose format C2SP signed-note took over.
PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE = (
    TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
OLD = SigningKey("test.example/ledger", bytes(range(32)))
NEW = SigningKey("test.example/ledger", bytes(range(1, 33)))
BODY = Checkpoint("test.example/ledger", 7, bytes(32)).text()


def test_the_published_example_is_signed_and_read_the_same() -> None:
    key = SigningKey.parse(PRIVATE)

    assert str(key.verifier) == PUBLIC
    assert key.secret_text() == PRIVATE
    assert sign(TEXT, [key]) == NOTE
    assert read(NOTE, [VerifierKey.parse(PUBLIC)]) == (TEXT, (key.verifier,))


def test_while_a_key_is_replaced_either_key_is_enough() -> None:
    note = sign(BODY, [NEW, OLD])

    assert read(note, [OLD.verifier])[1] == (OLD.verifier,)
    assert read(note, [NEW.verifier])[1] == (NEW.verifier,)
    assert set(read(note, [OLD.verifier, NEW.verifier])[1]) == {NEW.verifier, OLD.verifier}


def test_a_checkpoint_reads_back_what_was_signed() -> None:
    assert read_checkpoint(sign(BODY, [OLD]), [OLD.verifier]) == Checkpoint(
        "test.example/ledger", 7, bytes(32)
    )
    assert parse_checkpoint(BODY + "an extension line\n").size == 7


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        (sign(BODY, [NEW]), "No known key"),
        (sign(BODY, [OLD]).replace("\n7\n", "\n8\n"), "does not fit its text"),
        (BODY, "empty line"),
        (sign(BODY, [OLD])[:-1], "empty line"),
        (sign(BODY, [OLD]) + "no signature\n", "cannot be read"),
        (sign(BODY, [OLD]) + "— name !!\n", "cannot be read"),
        (sign("something else\n", [OLD]), "no checkpoint"),
        (sign("origin\n7\nAAAA\n", [OLD]), "no checkpoint"),
        (sign("origin\n7\n!!!!\n", [OLD]), "no checkpoint"),
        (sign("origin\n07\n" + BODY.split("\n")[2] + "\n", [OLD]), "no checkpoint"),
    ],
)
def test_what_is_not_a_checkpoint_signed_by_a_known_key_is_refused(note: str, reason: str) -> None:
    with pytest.raises(LedgerBroken, match=reason):
        read_checkpoint(note, [OLD.verifier])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a+b",
        PUBLIC[:-1],
        PUBLIC.replace("c7", "c8"),
        "a b+00000000+AAAA",
        PUBLIC.replace("+AR", "+AS"),
    ],
)
def test_a_mistyped_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        VerifierKey.parse(text)


@pytest.mark.parametrize("text", ["", PUBLIC, PRIVATE[:-4], PRIVATE.replace("c7", "c8")])
def test_a_damaged_signing_key_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        SigningKey.parse(text)

    assert "YEKFALVF" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        f"origin\n{'9' * 5_000}\n{'A' * 43}=\n",
        f"origin\n1\n{'A' * 42}\ufffd=\n",
    ],
    ids=["a size of 5,000 digits", "a root with a letter beyond ASCII"],
)
def test_a_checkpoint_that_no_ledger_wrote_is_refused_as_such(text: str) -> None:
    with pytest.raises(LedgerBroken, match="no checkpoint"):
        parse_checkpoint(text)


def test_a_signature_with_a_letter_beyond_ascii_is_refused_as_such() -> None:
    with pytest.raises(LedgerBroken, match="cannot be read"):
        read("text\n\n\u2014 name AAAA\ufffdAAA\n", [])
