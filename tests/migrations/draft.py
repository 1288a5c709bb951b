"""Print the DDL that the row types ask for, to start a migration file from: `python tests/migrations/draft.py`.

Once a version is released its file is frozen; the tests compare what the files make with the row types.
"""

from __future__ import annotations

from opsrail.store.shapes import SHAPES, Column, Shape
from opsrail.values.cases import JournalRow, KeyRow
from opsrail.values.ledger import LedgerPendingRow
from opsrail.values.tables import INDEXES

TYPES = {str: "TEXT", int: "BIGINT", float: "DOUBLE PRECISION", bytes: "BLOB", bool: "BOOLEAN"}
CLUSTERED = (JournalRow, KeyRow, LedgerPendingRow)
"""Short rows found by key alone. Not ledger entries: only six of them fit a page, so that every third commit moved rows
between three pages; with a tree for the keys a commit of four decisions writes 14.3 pages instead of 16.4, one of 32 writes
53.6 instead of 57.2."""


def draft() -> str:
    """Return the DDL of every table and index, in the order of `values/tables.py`."""
    parts = [_table(shape) for shape in SHAPES.values()]
    for row_type, groups in INDEXES.items():
        name = SHAPES[row_type].name
        for group, present in groups:
            columns = ", ".join(f'"{column}"' for column in group)
            partly = "" if present is None else f' WHERE "{present}" IS NOT NULL'
            parts.append(
                f'CREATE INDEX "{name}_{"_".join(group)}" ON "{name}" ({columns}){partly};'
            )
    return "\n".join(parts) + "\n"


def _table(shape: Shape) -> str:
    lines = [f"  {_column(column)}" for column in shape.columns]
    lines.append(f"  PRIMARY KEY ({_names(shape, shape.key_positions)})")
    lines += [f"  UNIQUE ({_names(shape, group)})" for group in shape.unique_positions]
    clustered = " /* sqlite: WITHOUT ROWID */" if shape.row in CLUSTERED else ""
    return f'CREATE TABLE "{shape.name}" (\n' + ",\n".join(lines) + f"\n){clustered};"


def _column(column: Column) -> str:
    return f'"{column.name}" {TYPES[column.kind]}' + ("" if column.nullable else " NOT NULL")


def _names(shape: Shape, positions: tuple[int, ...]) -> str:
    return ", ".join(f'"{shape.columns[position].name}"' for position in positions)


if __name__ == "__main__":
    print(draft(), end="")
