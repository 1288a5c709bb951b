"""Printing: tables and messages for people, JSON for programs, which get one document on stdout."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
from pydantic_core import to_json

MISSING = "-"


def print_json(document: Any) -> None:
    """Print one JSON document; its shapes stand in docs/cli.md."""
    click.echo(to_json(document, indent=2, inf_nan_mode="null").decode())


def print_error(code: str, message: str, faults: Sequence[Mapping[str, str]] = ()) -> None:
    """Print an error as JSON."""
    print_json({"error": {"code": code, "message": message, "faults": list(faults)}})


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    empty: str,
    most: int | None = None,
) -> None:
    """Print rows as a table as wide as the terminal; in a pipe as wide as it needs. Nothing is cut off.

    Args:
        empty: What to say when there are no rows.
        most: Characters in a line, also in a pipe; None: any number.
    """
    if not rows:
        click.echo(empty)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for position, column in enumerate(columns):
        table.add_column(column, no_wrap=position == 0, overflow="fold")
    for row in rows:
        table.add_row(*(shown(value) for value in row))
    width = None if sys.stdout.isatty() else _width(columns, rows)
    if width is not None and most is not None:
        width = min(width, most)
    Console(width=width, markup=False, highlight=False, emoji=False).print(table)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print names and values, one a line."""
    longest = max(map(len, fields), default=0)
    for name, value in fields.items():
        click.echo(f"{name:<{longest}}  {shown(value)}")


def shown(value: object) -> str:
    """Return a value as a cell: times without fractions, nothing as `-`, control characters made visible."""
    if value is None or value == "":
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict | list):
        value = to_json(value, fallback=str, inf_nan_mode="constants").decode()
    text = str(value)
    return "".join(
        char if char.isprintable() else " " if char in "\r\n\t" else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def moment(at_ms: int | None) -> str | None:
    """Return epoch milliseconds as RFC 3339."""
    from opsrail.clock import rfc3339

    return None if at_ms is None else rfc3339(at_ms)


def _width(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> int:
    widths = [
        max(len(name), *(len(shown(row[at])) for row in rows)) for at, name in enumerate(columns)
    ]
    return sum(widths) + 2 * len(widths) + 2
