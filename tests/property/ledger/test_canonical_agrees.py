"""Canonical bytes agree with the reference implementation of RFC 8785."""

from __future__ import annotations

import math
import struct

import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from opsrail.errors import InvalidInput
from opsrail.values.canonical import LARGEST_INTEGER, canonical

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER) | FLOATS | TEXT
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=30,
)


@settings(max_examples=500)
@given(VALUES)
@example({"\ue000": 1, "\U00010000": 2})
@example({"a": -0.0, "b": 1e21, "c": 1e-7, "d": 5e-324, "e": 1.7976931348623157e308})
def test_canonical_bytes_are_those_of_the_reference(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]  # any JSON value


@settings(max_examples=2000)
@given(
    st.integers(0, 2**64 - 1)
    .map(lambda bits: struct.unpack("<d", struct.pack("<Q", bits))[0])
    .filter(math.isfinite)
)
@example(1e15)
@example(1e16)
@example(123456789012345680000.0)
@example(999999999999999900000.0)
@example(1e-4)
@example(9.999999999999999e-05)
@example(1e-6)
@example(9007199254740993.0)
def test_numbers_of_any_bit_pattern_are_written_as_the_reference_does(number: float) -> None:
    assert canonical([number, -number]) == rfc8785.dumps([number, -number])


@given(
    VALUES,
    st.sampled_from(
        [
            math.nan,
            math.inf,
            -math.inf,
            2**53,
            -(2**53),
            "\ud800",
            {1: 2},
            {"\udfff": 1},
            b"x",
            object,
        ]
    ),
)
def test_what_has_no_canonical_form_is_refused_with_its_place(value: object, wrong: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        canonical({"before": value, "deep": [value, {"at": wrong}], "again": wrong})

    assert [fault.place for fault in refused.value.faults] == ["deep[1].at", "again"]
