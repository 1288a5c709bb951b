"""What a form refuses, and what a document gives back."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest
from pydantic import TypeAdapter

from opsrail.documents.form import DateField, Form, FormField, MoneyField
from opsrail.errors import AuthorError
from opsrail.values.documents import Document, ExtractedField, Page, TextLine

LINE = TextLine("Nett Total: $8.70", 0.9987, (584, 635, 677, 648))
DOCUMENT = Document(
    "ab" * 32,
    (Page(1, (LINE,)),),
    (
        ExtractedField("total", "money", "8.70", LINE.text, 0.97, 1, LINE.box),
        ExtractedField("date", "date", "2018-03-21", "21 Mar 2018", 0.4, 1, (1, 2, 3, 4)),
        ExtractedField("company", "text", None, "", 0.0, 0, (0, 0, 0, 0)),
    ),
    "rapidocr 3.10.0",
    1234,
)


def test_a_document_comes_back_from_json_as_it_was() -> None:
    by_hand = Document.from_json(json.loads(json.dumps(DOCUMENT.to_json())))
    adapter = TypeAdapter(Document)

    assert by_hand == DOCUMENT
    assert adapter.validate_json(adapter.dump_json(DOCUMENT)) == DOCUMENT


def test_a_field_gives_its_value_with_its_type() -> None:
    values = [DOCUMENT[name] for name in ("total", "date", "company")]

    assert values == [Decimal("8.70"), date(2018, 3, 21), None]


def test_asking_for_a_field_the_form_has_not_names_those_it_has() -> None:
    with pytest.raises(KeyError, match="no field 'tax'; it has: total, date, company"):
        DOCUMENT["tax"]


def test_a_field_below_the_threshold_is_in_doubt_unless_it_is_not_required() -> None:
    strict = Form("receipt", [MoneyField("total"), DateField("date")], least_confidence=0.8)
    lenient = Form("receipt", [MoneyField("total"), DateField("date", is_required=False)])

    assert strict.doubts(DOCUMENT) == ("date",)
    assert lenient.is_readable(DOCUMENT)


@pytest.mark.parametrize(
    ("fields", "least_confidence", "message"),
    [
        ([], 0.8, "has no fields"),
        ([MoneyField("total"), DateField("total")], 0.8, "names a field twice: total, total"),
        ([MoneyField("total")], 1.5, "must lie in"),
    ],
)
def test_a_form_that_makes_no_sense_is_refused(
    fields: list[FormField], least_confidence: float, message: str
) -> None:
    with pytest.raises(AuthorError, match=message):
        Form("receipt", fields, least_confidence)
