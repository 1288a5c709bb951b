"""Where the values of a kept view come from, as its author declares it; and the columns in which they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """In which columns of a file or query's result a view's values stand.

    Attributes:
        entity: Whose values they are.
        event_at: When they were true in the world.
        written_at: When they were known; None: when they are read in, for a training set must not know them earlier.
            Name the column of `event_at` again where values were known as soon as they were true.
        columns: Feature -> column, where the two differ.
    """

    entity: str = "entity"
    event_at: str = "event_at"
    written_at: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    def _described(self) -> dict[str, Any]:
        return {
            "entity": self.entity,
            "event_at": self.event_at,
            "written_at": self.written_at,
            "columns": dict(self.columns),
        }


@dataclass(frozen=True, slots=True)
class Pushed(Columns):
    """Values are pushed: over HTTP, by `opsrail features push`, or `Features.push`."""

    def described(self) -> dict[str, Any]:
        """Return what of it can change a value."""
        return {"kind": "pushed"}


@dataclass(frozen=True, slots=True)
class FileSource(Columns):
    """Values stand in a file: CSV or JSON lines, also gzipped, or Parquet. `opsrail features backfill` reads it in.

    Attributes:
        path: Where; may be overruled with `--from`, so it is no part of the view's definition.
    """

    path: str

    def described(self) -> dict[str, Any]:
        """Return what of it can change a value."""
        return {"kind": "file", **self._described()}


@dataclass(frozen=True, slots=True)
class SqlSource(Columns):
    """Values stand in another database. `opsrail features backfill` reads them in.

    Attributes:
        url: `sqlite:///FILE` or `postgresql://...`, or a reference `env:NAME` or `file:PATH` to one. No part of the
            definition: the same view reads a test's database and the real one.
        query: Gives one row a value, in an order of its own (`ORDER BY`).
    """

    url: str = field(repr=False)
    query: str

    def described(self) -> dict[str, Any]:
        """Return what of it can change a value."""
        return {"kind": "sql", "query": self.query, **self._described()}


Source = Pushed | FileSource | SqlSource


def source_of(described: Mapping[str, Any]) -> Source:
    """Return a source from what `described` told of it; where it lies is not known any more."""
    held = {name: value for name, value in described.items() if name not in ("kind", "query")}
    if described["kind"] == "file":
        return FileSource("", **held)
    if described["kind"] == "sql":
        return SqlSource("", described["query"], **held)
    return Pushed()
