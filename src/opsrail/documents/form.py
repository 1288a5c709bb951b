"""What an author wants read from a document: named fields, and how sure each must be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Protocol

from opsrail.documents.companies import find_company
from opsrail.documents.dates import find_date
from opsrail.documents.finding import Finding
from opsrail.documents.layout import Row, rows_of
from opsrail.documents.totals import find_total
from opsrail.errors import AuthorError
from opsrail.values.documents import Document, ExtractedField, Kind, Page

Pages = Sequence[Sequence[Row]]


class FormField(Protocol):
    """One thing to find. Pure: the same pages give the same finding."""

    @property
    def name(self) -> str:
        """Return the name the field has in the document."""
        ...

    @property
    def is_required(self) -> bool:
        """Return whether a document without it must go to a person."""
        ...

    @property
    def kind(self) -> Kind:
        """Return what the value is."""
        ...

    def find(self, pages: Pages) -> Finding | None:
        """Return what the pages say, None when they say nothing."""
        ...


@dataclass(frozen=True, slots=True)
class MoneyField:
    """The amount a document comes to."""

    name: str
    is_required: bool = True
    kind: ClassVar[Kind] = "money"

    def find(self, pages: Pages) -> Finding | None:
        return find_total(pages)


@dataclass(frozen=True, slots=True)
class DateField:
    """The day a document was issued.

    Attributes:
        earliest: Days before it are taken for something else.
        latest: Days after it likewise.
        day_first: Whether 04/06/2018 is the fourth of June.
    """

    name: str
    is_required: bool = True
    earliest: date = date(2000, 1, 1)
    latest: date = date(2099, 12, 31)
    day_first: bool = True
    kind: ClassVar[Kind] = "date"

    def find(self, pages: Pages) -> Finding | None:
        return find_date(
            pages, earliest=self.earliest, latest=self.latest, day_first=self.day_first
        )


@dataclass(frozen=True, slots=True)
class CompanyField:
    """Who issued a document, upper case, as printed."""

    name: str
    is_required: bool = True
    kind: ClassVar[Kind] = "text"

    def find(self, pages: Pages) -> Finding | None:
        return find_company(pages)


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of document and what to read from it.

    Attributes:
        name: What people call it; also the step's name in a case's journal.
        fields: In the order they stand in the document; names differ.
        least_confidence: A required field below it goes to a person. In [0, 1].

    Raises:
        AuthorError: no fields, two of one name, or a confidence out of range. Terminal: fix the form.

    Example:
        >>> receipt = Form("receipt", fields=[MoneyField("total"), DateField("date")])
        >>> [field.name for field in receipt.fields]
        ['total', 'date']
    """

    name: str
    fields: Sequence[FormField]
    least_confidence: float = 0.8

    def __post_init__(self) -> None:
        names = [field.name for field in self.fields]
        if not names:
            raise AuthorError(
                f"form {self.name!r} has no fields; name at least one, e.g. MoneyField('total')"
            )
        if len(set(names)) < len(names):
            raise AuthorError(
                f"form {self.name!r} names a field twice: {', '.join(names)}; give each its own name"
            )
        if not 0 <= self.least_confidence <= 1:
            raise AuthorError(
                f"form {self.name!r} has least_confidence={self.least_confidence}; it must lie in [0, 1]"
            )

    def extract(self, pages: Sequence[Page]) -> tuple[ExtractedField, ...]:
        """Return every field of the form, found or not. Pure; about 10 ms a page."""
        rows = [rows_of(page) for page in pages]
        return tuple(_extracted(field, field.find(rows)) for field in self.fields)

    def doubts(self, document: Document) -> tuple[str, ...]:
        """Return the names of required fields that a person must look at."""
        sure = {
            found.name
            for found in document.fields
            if found.value is not None and self._is_sure(found)
        }
        return tuple(
            field.name for field in self.fields if field.is_required and field.name not in sure
        )

    def is_readable(self, document: Document) -> bool:
        """Return whether every required field is there and sure enough; if not, `doubts` says which are not."""
        return not self.doubts(document)

    def _is_sure(self, found: ExtractedField) -> bool:
        return found.confidence >= self.least_confidence


def _extracted(field: FormField, found: Finding | None) -> ExtractedField:
    if found is None:
        return ExtractedField(field.name, field.kind, None, "", 0.0, 0, (0, 0, 0, 0))
    line = found.line
    return ExtractedField(
        field.name, field.kind, found.value, line.text, found.confidence, line.page, line.box
    )
