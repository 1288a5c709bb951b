"""What an author's model accepts survives being shown as a form and sent back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from pydantic_core import to_jsonable_python

from opsrail.web.console.schema_form import FormField, form_fields
from opsrail.web.console.schema_values import read_fields


class Colour(Enum):
    RED = "red"
    NONE = ""


class Place(BaseModel):
    street: str = ""
    number: Annotated[int, Field(ge=1)]
    note: str | None = None


class Deep(BaseModel):
    place: Place
    places: dict[str, int] = {}


class Claim(BaseModel):
    """Every kind of field, needed and not, empty and full."""

    text: str
    words: str | None = None
    chosen_words: Annotated[str, Field(max_length=40)] = "as before"
    amount: Decimal
    fee: Decimal | None = None
    count: int
    ratio: float
    maybe_ratio: float | None = 0.5
    is_sure: bool
    is_known: bool | None = None
    is_on: bool = True
    day: date
    paid_on: date | None = None
    at: datetime | None = None
    colour: Colour
    kind: Literal["a", "b", 3] | None = None
    items: list[str] = []
    counts: list[int] | None = None
    kinds: set[Literal["x", "y", "z"]] = set()
    place: Place
    second: Place | None = None
    deep: Deep | None = None
    either: int | list[str] = 0
    key: UUID | None = None


SCHEMA = Claim.model_json_schema()


def finite() -> st.SearchStrategy[Any]:
    return st.builds(
        Claim,
        text=st.text(),
        words=st.none() | st.text(),
        chosen_words=st.text(max_size=40),
        amount=st.decimals(allow_nan=False, allow_infinity=False),
        fee=st.none() | st.decimals(allow_nan=False, allow_infinity=False),
        ratio=st.floats(allow_nan=False, allow_infinity=False),
        maybe_ratio=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        items=st.lists(st.text(), max_size=4),
        counts=st.none() | st.lists(st.integers(), max_size=4),
        place=st.builds(Place, number=st.integers(1, 9), street=st.text(), note=st.none() | st.text()),
        second=st.none() | st.builds(Place, number=st.integers(1, 9)),
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(claim=finite(), is_sparse=st.booleans())
def test_what_a_model_accepts_comes_back_as_it_was(claim: Claim, is_sparse: bool) -> None:
    before = claim.model_dump(mode="json", exclude_defaults=is_sparse)

    values, faults = read_fields(SCHEMA, before, sent_by_browser(form_fields(SCHEMA, before)))

    assert faults == []
    assert values == before
    assert Claim.model_validate(values) == Claim.model_validate(before)


@settings(max_examples=40, deadline=None)
@given(claim=finite())
def test_what_a_person_types_anew_is_what_the_model_reads(claim: Claim) -> None:
    """The same values typed into an empty form; what HTML cannot tell apart is left out of the comparison."""
    wanted = claim.model_dump(mode="json")
    typed = sent_by_browser(form_fields(SCHEMA, wanted))

    values, faults = read_fields(SCHEMA, {}, typed)

    assert faults == []
    again = Claim.model_validate(values)
    assert (again.count, again.day, again.kind, again.kinds) == (
        claim.count,
        claim.day,
        claim.kind,
        claim.kinds,
    )
    assert again.amount == claim.amount
    assert again.ratio == claim.ratio
    assert again.text == claim.text.replace("\r\n", "\n").replace("\r", "\n")


@settings(max_examples=60, deadline=None)
@given(
    sent=st.dictionaries(
        st.sampled_from([f"fields.{name}" for name in Claim.model_fields])
        | st.sampled_from(["fields.place.number", "fields.items.0", "fields.items.7", "fields.x"]),
        st.lists(st.text(max_size=12), min_size=1, max_size=2),
    )
)
def test_whatever_is_sent_gives_plain_values_or_faults_at_fields(
    sent: Mapping[str, Sequence[str]],
) -> None:

    values, faults = read_fields(SCHEMA, {}, sent)

    assert to_jsonable_python(values) == values
    assert all(fault.place.startswith("fields.") for fault in faults)
    shown = form_fields(SCHEMA, {}, faults, sent)
    assert {fault for each in shown for fault in told_by(each)} == {one.message for one in faults}


def told_by(field: FormField) -> set[str]:
    return {*field.faults, *(told for part in field.parts for told in told_by(part))}


def sent_by_browser(fields: Sequence[FormField]) -> dict[str, list[str]]:
    """Return what a browser sends of fields that nobody touched (HTML, section 4.10.21.4 and .22)."""
    pairs: list[tuple[str, str]] = []

    def submit(field: FormField) -> None:
        if field.kind in ("group", "list"):
            for part in field.parts:
                submit(part)
        elif field.kind == "choices":
            pairs.extend((field.name, chosen) for chosen in field.chosen)
        elif field.kind == "check":
            if field.value:
                pairs.append((field.name, "on"))
        else:
            text = field.value.replace("\r\n", "\n").replace("\r", "\n")
            if field.kind not in ("area", "json"):
                text = text.replace("\n", "")
            pairs.append((field.name, text.replace("\n", "\r\n")))

    for each in fields:
        submit(each)
    body = urlencode(pairs, errors="strict")
    sent: dict[str, list[str]] = {}
    for name, text in parse_qsl(body, keep_blank_values=True, errors="strict"):
        sent.setdefault(name, []).append(text)
    return sent
