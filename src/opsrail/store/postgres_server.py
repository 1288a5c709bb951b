"""Where a PostgreSQL server is, how to get there, and what its errors mean to a caller."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from opsrail.errors import ConfigInvalid, InvalidInput, StoreUnavailable
from opsrail.store.group import Refused, TryAgain
from opsrail.store.postgres_network import CONNECTION

PREPARED = 500
"""Statements kept prepared. Ours: more than all forms that the trades use."""
TRY_AGAIN = frozenset(("40001", "40P01"))
"""Serialization failure and deadlock. Source: PostgreSQL manual, Appendix A."""
TOO_LARGE = "54"
"""Class of errors for a value past a limit, e.g. a key longer than an index page takes."""


class Server:
    """Where the server is, and how to get there; the password stays inside."""

    def __init__(self, url: str) -> None:
        try:
            self._parameters: Mapping[str, Any] = CONNECTION | conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            raise ConfigInvalid(
                "store.url cannot be read; use postgresql://user@host:port/database"
            ) from None
        host, port, name = (self._parameters.get(part, "") for part in ("host", "port", "dbname"))
        self.place = f"PostgreSQL {name or 'default'} at {host or 'local'}:{port or 5432}"

    def connect(self, settings: Mapping[str, str]) -> psycopg.Connection:
        """Return a connection with its session set up."""
        with self.errors():
            connection = psycopg.connect(**self._parameters, autocommit=True)
            try:
                connection.prepared_max = PREPARED
                calls = ", ".join(["set_config(%s, %s, false)"] * len(settings))
                pairs = [part for setting in settings.items() for part in setting]
                connection.execute(f"SELECT {calls}".encode(), pairs)
            except BaseException:
                connection.close()
                raise
        return connection

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn the server's errors into ours, by what the caller can do about them."""
        try:
            yield
        except psycopg.IntegrityError as cause:
            raise Refused from cause
        except psycopg.Error as cause:
            state = cause.sqlstate or ""
            if isinstance(cause, psycopg.DataError) or state.startswith(TOO_LARGE):
                message = f"{self.place} cannot store a value of this commit: {first_line(cause)}; nothing was written"
                raise Refused(InvalidInput(message)) from cause
            if state in TRY_AGAIN:
                raise TryAgain(first_line(cause)) from cause
            raise StoreUnavailable(
                f"{self.place} cannot be used now ({first_line(cause)}); nothing was written, try again"
            ) from cause


def first_line(cause: psycopg.Error) -> str:
    """Return what the server said first."""
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]
