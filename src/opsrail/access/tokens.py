"""Secrets that opsrail hands out once: of each only a digest is kept, so that who reads the database can use none."""

from __future__ import annotations

import base64
import hashlib

from opsrail.clock import Clock

TOKEN_BYTES = 32
"""Source: OWASP ASVS 7.2.3, at least 128 bits of entropy; ours: twice that, so that a fast digest is enough."""


def new_token(clock: Clock) -> str:
    """Return a secret that fits a cookie, a header and an address."""
    return base64.urlsafe_b64encode(clock.token(TOKEN_BYTES)).decode().rstrip("=")


def digest_of(token: str) -> str:
    """Return what is kept of a secret: SHA-256 as hex."""
    return hashlib.sha256(token.encode()).hexdigest()
