"""A copy of decisions as columns beside the database, so that the second question about them is answered at once.

The copy of a point is a folder of parts, each a range of ids (ULIDs, which sort by time) in one Parquet file. A part's name
holds all that is needed to trust it: the range, how many decisions the store held in that range when the part was made, and
a digest of the file. A part is used only while the store still holds as many and the file has that digest; else it is thrown
away and read again. So it is never stale: decisions are not changed, those that are removed lower the count, those that are
committed late raise it, and the newest, which others may still join, are not copied at all. The folder can be deleted at any
time.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow
import pyarrow.parquet

from opsrail.lab.records import chosen

FORMAT = "1"
"""Of what parts hold; others are ignored."""
NAME = re.compile(r"([0-9A-Z]*)_([0-9A-Z]{26})_(\d+)_([0-9a-f]{16})\.parquet")


@dataclass(frozen=True, order=True)
class Part:
    """One range of a point's decisions.

    Attributes:
        after: Id that all come behind; empty: from the first.
        last: Id of the last of them.
        count: Decisions of all points that the store held in this range, when the part was read.
        digest: First 16 hex digits of the file's sha256.
    """

    after: str
    last: str
    count: int
    digest: str
    path: Path


class Copies:
    """The parts of one point's copy. Blocking.

    Args:
        folder: Of all copies of an installation.
    """

    def __init__(self, folder: Path, point: str) -> None:
        self._folder = folder / FORMAT / point

    def parts(self) -> list[Part]:
        """Return the parts that are there, by id; files of other names are left alone."""
        if not self._folder.is_dir():
            return []
        return sorted(_parts(self._folder))

    def write(self, after: str, last: str, count: int, table: pyarrow.Table) -> Part:
        """Keep a part, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        sink = pyarrow.BufferOutputStream()
        pyarrow.parquet.write_table(table, sink, compression="zstd")
        content = sink.getvalue()
        digest = hashlib.sha256(content).hexdigest()[:16]
        path = self._folder / f"{after}_{last}_{count}_{digest}.parquet"
        beside = path.with_suffix(f".{os.getpid()}.part")
        with beside.open("wb") as file:
            file.write(content)
        beside.replace(path)
        return Part(after, last, count, digest, path)

    def read(self, part: Part, names: Sequence[str] | None = None) -> pyarrow.Table | None:
        """Return some columns of a part, those it lacks left out; None: the file is gone or damaged, and is removed.

        Args:
            names: As `records.chosen` takes them.
        """
        try:
            content = part.path.read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(content).hexdigest()[:16] != part.digest:
            self.drop(part)
            return None
        file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(content))
        return file.read(chosen(file.schema_arrow.names, names))

    def drop(self, part: Part) -> None:
        """Remove a part."""
        part.path.unlink(missing_ok=True)


def _parts(folder: Path) -> Iterator[Part]:
    for path in folder.iterdir():
        if (found := NAME.fullmatch(path.name)) is not None:
            after, last, count, digest = found.groups()
            yield Part(after, last, int(count), digest, path)
