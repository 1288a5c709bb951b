"""Input files: CSV and JSON Lines, also gzipped, from the bytes to good rows and the file of rejected ones.

The first byte says which kind of file the rest is.
"""

from __future__ import annotations

import csv
import gzip
import os
import tempfile
from pathlib import Path

from pydantic import BaseModel

from opsrail import Automation, Case
from opsrail.cases.files import check_file, good_rows, read_rows

ENDINGS = (".csv", ".jsonl", ".csv.gz", ".jsonl.gz")
MEMORY = Path("/dev/shm")  # noqa: S108 - the folder made in it is ours alone
"""Rejected rows are forced to disk; a folder in memory lets a thousand inputs a second through."""


class Claim(BaseModel):
    """A row's model."""

    id: str
    age: int
    note: str | None = None


claims = Automation("claims", case=Claim, outcome=Claim, key="id")


@claims.run
async def handle(case: Case, claim: Claim) -> Claim:
    """Do nothing."""
    return claim


FOLDER = tempfile.TemporaryDirectory(
    prefix=f"opsrail-fuzz-{os.getpid()}-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None
)
SAMPLES = (
    b'\0id,age,note\nx,1,\ny,2,"a ""b"", c"\nz,"3\n4",5\nq,4,d\n',
    b"\0\xef\xbb\xbfid,age\r\nx,1\r\n\r\n\xff,2\r\n",
    b'\0line,faults,id,age\n2,why,"x,1\ny,2\n',
    b'\1{"id": "x", "age": 1}\n\n[1]\n{"id": "y", "age": "2", "note": null}\n{"id": NaN}\n',
    b"\2" + gzip.compress(b"id,age\nx,1\n", mtime=0),
    b"\3" + gzip.compress(b'{"id": "x", "age": 1}\n', mtime=0),
)


def run_one(data: bytes) -> None:
    """Check a file; its good rows are as many as were counted, and the others all stand in the file beside it."""
    path = Path(FOLDER.name) / f"rows{ENDINGS[data[0] % len(ENDINGS) if data else 0]}"
    path.write_bytes(data[1:])
    checked = check_file(path, claims)
    lines = [row.line for row in read_rows(path)]
    assert lines == sorted(lines)
    assert checked.rows == len(lines)
    assert checked.good == sum(1 for _ in good_rows(checked, claims))
    if checked.rejected_file is not None:
        with checked.rejected_file.open(
            encoding="utf-8", errors="surrogateescape", newline=""
        ) as file:
            assert len(list(csv.reader(file))) == 1 + checked.rejected
        checked.rejected_file.unlink()
