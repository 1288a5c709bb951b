"""What a person fills in beside the verdict: the author's model as JSON Schema, and checking what came back against it.

The schema stands on the review's row; it is checked without the author's code, by any process, and refers to nothing
outside itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson
from jsonschema_rs import Draft202012Validator, ValidationError, ValidationErrorKind
from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema, to_jsonable_python

from opsrail.errors import Fault

MOST_FAULTS = 50
NUMBER = re.compile(r"-?\d{1,30}(\.\d{1,30})?")
FIELDS_BYTES = 64_000
"""What a ruling's fields may come to as JSON. Ours: a form is filled in by hand."""


def form_text(model: type[BaseModel] | None, values: object) -> str | None:
    """Return a form as a review's row keeps it; None without a model.

    Args:
        values: What stands in the fields before a person changed them; a model or plain values.
    """
    if model is None:
        return None
    schema = schema_of(model)
    return orjson.dumps({"schema": schema, "values": plain_values(values, schema)}).decode()


def plain_values(values: object, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands in a form's fields as plain values.

    A Decimal is a number; so is a text that writes one where the form wants a number, or whoever rules without a look at the
    field would be refused.
    """
    plain = values.model_dump() if isinstance(values, BaseModel) else values
    if plain is None:
        return {}
    made: dict[str, Any] = to_jsonable_python(_as_numbers(plain))
    fields = schema.get("properties", {})
    return {
        name: _as_numbers(Decimal(value)) if _is_number(value, fields.get(name, {})) else value
        for name, value in made.items()
    }


def _is_number(value: object, field: Mapping[str, Any]) -> bool:
    """Return whether a text writes the number that a field wants."""
    kinds = [one.get("type") for one in (field, *field.get("anyOf", ()))]
    wants = "string" not in kinds and ("number" in kinds or "integer" in kinds)
    return wants and isinstance(value, str) and NUMBER.fullmatch(value) is not None


class FormSchema(GenerateJsonSchema):
    """Writes Decimals as numbers."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """Return a Decimal's schema: the number of the two ways that pydantic would take."""
        either = super().decimal_schema(schema)
        number: JsonSchemaValue = next(
            (one for one in either.get("anyOf", ()) if one.get("type") == "number"), either
        )
        places = schema.get("decimal_places")
        number = {**number, "format": "decimal"} if number is not either else number
        return number if places is None else {**number, "multipleOf": 10**-places}


@lru_cache(256)
def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's JSON Schema (2020-12); fields that it does not name are refused.

    A Decimal is a number here: as the text that pydantic would take as well, its bounds could not be checked.
    """
    schema = model.model_json_schema(mode="validation", schema_generator=FormSchema)
    return {"additionalProperties": False, **schema}


def _as_numbers(value: object) -> object:
    """Return values with their Decimals as JSON numbers."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return {name: _as_numbers(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_as_numbers(part) for part in value]
    return value


def form_faults(model: type[BaseModel]) -> Iterator[Fault]:
    """Yield why a model cannot be a form."""
    try:
        schema = schema_of(model)
        Draft202012Validator(schema, offline=True)
    except (PydanticUserError, PydanticInvalidForJsonSchema, ValueError) as wrong:
        yield Fault("form", f"{model.__name__} has no JSON Schema: {wrong}")
        return
    if schema.get("type") != "object":
        yield Fault("form", f"{model.__name__} is no object of fields")


def values_of(form: str | None) -> dict[str, Any] | None:
    """Return what stands in a form's fields at first; None without a form."""
    return None if form is None else orjson.loads(form)["values"]


def standing_fields(form: str | None) -> str | None:
    """Return what stands in a form's fields as a ruling keeps it; None where that alone would be refused."""
    values = values_of(form)
    if values is None or fields_faults(form, values):
        return None
    return orjson.dumps(values).decode()


def fields_faults(form: str | None, fields: Mapping[str, object] | None) -> list[Fault]:
    """Return every fault of what was filled in, each at its field.

    Args:
        form: `ReviewRow.form`.
    """
    if form is None:
        return [Fault("fields", "this review has no form; leave the fields out")] if fields else []
    try:
        # No integer beyond 2**53, which readers of JSON would not all understand alike (RFC 7493).
        text = orjson.dumps(dict(fields or {}), option=orjson.OPT_STRICT_INTEGER)
    except (TypeError, orjson.JSONEncodeError) as wrong:
        return [Fault("fields", f"are not plain JSON values: {wrong}")]
    if len(text) > FIELDS_BYTES:
        return [Fault("fields", f"are {len(text):,} bytes; at most {FIELDS_BYTES:,}")]
    found: list[Fault] = []
    for error in _validator(form).iter_errors(orjson.loads(text)):
        found += _faults_of(error)
        if len(found) >= MOST_FAULTS:
            break
    return sorted(found, key=lambda fault: (fault.place, fault.message))


def is_same_form(one: str | None, other: str | None) -> bool:
    """Return whether two reviews ask for the same fields, whatever stands in them."""
    if one is None or other is None:
        return one is other
    return bool(orjson.loads(one)["schema"] == orjson.loads(other)["schema"])


@lru_cache(256)
def _validator(form: str) -> Draft202012Validator:
    schema = orjson.loads(form)["schema"]
    return Draft202012Validator(schema, validate_formats=True, mask="the value", offline=True)


def _faults_of(error: ValidationError) -> list[Fault]:
    place = ["fields", *(str(part) for part in error.instance_path)]
    kind = error.kind
    if isinstance(kind, ValidationErrorKind.Required):
        missing = str(kind.property).strip('"')
        return [Fault(".".join([*place, missing]), "is missing")]
    if isinstance(kind, ValidationErrorKind.AdditionalProperties):
        return [Fault(".".join([*place, name]), "is not a field") for name in kind.unexpected]
    return [Fault(".".join(place), _told(error))]


def _told(error: ValidationError) -> str:
    """Return what is wrong in a word; of a choice of types, what each of them wants (an empty field is no answer)."""
    if not isinstance(error.kind, ValidationErrorKind.AnyOf):
        return error.message
    each = [_told(first) for first, *_ in error.kind.context]
    wanted = [told for told in each if '"null"' not in told]
    return ", or ".join(wanted or each)
