"""Admits requests: by API key or session; where there is neither, from this machine alone, and from no other site's page.

Without a key, and while there are no users, every program of this machine is trusted, but not every page that its browser
shows: a page of another site may post to a loopback address, and by DNS rebinding even read from it under its own name.
`Host` and `Origin` tell such requests apart.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import NamedTuple

from opsrail.access.addresses import is_loopback, is_same_origin, is_this_machine
from opsrail.access.api_keys import PREFIX
from opsrail.access.directory import Directory
from opsrail.access.roles import ALL_GRANTS, NO_GRANTS, Grants
from opsrail.errors import ConfigInvalid, Denied, Fault

SHORTEST_KEY = 16
TENANT = "default"
"""The one tenant of an installation whose keys name none."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FOREIGN = frozenset({"cross-site", "same-site"})
COOKIE = "opsrail"
"""On this machine, over plain http."""
SECURE_COOKIE = "__Host-opsrail"
"""Browsers take it over https alone, for this host alone, and from no other (RFC 6265bis, section 4.1.3.2)."""
UNATTENDED = "x-opsrail-unattended"
"""What an open page sends of itself with what it asks for while nobody may be at it: that is no use of its session."""
NO_KEY = (
    "no API key, or a wrong one; send `Authorization: Bearer KEY` (`opsrail keys add` makes one), or sign in at "
    "/console/sign-in"
)


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


class Admitted(NamedTuple):
    """Who was let in.

    Attributes:
        csrf: What the forms of their session carry; empty without one.
        session: Digest of their session; empty without one.
    """

    principal: Principal
    csrf: str = ""
    session: str = ""


class Gate:
    """Admits requests to one address.

    Args:
        host: Address that is listened on.
        key: The API key of the settings; empty: none.
        directory: Where users' sessions and other keys are looked up; None: there are none.
        public_url: How browsers reach this server, e.g. `https://opsrail.example.com`; empty: under its own address.

    Raises:
        ConfigInvalid: another address than loopback without a key, or a key of less than 16 characters. Terminal.
    """

    def __init__(
        self, host: str, key: str, directory: Directory | None = None, public_url: str = ""
    ) -> None:
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
        self._directory = directory
        self._public_scheme, _, self._public = public_url.rstrip("/").lower().partition("://")

    @property
    def needs_key(self) -> bool:
        """Whether requests have to carry a key."""
        return self._digest is not None

    def admit(self, method: str, headers: Mapping[str, str]) -> Principal | None:
        """Return who asks; None: the store has to be asked, by `look_up`.

        Args:
            headers: By lower-case name.

        Raises:
            Unauthenticated: no key or a wrong one, where one is needed.
            Denied: it comes from another site's page, or under a name that is not this machine's.
        """
        given = headers.get("authorization")
        if self._digest is not None and given is not None:
            scheme, _, key = given.partition(" ")
            digest = hashlib.sha256(key.strip().encode()).digest()
            if scheme.lower() == "bearer" and hmac.compare_digest(digest, self._digest):
                return SETTINGS_KEY
        if self._directory is not None:
            if given is not None and PREFIX in given:
                return None
            if given is None and "cookie" in headers and self._cookie(headers) is not None:
                return None
        if self._digest is not None:
            raise Unauthenticated(NO_KEY)
        if self._directory is not None and (has_users := self._directory.has_users) is not False:
            if has_users is None:
                return None
            raise Unauthenticated(NO_KEY)
        return self._local(method, headers)

    async def look_up(self, method: str, headers: Mapping[str, str], *, is_page: bool) -> Admitted:
        """Return who asks, as the store has it.

        Args:
            is_page: Whether the request is a page's, whose forms carry their token in a field; others, in `X-CSRF`.

        Raises:
            Unauthenticated: no key or session, or one that has ended, where one is needed.
            Denied: it comes from another site's page, or under a name that is not this machine's.
            StoreUnavailable: it cannot be asked now.
        """
        directory = self._directory
        if directory is None:
            raise Unauthenticated(NO_KEY)
        given = headers.get("authorization")
        if given is not None and PREFIX in given:
            scheme, _, key = given.partition(" ")
            known = await directory.of_key(key.strip()) if scheme.lower() == "bearer" else None
            if known is None:
                raise Unauthenticated(NO_KEY)
            return Admitted(Principal(known.name, grants=known.grants))
        cookie = None if given is not None else self._cookie(headers)
        known = (
            None
            if cookie is None
            else await directory.of_session(cookie, is_use=UNATTENDED not in headers)
        )
        if known is not None:
            if method not in SAFE_METHODS:
                self.refuse_foreign(headers)
                if not is_page and not hmac.compare_digest(
                    headers.get("x-csrf", "").encode(), known.csrf.encode()
                ):
                    raise Denied("a request with a session's cookie needs its token in X-CSRF")
            principal = Principal(known.name, grants=known.grants)
            return Admitted(principal, known.csrf, known.session)
        if self._digest is not None or await directory.look():
            raise Unauthenticated(NO_KEY)
        return Admitted(self._local(method, headers))

    def refuse_foreign(self, headers: Mapping[str, str]) -> None:
        """Refuse what another site's page sends. Raises Denied."""
        origin = headers.get("origin")
        is_ours = (
            origin is None
            or is_same_origin(origin, headers.get("host", ""))
            or (self._public != "" and is_same_origin(origin, self._public))
        )
        if headers.get("sec-fetch-site") in FOREIGN or not is_ours:
            raise Denied(
                "another site's page may not change anything here; call from a program, or set an API key"
            )

    def has_tls(self, headers: Mapping[str, str]) -> bool:
        """Return whether a browser reached this server over https: as the settings say, under that name.

        Raises:
            Denied: it did not, and not from this machine either: whoever listens in would have the cookie.
        """
        if self._is_public(headers):
            return True
        if is_this_machine(headers.get("host", "")):
            return False
        raise Denied(
            "people sign in over https, or on this machine; say how browsers reach this server: web.public_url"
        )

    def _is_public(self, headers: Mapping[str, str]) -> bool:
        return self._public_scheme == "https" and headers.get("host", "").lower() == self._public

    def _cookie(self, headers: Mapping[str, str]) -> str | None:
        if "cookie" not in headers:
            return None
        return cookie_of(headers, is_secure=self._is_public(headers))

    def _local(self, method: str, headers: Mapping[str, str]) -> Principal:
        if not is_this_machine(headers.get("host", "")):
            raise Denied(
                "the Host header does not name this machine; ask localhost, or set an API key"
            )
        if method not in SAFE_METHODS:
            self.refuse_foreign(headers)
        return LOCAL


def cookie_of(headers: Mapping[str, str], *, is_secure: bool) -> str | None:
    """Return the session that a browser sends; None: none.

    Args:
        is_secure: Whether it came over https: then only the cookie counts that no other site of the domain can set, else
            one of them could sign somebody in as somebody else.
    """
    given = headers.get("cookie")
    if given is None or COOKIE not in given:
        return None
    pairs = dict(part.strip().partition("=")[::2] for part in given.split(";"))
    plain = None if is_secure else pairs.get(COOKIE)
    return pairs.get(SECURE_COOKIE) or plain or None
