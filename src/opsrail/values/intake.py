"""What the store keeps of an input file, so that a killed run goes on where it was."""

from __future__ import annotations

from typing import NamedTuple


class FileRow(NamedTuple):
    """A file that was handed in.

    Attributes:
        digest: `sha256:<hex>` of automation name and content: the same file again is the same work.
        name: File name without folders.
        rows: Rows in the file.
        rejected: Rows set aside as faulty.
        accepted: Good rows that are cases by now; the file is done at rows - rejected.
    """

    digest: str
    automation: str
    name: str
    rows: int
    rejected: int
    accepted: int
    at_ms: int
