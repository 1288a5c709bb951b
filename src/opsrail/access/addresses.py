"""Loopback addresses, and names in `Host` and `Origin` headers. Pure."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

KEPT = 32
"""Answers remembered. Ours: a machine has few names; a stranger may send long ones, and these are kept."""


def is_loopback(name: str) -> bool:
    """Return whether only this machine reaches a name or address: `localhost`, `127.0.0.0/8`, `::1`."""
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def host_of(netloc: str) -> str | None:
    """Return the name in `name:port` or `[address]:port`, lower case; None when it is no such text."""
    try:
        parts = urlsplit(f"//{netloc}")
        parts.port  # noqa: B018 - raises for a port that is none
    except ValueError:
        return None
    is_bare = not (parts.path or parts.query or parts.fragment or parts.username is not None)
    return parts.hostname if is_bare else None


@lru_cache(maxsize=KEPT)
def is_this_machine(netloc: str) -> bool:
    """Return whether a `Host` header names this machine by a name or address that only it reaches."""
    return is_loopback(host_of(netloc) or "")


def is_same_origin(origin: str, host: str) -> bool:
    """Return whether an `Origin` header names the host that the request went to."""
    scheme, _, netloc = origin.lower().partition("://")
    return scheme in ("http", "https") and netloc == host.lower()
