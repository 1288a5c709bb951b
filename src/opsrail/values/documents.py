"""What was read from a document: its lines, and the fields found in them with a confidence each.

Every attribute is a plain type, so a `Document` goes through JSON and back unchanged: an amount is kept as decimal
text, a day as ISO 8601 text, and `ExtractedField.typed` gives them back as `Decimal` and `date`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of the image as it came; y grows downwards, x0 <= x1, y0 <= y1."""

Kind = Literal["text", "money", "date"]


@dataclass(frozen=True, slots=True)
class TextLine:
    """One stretch of text on a page, as an engine read it.

    Attributes:
        text: Never empty.
        confidence: The engine's own, in [0, 1].
        box: Upright rectangle around it.
        page: Counted from 1.
    """

    text: str
    confidence: float
    box: Box
    page: int = 1


@dataclass(frozen=True, slots=True)
class Page:
    """The lines of one page, top to bottom.

    Attributes:
        number: Counted from 1.
    """

    number: int
    lines: tuple[TextLine, ...]


@dataclass(frozen=True, slots=True)
class ExtractedField:
    """One field of a form, as found in a document.

    Attributes:
        name: The form's name for it.
        kind: What `value` holds.
        value: Canonical text: decimal digits with a point for money, ISO 8601 for a day. None when nothing was
            found.
        text: The line it was taken from, as read; empty when nothing was found.
        confidence: That `value` is what the page says, in [0, 1]; 0 when nothing was found.
        page: Counted from 1; 0 when nothing was found.
        box: Where `text` stands; zeros when nothing was found.
    """

    name: str
    kind: Kind
    value: str | None
    text: str
    confidence: float
    page: int
    box: Box

    @property
    def typed(self) -> str | Decimal | date | None:
        """Return the value as `Decimal` for money, `date` for a day, `str` for text."""
        if self.value is None:
            return None
        return _TYPES[self.kind](self.value)


_TYPES: dict[Kind, Callable[[str], str | Decimal | date]] = {
    "text": str,
    "money": Decimal,
    "date": date.fromisoformat,
}


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was read.

    Attributes:
        digest: SHA-256 of its bytes, 64 hex digits.
        pages: In order; empty when no text was found.
        fields: One for each field of the form, in the form's order.
        engine: Name and version of what read it.
        read_ms: Time the engine took, milliseconds, queueing left out.
    """

    digest: str
    pages: tuple[Page, ...]
    fields: tuple[ExtractedField, ...]
    engine: str
    read_ms: int

    def field(self, name: str) -> ExtractedField:
        """Return the field of that name.

        Raises:
            KeyError: the form has no such field.
        """
        for found in self.fields:
            if found.name == name:
                return found
        raise KeyError(
            f"the form has no field {name!r}; it has: {', '.join(found.name for found in self.fields)}"
        )

    def __getitem__(self, name: str) -> str | Decimal | date | None:
        """Return the typed value of a field, None when it was not found: `document["total"]`."""
        return self.field(name).typed

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types that `from_json` turns back into an equal document."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Document:
        """Return the document that `to_json` gave.

        Raises:
            KeyError, TypeError: `plain` was not written by `to_json`.
        """
        pages = tuple(
            Page(page["number"], tuple(TextLine(**_with_box(line)) for line in page["lines"]))
            for page in plain["pages"]
        )
        fields = tuple(ExtractedField(**_with_box(found)) for found in plain["fields"])
        return cls(plain["digest"], pages, fields, plain["engine"], plain["read_ms"])


def _with_box(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {**plain, "box": tuple(plain["box"])}
