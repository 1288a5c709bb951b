"""Ports for servers that must be told theirs."""

from __future__ import annotations

import random
import socket

LOWEST, HIGHEST = 20_000, 32_000
"""Below what Linux (32,768) and macOS (49,152) hand out by themselves: what is picked here is not given to another."""
_CHANCE = random.SystemRandom()
_GIVEN: set[int] = set()


def free_port() -> int:
    """Return a loopback port that nobody listens at, another one each time."""
    while True:
        port = _CHANCE.randrange(LOWEST, HIGHEST)
        if port in _GIVEN:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _GIVEN.add(port)
        return port
