"""How each end of a PostgreSQL connection finds out that the other one is gone, so that what it holds can be taken over."""

from __future__ import annotations

from typing import Any

import psycopg

from opsrail.clock import Clock

CONNECTION = {
    "connect_timeout": 3,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "opsrail",
}
"""A dead network is noticed within about 10 s (a worker stops its own effects sooner, by its own clock)."""
SESSION = {
    # A process frozen inside a transaction must not hold its rows for longer than a takeover may last (10 s in all).
    "idle_in_transaction_session_timeout": "3s",
    # Nor must a machine that is gone; the server's own setting is two hours.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
LOOK_S = 1.0
"""Ours: with the 3 s below it leaves half of the 10 s within which a takeover must have happened."""
END_SQL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND application_name = 'opsrail'
AND wait_event = 'ClientRead' AND xact_start < clock_timestamp() - interval '3 seconds'
"""
"""Source: PostgreSQL manual, table 28.4: a session that waits for its client; only an open transaction has `xact_start`."""


class SilentSessions:
    """Ends sessions whose process froze, or was cut off, while it was sending.

    The server's own limit begins when a group of statements was received whole. Between two statements of a pipeline it
    would wait, and hold the locks, for as long as the connection lives.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next_look_s = 0.0

    def end(self, connection: psycopg.Connection[Any]) -> None:
        """End sessions of this database and role that hold a transaction open for over 3 s and say nothing."""
        now_s = self._clock.monotonic_s()
        if now_s >= self._next_look_s:
            self._next_look_s = now_s + LOOK_S
            connection.execute(END_SQL)
