"""The documents of a review: what its case read, found in the case's journal, and the file that it was read from. Pure.

The path is the text of the case's input that has the digest of what the step was given; and the file's bytes must have the
digest that was recorded when it was read. So nobody can have another file shown than the one that was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from opsrail.cases.read_documents import is_read, paths_by_digest
from opsrail.documents.picture import Size
from opsrail.values.cases import JournalRow
from opsrail.values.documents import Document, ExtractedField

DOCUMENT = TypeAdapter(Document)
MOST_DOCUMENTS = 20
DOUBTFUL = 0.8
"""Confidence below which a field is marked. Ours: as `Form.least_confidence` unless the author says otherwise."""


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """A document that a case read.

    Attributes:
        seq: Of the step in the case's journal.
        form: Name of the form, e.g. `receipt`.
        path: As the case's input has it; None: it stands there no more, so the page cannot be shown.
    """

    seq: int
    form: str
    document: Document
    path: str | None


@dataclass(frozen=True, slots=True)
class ShownField:
    """A field that was found, beside its box.

    Attributes:
        id: Of the field in the page; the box's is the same with `box-` before it.
    """

    id: str
    name: str
    value: str
    text: str
    confidence: float
    page: int
    box: tuple[int, int, int, int] | None
    is_doubtful: bool


@dataclass(frozen=True, slots=True)
class ShownPage:
    """A page as SVG: its picture, and boxes in pixels of the upright page.

    Attributes:
        size: None: nothing can tell, so boxes cannot be drawn.
    """

    number: int
    address: str
    size: Size | None
    fields: tuple[ShownField, ...]


@dataclass(frozen=True, slots=True)
class ShownDocument:
    """A document beside what was read from it.

    Attributes:
        trouble: Why its page is not shown; empty: it is.
    """

    seq: int
    title: str
    engine: str
    fields: tuple[ShownField, ...]
    pages: tuple[ShownPage, ...]
    trouble: str


def documents_of(given: Any, entries: Sequence[JournalRow]) -> tuple[ReadDocument, ...]:
    """Return the documents that a case read, in order.

    Args:
        given: The case's input as plain values.
        entries: Of its journal.
    """
    found = paths_by_digest(given, entries)
    read = (
        ReadDocument(row.seq, row.name, document, found.get(row.digest))
        for row in entries
        if (document := _document(row)) is not None
    )
    return tuple(islice(read, MOST_DOCUMENTS))


def shown(
    read: ReadDocument, address: str, sizes: Sequence[Size], trouble: str = ""
) -> ShownDocument:
    """Return a document as its page shows it.

    Args:
        address: Where its pages are served; `?page=` is added.
        sizes: Of its pages, as far as they are known.
        trouble: Why its pages are not shown.
    """
    document = read.document
    fields = tuple(
        _field(f"field-{read.seq}-{at}", each) for at, each in enumerate(document.fields)
    )
    count = 0 if trouble else max(1, len(sizes))
    pages = tuple(
        ShownPage(
            number,
            f"{address}?page={number}",
            sizes[number - 1] if sizes else None,
            tuple(each for each in fields if each.box is not None and each.page == number),
        )
        for number in range(1, count + 1)
    )
    return ShownDocument(read.seq, read.form, document.engine, fields, pages, trouble)


def _document(row: JournalRow) -> Document | None:
    """Return what a step read, if it read a document."""
    if not is_read(row):
        return None
    try:
        return DOCUMENT.validate_python(from_json(row.result))
    except (ValidationError, ValueError):
        return None


def _field(name: str, found: ExtractedField) -> ShownField:
    is_found = found.value is not None
    x0, y0, x1, y1 = found.box
    return ShownField(
        name,
        found.name,
        found.value or "",
        found.text,
        found.confidence,
        found.page,
        (x0, y0, max(1, x1 - x0), max(1, y1 - y0)) if is_found else None,
        not is_found or found.confidence < DOUBTFUL,
    )
