"""How often somebody may try to sign in. Pure: a function of failures, and counts that are told the time.

Per user the count lives in the user's row and survives restarts; per address it lives in this process, for an address that
tries many names. A lock of a user is short at first and never longer than a quarter of an hour, so that a stranger can keep
nobody out for long, and a one-time link passes it.

Source:
    OWASP Authentication Cheat Sheet, account lockout; NIST SP 800-63B-4, section 3.2.2 (rate limiting).
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Network, ip_address

FREE_TRIES = 5
"""Wrong passwords in a row that cost nothing. Ours: a person mistypes twice, thrice."""
FIRST_LOCK_S = 2
LONGEST_LOCK_S = 900
"""96 guesses a day at most."""
ADDRESS_TRIES = 30
ADDRESS_SPAN_S = 60.0
"""Failures of one address in so many seconds. Ours: a whole office may come from one address in the morning."""
MOST_ADDRESSES = 10_000


def lock_s(failures: int) -> int:
    """Return how long a user may not sign in after so many wrong passwords in a row, seconds; twice as long each time."""
    if failures < FREE_TRIES:
        return 0
    return int(min(LONGEST_LOCK_S, FIRST_LOCK_S * 2 ** min(failures - FREE_TRIES, 30)))


NETWORK_BITS = 64
"""Of an IPv6 address: what a provider gives one customer, who has 2^64 addresses in it. Source: RFC 6177, section 2."""


@lru_cache(maxsize=1_000)
def counted_as(address: str) -> str:
    """Return what an address is counted as: an IPv6 address as its network, one of IPv4 or none at all as it is."""
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(known, IPv4Address):
        return address
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(IPv6Network((int(known), NETWORK_BITS), strict=False))


class Addresses:
    """Counts failures by address (`counted_as`); those that were quiet for longest are forgotten first."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_s(self, address: str, now_s: float) -> float:
        """Return how long an address has to wait; 0: it may try."""
        begun_s, count = self._seen.get(counted_as(address), (now_s, 0))
        left_s = begun_s + ADDRESS_SPAN_S - now_s
        return left_s if count >= ADDRESS_TRIES and left_s > 0 else 0.0

    def failed(self, address: str, now_s: float) -> None:
        """Note a failure."""
        address = counted_as(address)
        begun_s, count = self._seen.pop(address, (now_s, 0))
        if now_s - begun_s >= ADDRESS_SPAN_S:
            begun_s, count = now_s, 0
        self._seen[address] = (begun_s, count + 1)
        while len(self._seen) > MOST_ADDRESSES:
            self._seen.popitem(last=False)
