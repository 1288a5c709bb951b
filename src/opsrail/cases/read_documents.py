"""Where the documents lie that a case read, found in its input. Pure.

The journal keeps a digest of what each step was given, not the path. Of all texts in the case's input, the one with that
digest is the path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from opsrail.cases.journal import digest_of
from opsrail.values.cases import JournalRow
from opsrail.values.document_names import texts_of

MOST_TEXTS = 2_000
"""Texts of an input that are looked at. Ours: 2,000 digests take 5 ms."""


def is_read(entry: JournalRow) -> bool:
    """Return whether a step may have read a document: what it returned names its engine."""
    return entry.kind == "step" and '"engine"' in entry.result


def paths_by_digest(given: Any, entries: Sequence[JournalRow]) -> Mapping[str, str]:
    """Return texts of a case's input by the digest of a step that was given one; empty: no step read anything.

    Args:
        given: The case's input as plain values.
        entries: Of its journal.
    """
    if not any(is_read(entry) for entry in entries):
        return {}
    return {digest_of((text,), {}): text for text in islice(texts_of(given), MOST_TEXTS)}


def paths_read(given: Any, entries: Sequence[JournalRow]) -> frozenset[str]:
    """Return the texts of a case's input that are paths of documents which it read."""
    paths = paths_by_digest(given, entries)
    read = (paths.get(entry.digest) for entry in entries if is_read(entry))
    return frozenset(path for path in read if path is not None)
