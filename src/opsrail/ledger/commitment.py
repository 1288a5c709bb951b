"""How an entry vouches for a record without holding it: destroy the salt, and entry and proof stay but the link is gone.

A salt of 32 random bytes keeps a record with few possible values from being guessed by hashing them all.
"""

from __future__ import annotations

import hashlib
import hmac

import orjson

from opsrail.errors import InvalidInput, LedgerBroken

SALT_BYTES = 32
FIELD = "commitment"
"""Where an entry's body holds the commitment."""


def record_commitment(salt_hex: str, record: bytes) -> str:
    """Return sha256(salt || record), 64 hex digits.

    Args:
        salt_hex: 32 bytes as hex, kept beside the record.
        record: Its canonical bytes, exactly as stored.

    Raises:
        InvalidInput: the salt is not 32 bytes of hex. Terminal.
    """
    try:
        salt = bytes.fromhex(salt_hex)
    except ValueError:
        salt = b""
    if len(salt) != SALT_BYTES:
        raise InvalidInput(
            "A record's salt is not 32 bytes of hex; an erased record has none and cannot be checked."
        )
    return hashlib.sha256(salt + record).hexdigest()


def check_record(body: str, salt_hex: str, record: bytes) -> None:
    """Check that a stored record is the one its ledger entry speaks of.

    Args:
        body: The entry's body.

    Raises:
        LedgerBroken: the record was changed after it was entered, or the entry commits to no record. Terminal.
        InvalidInput: as `record_commitment`.
    """
    committed = orjson.loads(body).get(FIELD)
    if not isinstance(committed, str):
        raise LedgerBroken("A ledger entry commits to no record; it cannot vouch for one.")
    if not hmac.compare_digest(committed, record_commitment(salt_hex, record)):
        raise LedgerBroken(
            "A record is not what its ledger entry commits to: it was changed afterwards. Compare it with an export."
        )
