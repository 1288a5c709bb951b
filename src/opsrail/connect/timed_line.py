"""Connections on which a whole exchange has an end: each connect, write and read gets what is left of its time.

A timeout of a connection counts from one byte to the next, so a server that sends a header letter by letter keeps its caller
for as long as it likes.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable
from typing import Any

import httpcore

from opsrail.clock import SystemClock

PART_BYTES = 65_536
"""Written under one look at the clock. Ours."""


class TimedBackend(httpcore.NetworkBackend):
    """Connections of one pool; an exchange is a thread's own, from `begin` to its end."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()
        self._exchange = threading.local()

    def begin(self, allowed_s: float) -> None:
        """Begin an exchange of the calling thread that may take so long."""
        self._exchange.due_s = SystemClock.monotonic_s() + allowed_s

    def left_s(self, late: type[httpcore.TimeoutException]) -> float:
        """Return what is left of the exchange's time. Raises `late` when nothing is."""
        left_s: float = self._exchange.due_s - SystemClock.monotonic_s()
        if left_s <= 0.0:
            raise late("the time of the whole exchange is over")
        return left_s

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Return a connection to an address."""
        left_s = self.left_s(httpcore.ConnectTimeout)
        stream = self._inner.connect_tcp(host, port, left_s, local_address, socket_options)
        return _TimedStream(self, stream)


class _TimedStream(httpcore.NetworkStream):
    """One connection."""

    def __init__(self, backend: TimedBackend, inner: httpcore.NetworkStream) -> None:
        self._backend = backend
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._backend.left_s(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for at in range(0, len(buffer), PART_BYTES):
            left_s = self._backend.left_s(httpcore.WriteTimeout)
            self._inner.write(buffer[at : at + PART_BYTES], left_s)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left_s = self._backend.left_s(httpcore.ConnectTimeout)
        return _TimedStream(
            self._backend, self._inner.start_tls(ssl_context, server_hostname, left_s)
        )

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
