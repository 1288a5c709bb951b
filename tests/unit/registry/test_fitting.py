from __future__ import annotations

import enum
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from opsrail.registry.fitting import fit_faults
from opsrail.values.columns import Column, Number, category


class Kind(enum.Enum):
    CAR = "car"
    VAN = "van"


class Claim(BaseModel):
    age: int
    amount_usd: Annotated[Decimal, Field(ge=0)]
    kind: Kind
    make: Literal["Honda", "Mazda"]
    day: date
    gap: float | None
    is_new: bool
    parts: list[int]
    either: int | str


def told(*columns: Column) -> dict[str, str]:
    found = fit_faults(columns, Claim, {"ratio": float, "last": str, "is_late": bool})
    return {fault.place.removeprefix("point."): fault.message for fault in found}


def test_numbers_and_texts_of_every_kind_fit() -> None:
    numbers = [Number(name) for name in ("age", "amount_usd", "ratio", "is_new", "is_late")]
    words = [category(name, ["x"]) for name in ("kind", "make", "day", "last")]

    assert told(*numbers, *words, Number("gap", -1.0)) == {}


def test_what_is_given_otherwise_or_not_at_all_is_told() -> None:
    columns = [Number(name) for name in ("kind", "parts", "either", "gap", "size", "last")]

    assert told(*columns, category("age", ["1"]), category("is_new", ["yes"])) == {
        "kind": "may be text; the model reads a number",
        "is_new": "may be true or false; the model reads text",
        "parts": "may be list; the model reads a number",
        "either": "may be text; the model reads a number",
        "gap": "may be missing, and the model has no number for that",
        "size": "is given by neither the request nor a feature view",
        "last": "may be text; the model reads a number",
        "age": "may be number; the model reads text",
    }
