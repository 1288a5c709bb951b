"""The words that trades and stores share: a row, a condition, a write.

A row is a NamedTuple of plain columns (str, int, float, bytes, bool, None): cheap to make, immutable, and bound to
    SQL as it is. A commit is a sequence of writes that becomes durable whole or not at all. `tables.py` says which
    row type lives in which table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

Value = str | int | float | bytes | bool | None
R = TypeVar("R", bound=tuple[Any, ...])


class Table(NamedTuple):
    """Where a row type lives.

    Attributes:
        name: The table's name in every adapter.
        key: Columns of the primary key, in order.
        unique: Further unique column groups.
    """

    name: str
    key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...] = ()


class Index(NamedTuple):
    """A secondary index.

    Attributes:
        present: Column that must not be NULL for a row to stand in it: rows without cost it nothing.
    """

    columns: tuple[str, ...]
    present: str | None = None


class Where(NamedTuple):
    """One condition on one column; several are joined by AND.

    Attributes:
        column: A column of the row type.
        op: `=`, `!=`, `<`, `<=`, `>`, `>=`, `in` (value: a tuple), `null` (value: True for IS NULL, False for IS NOT
            NULL).
    """

    column: str
    op: str
    value: Value | tuple[Value, ...]


def equals(**columns: Value) -> tuple[Where, ...]:
    """Return conditions for equal columns; None means IS NULL."""
    return tuple(
        Where(name, "null", True) if value is None else Where(name, "=", value)
        for name, value in columns.items()
    )


def among(column: str, names: frozenset[str] | None) -> tuple[Where, ...]:
    """Return the condition that a column holds one of some names; None: any, an empty set: none does."""
    return () if names is None else (Where(column, "in", tuple(sorted(names))),)


class Insert(NamedTuple):
    """Add a row. The whole commit is refused (StaleWrite) when its key, or a unique group, is taken."""

    row: tuple[Any, ...]


class Update(NamedTuple):
    """Change one row by key. The whole commit is refused (StaleWrite) when no row has that key and `where` values.

    Attributes:
        table: Row type.
        key: Values of the primary key, in the table's order.
        set: Columns to change.
        where: Values the row must have for the write to count (compare and set); None means NULL.
    """

    table: type[tuple[Any, ...]]
    key: tuple[Value, ...]
    set: Mapping[str, Value]
    where: Mapping[str, Value] = {}


class Delete(NamedTuple):
    """Remove all rows with these column values; none is fine."""

    table: type[tuple[Any, ...]]
    where: Mapping[str, Value]


class Require(NamedTuple):
    """Refuse the whole commit unless a row with this key has these values; the row cannot change before the commit ends.

    Attributes:
        refusal: `stale` raises StaleWrite, `fenced` raises Fenced.
    """

    table: type[tuple[Any, ...]]
    key: tuple[Value, ...]
    where: Mapping[str, Value]
    refusal: str = "stale"


class Append(NamedTuple):
    """Add one entry to the audit ledger in the same transaction; the store links it into the writer's chain.

    Attributes:
        kind: Event name, `trade.verb`, e.g. `decision.made`.
        subject_id: The case, decision, review or model the entry speaks of.
        at_ms: When it happened, epoch ms.
        body: Canonical bytes (RFC 8785) of the public envelope; hashed as they are, never re-serialised.
    """

    kind: str
    subject_id: str
    at_ms: int
    body: bytes


Write = Insert | Update | Delete | Require | Append
