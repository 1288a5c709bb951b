"""What entries say, and what they vouch for."""

from __future__ import annotations

import hashlib

import pytest

from opsrail.errors import InvalidInput, LedgerBroken
from opsrail.ledger.commitment import check_record, record_commitment
from opsrail.ledger.entries import entry
from opsrail.values.rows import Append

SALT = "ab" * 32


def test_an_entry_repeats_its_columns_inside_what_is_hashed() -> None:
    made = entry("model.approved", "fraud/7", 5, {"by": "ann", "kind": "overruled"})

    assert made == Append(
        "model.approved",
        "fraud/7",
        5,
        b'{"at_ms":5,"by":"ann","kind":"model.approved","subject_id":"fraud/7"}',
    )


def test_a_commitment_is_the_hash_of_salt_and_record() -> None:
    assert record_commitment(SALT, b"{}") == hashlib.sha256(bytes.fromhex(SALT) + b"{}").hexdigest()


def test_a_record_is_checked_against_its_entry() -> None:
    body = entry(
        "decision.made", "d", 1, {"commitment": record_commitment(SALT, b"{}")}
    ).body.decode()
    check_record(body, SALT, b"{}")

    with pytest.raises(LedgerBroken, match="changed afterwards"):
        check_record(body, SALT, b"{ }")
    with pytest.raises(LedgerBroken, match="changed afterwards"):
        check_record(body, "cd" * 32, b"{}")
    with pytest.raises(LedgerBroken, match="commits to no record"):
        check_record("{}", SALT, b"{}")


@pytest.mark.parametrize("salt", ["", "ab", "zz" * 32])
def test_an_erased_record_cannot_be_checked(salt: str) -> None:
    with pytest.raises(InvalidInput, match="not 32 bytes"):
        record_commitment(salt, b"{}")
