"""The encoder says what `values.columns.encode` says, number for number and fault for fault."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from opsrail.connect.encoder import Encoder
from opsrail.errors import InvalidInput
from opsrail.values.columns import LARGEST_FLOAT32, Category, Column, Number, encode


class Make(enum.StrEnum):
    HONDA = "Honda"


WORDS = ["Honda", "Mazda", "Lada", "", "\N{SNOWMAN}"]
EDGES: list[Any] = [
    0, -1, True, None, math.nan, math.inf, -math.inf, LARGEST_FLOAT32, -LARGEST_FLOAT32, 3.4028235e38, 3.40282351e38,
    1e39, 10**400, 2**53 + 1, 5e-324, -0.0, np.float64(1.5), np.float32(0.1), np.int64(3), Make.HONDA, [], b"x", "1.5",
]  # fmt: skip
values = st.one_of(
    st.floats(allow_nan=True), st.integers(), st.sampled_from(EDGES), st.sampled_from(WORDS)
)
plain = st.floats(-1e6, 1e6) | st.integers(-100, 100) | st.booleans()


@st.composite
def models(draw: st.DrawFn) -> tuple[Column, ...]:
    columns: list[Column] = []
    for place in range(draw(st.integers(1, 6))):
        if draw(st.booleans()):
            missing = draw(st.sampled_from([None, -1.0, 0.0, math.nan]))
            columns.append(Number(f"n{place}", missing))
        else:
            codes = {word: float(code) for code, word in enumerate(WORDS[:2])}
            columns.append(Category(f"c{place}", codes, draw(st.sampled_from([-1.0, 7.0]))))
    return tuple(columns)


@st.composite
def questions(draw: st.DrawFn) -> tuple[tuple[Column, ...], list[dict[str, Any]]]:
    columns = draw(models())
    rows = []
    for _ in range(draw(st.integers(1, 9))):
        row = {
            column.name: draw(st.sampled_from(WORDS) if isinstance(column, Category) else plain)
            for column in columns
        }
        if draw(st.integers(0, 3)) == 0:
            row[draw(st.sampled_from(columns)).name] = draw(values)
        if draw(st.integers(0, 20)) == 0:
            row.pop(columns[0].name)
        rows.append(row)
    return columns, rows


@given(questions(), st.sampled_from(["float32", "float64"]))
def test_numbers_and_faults_are_those_of_encode(
    asked: tuple[tuple[Column, ...], list[dict[str, Any]]], kind: Any
) -> None:
    columns, rows = asked
    expected = told(lambda: np.array(encode(columns, rows, model="m"), dtype=kind))

    assert told(lambda: Encoder(columns, "m", kind).numbers(rows)) == expected


def told(read: Callable[[], Any]) -> tuple[object, ...]:
    """Return the bits of what was read, or the whole refusal."""
    try:
        numbers = read()
    except InvalidInput as fault:
        return (fault.faults, str(fault))
    return (numbers.dtype, numbers.tobytes())


@given(questions())
def test_unknown_are_the_features_whose_number_stands_in(
    asked: tuple[tuple[Column, ...], list[dict[str, Any]]],
) -> None:
    columns, rows = asked
    encoder = Encoder(columns, "m")
    try:
        numbers = encoder.numbers(rows)
    except InvalidInput:
        return

    def stands_in(column: Column, number: float) -> bool:
        missing = column.missing
        return missing is not None and (
            math.isnan(number) if math.isnan(missing) else number == np.float32(missing)
        )

    assert encoder.unknown(numbers) == [
        tuple(c.name for c, n in zip(columns, row, strict=True) if stands_in(c, n))
        for row in numbers.tolist()
    ]
