"""Standard Webhooks: signatures against the published vector, two secrets at once, and Ed25519."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from opsrail.connect.webhook import keys_of, signatures
from opsrail.errors import InvalidInput

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE, AT_S, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
PUBLISHED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
"""Source: test vector of the Standard Webhooks libraries (and of Svix's documentation, "Verifying webhooks manually")."""


def test_a_signature_is_the_published_one() -> None:
    assert signatures(keys_of([SECRET, ""]), MESSAGE, AT_S, BODY) == PUBLISHED


def test_two_secrets_sign_along_and_an_ed25519_key_can_be_checked_by_its_public_half() -> None:
    key = Ed25519PrivateKey.generate()
    raw = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    private = "whsk_" + base64.b64encode(raw).decode()
    other = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    first, second, third = signatures(
        keys_of([other, SECRET], private), MESSAGE, AT_S, BODY
    ).split()

    assert first.startswith("v1,")
    assert second == PUBLISHED
    signed = f"{MESSAGE}.{AT_S}.".encode() + BODY
    key.public_key().verify(base64.b64decode(third.removeprefix("v1a,")), signed)


@pytest.mark.parametrize(
    ("secrets", "private", "places"),
    [
        ([""], "", ["secret"]),
        (["whsec_aGk="], "", ["secret"]),
        ([SECRET, "whsec_%%"], "", ["second_secret"]),
        ([SECRET], "whsk_aGk=", ["private_key"]),
        (["x", "y"], "z", ["secret", "second_secret", "private_key"]),
    ],
)
def test_what_is_no_key_is_told_by_its_place_and_never_repeated(
    secrets: list[str], private: str, places: list[str]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        keys_of(secrets, private)

    assert [fault.place for fault in refused.value.faults] == places
    assert "whsec_%%" not in str(refused.value)
