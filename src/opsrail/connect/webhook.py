"""Notices to another system as Standard Webhooks: signed, with an id that stays the same, so that it may arrive twice.

Signatures are HMAC-SHA256 (`v1`), by each of up to two secrets so that one can be changed for another, and Ed25519 (`v1a`)
where a key is set. The address comes from the settings alone; it is https, or loopback; what it resolves to is checked and
connected to.

Source:
    Standard Webhooks specification, github.com/standard-webhooks/standard-webhooks, sections Signature scheme, Webhook
    headers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from opsrail.clock import Clock
from opsrail.connect.outside_http import OutsideHttp, server_of
from opsrail.connect.remote_hosts import is_loopback_name
from opsrail.connect.wording import record_of
from opsrail.errors import Fault, InvalidInput, Unavailable
from opsrail.values.notices import Notice

MOST_BYTES = 65_536
"""Of an answer that nobody reads. Ours."""
OK = range(200, 300)
GONE = 410
SYMMETRIC, PRIVATE = "whsec_", "whsk_"
LEAST_BYTES, MOST_KEY_BYTES = 24, 64
"""Length of a secret. Source: the specification, between 24 and 64 bytes."""


class Keys(NamedTuple):
    """What webhooks are signed with.

    Attributes:
        secrets: Of `v1`, newest first.
        private: Of `v1a`; None: not signed so.
    """

    secrets: tuple[bytes, ...]
    private: Ed25519PrivateKey | None = None


def keys_of(secrets: Sequence[str], private: str = "") -> Keys:
    """Return what settings name.

    Args:
        secrets: `whsec_` and base64, empty ones left out.
        private: `whsk_` and the base64 of an Ed25519 key's 32 or 64 bytes; empty: none.

    Raises:
        InvalidInput: something is no key; it is not repeated. Terminal.
    """
    found, faults = [], []
    for place, text in enumerate(secrets):
        if not text:
            continue
        secret = _decoded(text, SYMMETRIC)
        if secret is None or not LEAST_BYTES <= len(secret) <= MOST_KEY_BYTES:
            told = f"is no secret: whsec_ and the base64 of {LEAST_BYTES} to {MOST_KEY_BYTES} bytes"
            faults.append(Fault("secret" if place == 0 else "second_secret", told))
        else:
            found.append(secret)
    key = None
    if private:
        raw = _decoded(private, PRIVATE)
        if raw is None or len(raw) not in (32, 64):
            faults.append(Fault("private_key", "is no key: whsk_ and the base64 of an Ed25519 key"))
        else:
            key = Ed25519PrivateKey.from_private_bytes(raw[:32])
    if not found and key is None and not faults:
        faults.append(Fault("secret", "is missing: a webhook that nobody signs can be anybody's"))
    if faults:
        raise InvalidInput("webhooks cannot be signed", faults)
    return Keys(tuple(found), key)


def signatures(keys: Keys, message_id: str, timestamp_s: int, body: bytes) -> str:
    """Return the value of `webhook-signature`.

    Args:
        timestamp_s: When it is sent, epoch seconds.
    """
    signed = b".".join((message_id.encode(), str(timestamp_s).encode(), body))
    found = [
        f"v1,{base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()}"
        for secret in keys.secrets
    ]
    if keys.private is not None:
        found.append(f"v1a,{base64.b64encode(keys.private.sign(signed)).decode()}")
    return " ".join(found)


class Webhook:
    """Sends notices to one URL.

    Args:
        url: https, or http of this machine; a path, no query.
        wait_s: For the whole of one attempt.

    Raises:
        InvalidInput: the address is none that may be asked. Terminal.
    """

    def __init__(self, url: str, keys: Keys, clock: Clock, *, wait_s: float = 10.0) -> None:
        self._http = outside(url, "the webhook")
        self._keys = keys
        self._clock = clock
        self._wait_s = wait_s

    async def send(self, notice: Notice, address: str) -> None:
        """As `ports.Notifier.send`; answers other than 2xx are tried again, 410 never."""
        body = orjson.dumps(record_of(notice))
        timestamp_s = self._clock.now_ms() // 1000
        headers = {
            "content-type": "application/json",
            "webhook-id": notice.id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": signatures(self._keys, notice.id, timestamp_s, body),
        }
        await posted(self._http, body, headers, self._wait_s, hopeless=(GONE,))

    async def close(self) -> None:
        """Close its connections."""
        await self._http.close()


def outside(url: str, what: str) -> OutsideHttp:
    """Return what asks a URL of the settings. Raises InvalidInput: it is neither https nor loopback."""
    server = server_of(url)
    if server.scheme != "https" and not is_loopback_name(server.host):
        raise InvalidInput(f"{what} is asked over https, or on this machine: {server.origin}")
    return OutsideHttp(server, what)


async def posted(
    http: OutsideHttp, body: bytes, headers: dict[str, str], wait_s: float, hopeless: Sequence[int]
) -> None:
    """Post a body.

    Raises:
        Unavailable: it was not taken; try again.
        InvalidInput: it never will be. Terminal.
    """
    answer = await http.ask(
        "POST", "", wait_s=wait_s, most_bytes=MOST_BYTES, content=body, headers=headers
    )
    if answer.status in hopeless:
        raise InvalidInput(f"{http.name} answered status {answer.status}: it takes no more")
    if answer.status not in OK:
        raise Unavailable(f"{http.name} answered status {answer.status}")


def _decoded(text: str, prefix: str) -> bytes | None:
    try:
        return base64.b64decode(text.removeprefix(prefix), validate=True)
    except (binascii.Error, ValueError):
        return None
