"""Admits requests: by API key, or, where none is set, from this machine alone and from no other site's page.

Without a key every program of this machine is trusted, but not every page that its browser shows: a page of
another site may post to a loopback address, and by DNS rebinding even read from it under its own name. `Host` and
`Origin` tell such requests apart.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple

from opsrail.access.addresses import host_of, is_loopback, is_same_origin
from opsrail.access.roles import ALL_GRANTS, NO_GRANTS, Grants
from opsrail.errors import ConfigInvalid, Denied, Fault

SHORTEST_KEY = 16
TENANT = "default"
"""The one tenant of an installation whose keys name none."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FOREIGN = frozenset({"cross-site", "same-site"})


class Unauthenticated(Denied):
    """No API key, or a wrong one. Send `Authorization: Bearer KEY`."""

    code = "unauthenticated"


class Principal(NamedTuple):
    """Who asks.

    Attributes:
        name: Stands in records as the actor: `user:NAME` for a person who signed in, `key:ID` for a key that was given out,
            `http:key` for the one key of the settings, `http:local` where this machine is trusted.
        tenant: Whose scores it may share.
        grants: What it may do where.
    """

    name: str
    tenant: str = TENANT
    grants: Grants = NO_GRANTS


LOCAL = Principal("http:local", grants=ALL_GRANTS)
SETTINGS_KEY = Principal("http:key", grants=ALL_GRANTS)


class Gate:
    """Admits requests to one address.

    Args:
        host: Address that is listened on.
        key: The API key; empty: none.

    Raises:
        ConfigInvalid: another address than loopback without a key, or a key of less than 16 characters. Terminal.
    """

    def __init__(self, host: str, key: str) -> None:
        if not key and not is_loopback(host):
            message = f"{host or 'every address'} can be reached from other machines; set a key, or listen on 127.0.0.1"
            raise ConfigInvalid("the web server was not started", [Fault("web.api_key", message)])
        if key and len(key) < SHORTEST_KEY:
            fault = Fault(
                "web.api_key",
                f"has {len(key)} characters; use {SHORTEST_KEY} or more, drawn at random",
            )
            raise ConfigInvalid("the web server was not started", [fault])
        self._digest = hashlib.sha256(key.encode()).digest() if key else None

    @property
    def needs_key(self) -> bool:
        """Whether requests have to carry a key."""
        return self._digest is not None

    def admit(self, method: str, headers: Mapping[str, str]) -> Principal:
        """Return who asks.

        Args:
            headers: By lower-case name.

        Raises:
            Unauthenticated: no key or a wrong one, where one is needed.
            Denied: it comes from another site's page, or under a name that is not this machine's.
        """
        if self._digest is not None:
            scheme, _, key = headers.get("authorization", "").partition(" ")
            given = hashlib.sha256(key.strip().encode()).digest()
            if scheme.lower() != "bearer" or not hmac.compare_digest(given, self._digest):
                raise Unauthenticated(
                    "no API key, or a wrong one; send `Authorization: Bearer KEY`"
                )
            return SETTINGS_KEY
        host = headers.get("host", "")
        if not is_loopback(host_of(host) or ""):
            raise Denied(
                "the Host header does not name this machine; ask localhost, or set an API key"
            )
        if method not in SAFE_METHODS:
            is_foreign = headers.get("sec-fetch-site", "") in FOREIGN
            if is_foreign or not is_same_origin(headers.get("origin", f"http://{host}"), host):
                raise Denied(
                    "another site's page may not change anything here; call from a program, or set an API key"
                )
        return LOCAL
