"""Where the values of a kept view come from, as its author declares it; and the columns in which they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opsrail.errors import Fault


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


@dataclass(frozen=True, slots=True)
class FeastSource:
    """Values are asked of a Feast feature server (`feast serve`) when a decision needs them, within its deadline.

    opsrail keeps them in the decision's record alone: what was known at another moment is Feast's to tell.

    Attributes:
        url: `http://HOST:6566`, or a reference `env:NAME` or `file:PATH` to it. No part of the definition.
        features: Feast's `view:feature`, each under the name behind the colon; or name -> `view:feature`.
        entity_key: Join key of the entity there.
        timeout_ms: Longest time for one answer; a decision's deadline may leave less.
        secret: Sent as `Authorization: Bearer`; a reference `env:NAME` or `file:PATH`; empty: none.
    """

    url: str
    features: Sequence[str] | Mapping[str, str]
    entity_key: str
    timeout_ms: int = 1_000
    secret: str = field(default="", repr=False)

    @property
    def references(self) -> dict[str, str]:
        """Return Feast's `view:feature` by the name that it has here."""
        if isinstance(self.features, Mapping):
            return dict(self.features)
        return {text.rpartition(":")[2]: text for text in self.features}

    def described(self) -> dict[str, Any]:
        """Return what of it can change a value."""
        return {"kind": "feast", "entity_key": self.entity_key, "features": self.references}

    def faults(self, features: Iterable[str]) -> Iterator[Fault]:
        """Yield what contradicts itself, or the features of the view."""
        for name, text in self.references.items():
            if not REFERENCE.fullmatch(text):
                yield Fault("source.features", f"{text!r} is not Feast's view:feature")
            elif name not in features:
                yield Fault("source.features", f"{name!r} is none of the view's features")
        for name in sorted(set(features) - self.references.keys()):
            yield Fault("source.features", f"does not say what {name!r} is called in Feast")
        if not isinstance(self.features, Mapping) and len(self.references) < len(self.features):
            yield Fault("source.features", "gives one name twice; write name -> view:feature")
        if not self.entity_key.strip():
            yield Fault("source.entity_key", "is empty")
        if not 1 <= self.timeout_ms <= 60_000:
            yield Fault("source.timeout_ms", f"{self.timeout_ms} is not 1 to 60,000")
        if self.secret and not self.secret.startswith(("env:", "file:")):
            yield Fault("source.secret", "is no reference; write env:NAME or file:PATH")


REFERENCE = re.compile(r"[^:\s]+:[^:\s]+")
Source = Pushed | FileSource | SqlSource | FeastSource


def source_of(described: Mapping[str, Any]) -> Source:
    """Return a source from what `described` told of it; where it lies is not known any more."""
    held = {name: value for name, value in described.items() if name not in ("kind", "query")}
    if described["kind"] == "feast":
        return FeastSource("", described["features"], described["entity_key"])
    if described["kind"] == "file":
        return FileSource("", **held)
    if described["kind"] == "sql":
        return SqlSource("", described["query"], **held)
    return Pushed()
