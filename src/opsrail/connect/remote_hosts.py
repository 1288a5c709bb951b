"""Which hosts a remote model may be asked at: loopback, and those that the settings name.

An artifact is data, and whoever registers one must not thereby reach what only this machine can. So a host is named by an
operator; its name is resolved once, the address is checked, and that address is what is connected to. A name that is led to
loopback, to a link-local address or to a cloud's metadata service is refused whoever named it.

Source:
    OWASP SSRF Prevention Cheat Sheet; RFC 6890 for special addresses; RFC 6052 for 64:ff9b::/96.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from opsrail.connect.remote import Remote, unavailable
from opsrail.errors import ArtifactRefused

METADATA = frozenset(
    ip_address(text) for text in ("169.254.169.254", "100.100.100.200", "fd00:ec2::254")
)
"""Metadata services of AWS, Azure, Google (the first), Alibaba, AWS over IPv6."""
TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("2002::/16"))
"""Addresses that stand for an IPv4 address on the way: what they lead to is not seen here."""


def allowed_hosts(setting: str) -> frozenset[str]:
    """Return the hosts of `decide.remote_hosts`: names or `name:port`, separated by commas."""
    return frozenset(name.strip().lower() for name in setting.split(",") if name.strip())


def check_host(remote: Remote, allowed: Iterable[str]) -> None:
    """Check that a model may be asked where it says. Raises ArtifactRefused when it may not."""
    place = remote.place
    names = {place.host, f"{place.host}:{place.port}", f"[{place.host}]:{place.port}"}
    if not is_loopback_name(place.host) and not names & set(allowed):
        raise ArtifactRefused(
            f"Remote model {remote.digest} is at {place.host}:{place.port}, which decide.remote_hosts does not name; "
            "add it there if it is to be asked."
        )


def address_of(remote: Remote) -> str:
    """Return the address that a model's host has now. Blocking: asks the resolver for names.

    Raises:
        ModelUnavailable: it has none, or one that is not connected to.
    """
    place = remote.place
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as wrong:
        raise unavailable(remote, "has no address") from wrong
    for *_, where in found:
        address = ip_address(str(where[0]).partition("%")[0])
        if may_be_asked(address, is_loopback=is_loopback_name(place.host)):
            return str(address)
    raise unavailable(remote, "is led to an address that is not connected to")


def may_be_asked(address: IPv4Address | IPv6Address, *, is_loopback: bool) -> bool:
    """Return whether an address is connected to; loopback only for names that say so."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return may_be_asked(address.ipv4_mapped, is_loopback=is_loopback)
        if any(address in network for network in TRANSLATED):
            return False
    if address.is_loopback:
        return is_loopback
    is_special = (
        address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    )
    return not is_special and address not in METADATA


def is_loopback_name(host: str) -> bool:
    """Return whether a host is this machine by its very name."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
