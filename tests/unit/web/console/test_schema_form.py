"""Forms made of schemas: which field each part becomes, and what the browser is told to check."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

import orjson
import pytest
from pydantic import BaseModel, Field, create_model

from opsrail.errors import Fault
from opsrail.review.forms import fields_faults, schema_of
from opsrail.web.console.schema_form import FormField, form_fields, unplaced
from opsrail.web.console.schema_values import read_fields


def field_of(annotation: Any, value: Any = None, default: Any = ...) -> FormField:
    model = create_model("Model", it=(annotation, default))
    (made,) = form_fields(model.model_json_schema(), {} if value is None else {"it": value})
    return made


@pytest.mark.parametrize(
    ("annotation", "kind", "attributes"),
    [
        (str, "text", {}),
        (Annotated[str, Field(min_length=2, max_length=9)], "text",
         {"required": "required", "minlength": "2", "maxlength": "9"}),
        (Annotated[str, Field(max_length=900)], "area", {"maxlength": "900"}),
        (Annotated[int, Field(gt=0, lt=9)], "number", {"required": "required", "min": "1", "max": "8", "step": "1"}),
        (Annotated[float, Field(ge=0.5)], "number", {"required": "required", "min": "0.5", "step": "any"}),
        (Annotated[int, Field(ge=0, multiple_of=5)], "number", {"required": "required", "min": "0", "step": "5"}),
        (Annotated[int, Field(ge=3, multiple_of=5)], "number", {"required": "required", "min": "3", "step": "1"}),
        (bool, "check", {}),
        (bool | None, "choice", {}),
        (Literal["a", "b"], "choice", {"required": "required"}),
        (set[Literal["a", "b"]], "choices", {}),
        (list[int], "list", {}),
        (dict[str, int], "json", {"required": "required"}),
        (list[dict[str, int]], "json", {"required": "required"}),
    ],
)  # fmt: skip
def test_each_type_has_its_field_and_limits(
    annotation: Any, kind: str, attributes: dict[str, str]
) -> None:
    made = field_of(annotation)

    assert made.kind == kind
    assert made.attributes == attributes


@pytest.mark.parametrize(
    ("pattern", "shown"),
    [
        ("^[A-Z]{2}-\\d+$", "[A-Z]{2}-\\d+"),
        ("[A-Z]", None),  # anywhere in the text: HTML asks for the whole
        ("^a|b$", None),  # the anchors belong to one branch each
        ("^[a-z&&[x]]$", None),  # another meaning with the flag v
        ("^(?=x).*$", None),
    ],
)
def test_a_pattern_goes_to_the_browser_only_where_it_means_the_same(
    pattern: str, shown: str | None
) -> None:
    schema = {"properties": {"it": {"type": "string", "pattern": pattern}}, "type": "object"}

    (made,) = form_fields(schema, {})

    assert made.attributes.get("pattern") == shown
    assert shown is None or re.fullmatch(shown, "AB-12")


class Inner(BaseModel):
    city: Annotated[str, Field(min_length=1)]


class Form(BaseModel):
    amount: Annotated[Decimal, Field(gt=0, title="Amount paid", description="In USD.")]
    place: Inner | None = None
    home: Inner


def test_labels_hints_and_groups_are_the_schemas_own() -> None:
    amount, place, home = form_fields(schema_of(Form), {"amount": 3})

    assert (amount.label, amount.hint, amount.value) == ("Amount paid", "In USD.", "3.00")
    assert [part.name for part in place.parts] == ["fields.place.city"]
    assert not place.parts[0].is_needed  # it is needed only once the place is there
    assert home.parts[0].is_needed


def test_faults_stand_at_their_fields_and_the_others_are_left_over() -> None:
    faults = [Fault("fields.home.city", "is missing"), Fault("fields.x", "is not a field")]

    fields = form_fields(schema_of(Form), {}, faults)

    assert fields[2].parts[0].faults == ("is missing",)
    assert unplaced(fields, faults) == [faults[1]]


def test_what_was_typed_stands_in_the_fields_again() -> None:
    typed = {"fields.amount": ["twelve"], "fields.home.city": ["Rome"]}

    amount, _, home = form_fields(schema_of(Form), {"amount": 3}, (), typed)

    assert amount.value == "twelve"
    assert home.parts[0].value == "Rome"


def test_an_emptied_group_goes_and_a_needed_field_is_asked_for() -> None:
    before = {"amount": 3, "place": {"city": "Rome"}, "home": {"city": "Oslo"}}
    sent = {"fields.amount": [""], "fields.place.city": [""], "fields.home.city": ["Oslo"]}

    values, faults = read_fields(schema_of(Form), before, sent)

    assert values == {"place": None, "home": {"city": "Oslo"}}
    assert faults == [Fault("fields.amount", "needs a value")]


def test_an_amount_comes_back_as_a_number_so_that_its_limits_are_checked() -> None:
    sent = {"fields.amount": [" 12.50 "], "fields.home.city": ["Oslo"]}

    values, faults = read_fields(schema_of(Form), {}, sent)

    assert (values["amount"], faults) == (12.5, [])


class Prices(BaseModel):
    money: Decimal
    cents: Annotated[Decimal, Field(decimal_places=2)]
    rate: Annotated[Decimal, Field(decimal_places=4)] | None
    pieces: Annotated[Decimal, Field(decimal_places=0)]
    step: Annotated[float, Field(multiple_of=0.01)]
    halves: Annotated[float, Field(multiple_of=0.5)]
    weight: float


def test_an_amount_shows_as_many_digits_behind_its_point_as_its_schema_says() -> None:
    schema = schema_of(Prices)
    shown = [
        [field.value for field in form_fields(schema, dict.fromkeys(Prices.model_fields, value))]
        for value in (7.7, 7, 0.125, "7.7", 1e20)
    ]

    assert shown == [
        ["7.70", "7.70", "7.7000", "7.7", "7.70", "7.7", "7.7"],
        ["7.00", "7.00", "7.0000", "7", "7.00", "7", "7"],
        ["0.125", "0.125", "0.1250", "0.125", "0.125", "0.125", "0.125"],  # nothing is rounded away
        ["7.70", "7.70", "7.7000", "7.7", "7.70", "7.7", "7.7"],
        ["1e+20"] * 7,
    ]


def test_an_amount_that_nobody_touched_stays_as_it_was() -> None:
    before = dict.fromkeys(Prices.model_fields, 7.7) | {"pieces": 7, "halves": 0.5}
    fields = form_fields(schema_of(Prices), before)

    values, faults = read_fields(
        schema_of(Prices), before, {field.name: [field.value] for field in fields}
    )

    assert (values, faults) == (before, [])
    text = orjson.dumps({"schema": schema_of(Prices), "values": {}}).decode()
    assert fields_faults(text, before) == []
    assert [one.place for one in fields_faults(text, before | {"cents": 0.125})] == ["fields.cents"]


def test_a_model_that_leads_to_itself_ends_in_json() -> None:
    schema = {
        "$defs": {"Tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/Tree"}}}},
        "$ref": "#/$defs/Tree",
    }

    (left,) = form_fields(schema, {})

    assert left.kind == "group"
    assert left.parts[0].kind == "json"


def test_nothing_is_lost_in_lists_that_are_longer_than_their_limit() -> None:
    schema = {
        "type": "object",
        "properties": {"it": {"type": "array", "items": {"type": "string"}, "maxItems": 2}},
    }

    (made,) = form_fields(schema, {"it": ["a", "b", "c"]})

    assert [part.value for part in made.parts] == ["a", "b", "c"]


@pytest.mark.parametrize("end", ["200000", "9999", "\u00b2", "0" * 5_000 + "1"])
def test_what_somebody_sends_under_the_name_of_a_far_item_makes_no_items_between(end: str) -> None:
    schema = {
        "type": "object",
        "properties": {"tags": {"type": "array", "items": {"type": "string"}}},
    }
    typed = {"fields.tags.0": ["a"], "fields.tags.1": [""], f"fields.tags.{end}": ["z"]}

    (tags,) = form_fields(schema, {"tags": ["a"]}, (), typed)

    assert [part.value for part in tags.parts][:2] == ["a", ""]
    assert len(tags.parts) <= 3
