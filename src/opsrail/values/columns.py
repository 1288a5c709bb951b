"""The columns a model reads: how named feature values become its numbers, by one code in training and in serving.

A model's artifact carries its columns, so the same bytes always read a feature the same way. A category that training
did not know has a declared code, so new words in the world never stop the work; a feature that is absent is a fault of
the caller and always does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from opsrail.errors import ArtifactRefused, Fault, InvalidInput

NAN = "nan"
"""How a column's JSON says that a missing number stays NaN: JSON has no NaN."""
LARGEST_FLOAT32 = 3.4028234663852886e38
"""Models compute in float32; a larger number would become infinity. Source: IEEE 754-2019, binary32."""


@dataclass(frozen=True, slots=True)
class Number:
    """A column read as it is: a finite int or float; true is 1 and false 0.

    Attributes:
        name: Of the feature, e.g. `Age` or `vehicle-history.fraud_ratio`.
        missing: Number that stands for None and NaN, or NaN itself where the model takes that; None when such values are
            refused.
    """

    name: str
    missing: float | None = None

    def code(self, value: object) -> float:
        """Return the number that the model sees. Raises ValueError saying what is wrong."""
        if isinstance(value, float) and -LARGEST_FLOAT32 <= value <= LARGEST_FLOAT32:
            return value  # nearly always; not NaN, which compares with nothing
        if value is None or (isinstance(value, float) and math.isnan(value)):
            if self.missing is None:
                raise ValueError("is missing (None or NaN), and the model has no number for that")
            return self.missing
        if not isinstance(value, int | float):
            raise ValueError(f"must be an int, a float or a bool, not {type(value).__name__}")
        if abs(value) > LARGEST_FLOAT32:
            raise ValueError("is beyond what the model can compute with (float32)")
        return +value  # of a bool the int


@dataclass(frozen=True, slots=True)
class Category:
    """A column of words, read as the number that training gave each.

    Attributes:
        name: Of the feature.
        codes: Number of each known word.
        missing: Number that stands for every other word and for None.
    """

    name: str
    codes: Mapping[str, float]
    missing: float = -1.0

    def code(self, value: object) -> float:
        """Return the number that the model sees. Raises ValueError saying what is wrong."""
        if isinstance(value, str):
            return self.codes.get(value, self.missing)
        if value is None:
            return self.missing
        raise ValueError(f"must be text, not {type(value).__name__}")


Column = Number | Category


def category(name: str, words: Sequence[str]) -> Category:
    """Return a column whose codes are the places of the words, 0 first; any other word is -1."""
    return Category(name, {word: float(place) for place, word in enumerate(words)})


def encode(
    columns: Sequence[Column], rows: Sequence[Mapping[str, object]], *, model: str
) -> list[list[float]]:
    """Return the numbers that the model sees for rows of named features.

    Features that the model does not read are ignored.

    Args:
        columns: In the model's order.
        rows: Feature values by name.
        model: Name or digest, for the error.

    Returns:
        Numbers [rows][columns] within float32, finite but for columns whose `missing` is NaN.

    Raises:
        InvalidInput: a feature is absent or of the wrong type. Terminal; all faults of all rows are
            listed, and no row was encoded.
    """
    try:
        return [[column.code(row[column.name]) for column in columns] for row in rows]
    except (KeyError, ValueError):
        message = f"Model {model} cannot read its features; send what is listed."
        raise InvalidInput(message, list(_faults(columns, rows))) from None


def _faults(columns: Sequence[Column], rows: Sequence[Mapping[str, object]]) -> Iterator[Fault]:
    for position, row in enumerate(rows):
        for column in columns:
            place = f"rows[{position}].{column.name}"
            if column.name not in row:
                yield Fault(place, "is absent; send it, as None if it is not known")
                continue
            try:
                column.code(row[column.name])
            except ValueError as error:
                yield Fault(place, str(error))


def trial_rows(columns: Sequence[Column], count: int) -> list[dict[str, object]]:
    """Return rows that the columns can read: 0, or the first word. They mean nothing; a model is tried out with them."""
    row: dict[str, object] = {
        column.name: next(iter(column.codes), "") if isinstance(column, Category) else 0.0
        for column in columns
    }
    return [row] * count


def columns_to_json(columns: Sequence[Column]) -> str:
    """Return the columns as the JSON text that `columns_from_json` reads."""
    return json.dumps(
        [
            {"name": column.name, "missing": NAN if _is_nan(column.missing) else column.missing}
            | ({"codes": dict(column.codes)} if isinstance(column, Category) else {})
            for column in columns
        ],
        separators=(",", ":"),
    )


def columns_from_json(text: str) -> tuple[Column, ...]:
    """Return the columns that an artifact carries.

    Raises:
        ArtifactRefused: not such a text. Terminal: nothing was loaded.
    """
    try:
        columns = tuple(_column(**entry) for entry in json.loads(text))
    except (TypeError, ValueError) as error:
        raise ArtifactRefused(
            f"The model's columns cannot be read ({error}); write them with columns_to_json."
        ) from error
    if not columns or len({column.name for column in columns}) != len(columns):
        raise ArtifactRefused(
            "The model's columns are empty or name a feature twice; export it anew."
        )
    return columns


def _column(name: object, missing: object, codes: object = None) -> Column:
    if not isinstance(name, str) or not isinstance(codes, dict | None):
        raise ValueError(f"column {name!r} needs a text as name and an object as codes")
    if codes is None and missing == NAN:
        return Number(name, math.nan)
    stand_in = None if missing is None else _float32(missing)
    if codes is None:
        return Number(name, stand_in)
    if stand_in is None:
        raise ValueError(f"column {name!r} needs a number for unknown words")
    return Category(name, {word: _float32(code) for word, code in codes.items()}, stand_in)


def _is_nan(number: float | None) -> bool:
    return number is not None and math.isnan(number)


def _float32(number: object) -> float:
    """Return the number, which stands for itself. Raises ValueError when it is none, or too large."""
    if isinstance(number, bool):
        raise ValueError(f"{number} stands where a number does")
    return Number("code").code(number)
