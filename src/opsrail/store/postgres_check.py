"""How durable a PostgreSQL database really is: settings, version, whether it takes writes; and what tables are in it."""

from __future__ import annotations

from typing import Any

import psycopg

from opsrail.ports import Finding
from opsrail.store.shapes import SHAPES

OLDEST = 130_000
"""Oldest server version, as `server_version_num`. Ours: the oldest with all that the adapter's SQL and the tests use."""
MUST_BE_ON = {
    "fsync": "a power cut may destroy the whole database",
    "full_page_writes": "a power cut may leave torn pages",
}


def findings(connection: psycopg.Connection[Any]) -> list[Finding]:
    """Return what was found; a `fail` means that the promises cannot be kept."""
    found = [_switch(name, _setting(connection, name), loss) for name, loss in MUST_BE_ON.items()]
    commit = _setting(connection, "synchronous_commit")
    # The writer overrules `off` for its own session, so the default alone breaks nothing of ours.
    level = "warn" if commit == "off" else "ok"
    found.append(
        Finding(
            "postgres.synchronous_commit",
            level,
            f"synchronous_commit is {commit}; opsrail commits with on",
        )
    )
    version = int(_setting(connection, "server_version_num"))
    message = f"PostgreSQL {version // 10_000}; at least {OLDEST // 10_000} is needed"
    found.append(Finding("postgres.version", "ok" if version >= OLDEST else "fail", message))
    encoding = _setting(connection, "server_encoding")
    message = f"the database's encoding is {encoding}; it must be UTF8, make the database anew with ENCODING 'UTF8'"
    found.append(Finding("postgres.encoding", "ok" if encoding == "UTF8" else "fail", message))
    (is_standby,) = connection.execute("SELECT pg_is_in_recovery()").fetchone() or (False,)
    message = (
        "the server is a standby and takes no writes; name the primary"
        if is_standby
        else "the server takes writes"
    )
    found.append(Finding("postgres.primary", "fail" if is_standby else "ok", message))
    return found


def _setting(connection: psycopg.Connection[Any], name: str) -> str:
    (value,) = connection.execute("SELECT current_setting(%s)", (name,)).fetchone() or ("",)
    return str(value)


def _switch(name: str, value: str, loss: str) -> Finding:
    return Finding(
        f"postgres.{name}",
        "ok" if value == "on" else "fail",
        f"{name} is {value}; when off, {loss}",
    )


def found(connection: psycopg.Connection) -> tuple[int | None, str | None]:
    """Return the schema version (None: there is none), and the name of a table that is in our way."""
    sql = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
    columns = set(connection.execute(sql).fetchall())
    if ("schema_version", "applied_at_ms") in columns:
        (version,) = connection.execute("SELECT max(version) FROM schema_version").fetchone() or (
            0,
        )
        return version, None
    ours = {shape.name for shape in SHAPES.values()} | {"schema_version"}
    return None, min((f"table {table!r}" for table, _ in columns if table in ours), default=None)
