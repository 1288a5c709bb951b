"""The schema's versions: frozen files of portable DDL, brought into each database's words and applied in one transaction.

Both databases run DDL inside transactions, so a process killed between two statements leaves the version it found and the
next start does the whole step again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import NamedTuple

from opsrail import faults
from opsrail.errors import SchemaMismatch

VERSION_TABLE = "CREATE TABLE schema_version (version BIGINT NOT NULL PRIMARY KEY, applied_at_ms BIGINT NOT NULL)"
"""One row for each version that was applied."""


class Step(NamedTuple):
    """One version of the schema.

    Attributes:
        text: Portable DDL: types TEXT, BIGINT, DOUBLE PRECISION, BLOB, BOOLEAN; statements end with `;` at a line's end.
    """

    version: int
    text: str


class Words(NamedTuple):
    """What differs between the databases' DDL: each pair is replaced, in order."""

    replacements: tuple[tuple[str, str], ...]

    def statements(self, step: Step) -> list[str]:
        """Return the statements of a step in this database's words."""
        text = step.text
        for portable, own in self.replacements:
            text = text.replace(portable, own)
        return [part.strip() for part in text.split(";\n") if part.strip()]


SQLITE = Words((("/* sqlite: WITHOUT ROWID */", "WITHOUT ROWID"),))
# The C collation compares bytes, as SQLite and Python do, whatever the server's locale.
POSTGRES = Words(
    ((" TEXT", ' TEXT COLLATE "C"'), (" BLOB", " BYTEA"), (" /* sqlite: WITHOUT ROWID */", ""))
)


@cache
def steps() -> tuple[Step, ...]:
    """Return every version this opsrail knows, oldest first."""
    folder = resources.files("opsrail.store") / "migrations"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    return tuple(Step(int(file.name.split("_")[0]), file.read_text("utf-8")) for file in files)


def latest() -> int:
    """Return the newest version this opsrail knows."""
    return steps()[-1].version


def upgrade(
    found: int | None,
    foreign: str | None,
    words: Words,
    execute: Callable[[str], None],
    now_ms: int,
    where: str,
) -> None:
    """Apply every version that is missing, inside the caller's transaction.

    Args:
        found: Newest version the database has; None if it has no `schema_version` table.
        foreign: Name of something in a database without versions that is not ours, if any.
        execute: Runs one statement.
        now_ms: For the record, epoch ms.
        where: The database, for messages.

    Raises:
        SchemaMismatch: the database is newer, or not ours. Terminal; nothing was changed.
    """
    if found is None and foreign is not None:
        raise SchemaMismatch(
            f"{where} holds {foreign} and no opsrail schema; nothing was changed, name another database"
        )
    if found is not None and found > latest():
        raise SchemaMismatch(
            f"{where} has schema version {found}, this opsrail knows up to {latest()}; nothing was changed, upgrade opsrail"
        )
    pending = [step for step in steps() if step.version > (found or 0)]
    statements = [VERSION_TABLE] if found is None else []
    for step in pending:
        statements += words.statements(step)
        statements.append(
            f"INSERT INTO schema_version (version, applied_at_ms) VALUES ({step.version}, {now_ms})"
        )
    for statement in statements:
        faults.point("schema.before_statement")
        execute(statement)
