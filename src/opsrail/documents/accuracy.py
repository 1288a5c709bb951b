"""Compares what was read with what is true."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from opsrail.documents.dates import days_in
from opsrail.documents.totals import amounts_in
from opsrail.values.documents import Document


def accuracy(
    documents: Mapping[str, Document], truth: Iterable[Mapping[str, Any]]
) -> dict[str, float]:
    """Return how much of what is true was read.

    Args:
        documents: By id, read with a form that has the fields `total`, `date` and `company`.
        truth: Rows with `id` and `fields` (`total`, `date`, `company`, as printed); rows of other ids are passed
            over.

    Returns:
        `pages`, the number compared, and `total_accuracy`, `date_accuracy`, `company_accuracy`: shares in [0, 1],
        0 without pages. Amounts compare as decimals, days as days, names by letters and digits alone, accents and
        case left out.
    """
    rows = [(documents[row["id"]], row["fields"]) for row in truth if row["id"] in documents]
    right = {
        name: sum(is_right(document, name, fields[name]) for document, fields in rows)
        for name in ("total", "date", "company")
    }
    return {"pages": len(rows)} | {
        f"{name}_accuracy": count / max(len(rows), 1) for name, count in right.items()
    }


def is_right(document: Document, name: str, printed: str) -> bool:
    """Return whether a field (`total`, `date` or `company`) says what is printed."""
    read = document[name]
    if name == "total":
        return read in amounts_in(printed)[:1]
    if name == "date":
        return read in [day for day, _ in days_in(printed, day_first=True)[:1]]
    return _bare(str(read or "")) == _bare(printed)


def _bare(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", unicodedata.normalize("NFKD", name).upper())
