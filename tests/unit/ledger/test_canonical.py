"""Canonical bytes of the plain and the odd."""

from __future__ import annotations

from enum import StrEnum

import pytest

from opsrail.errors import InvalidInput
from opsrail.values.canonical import canonical, digest


class Verdict(StrEnum):
    APPROVE = "approve"


def test_keys_are_sorted_and_whole_floats_lose_their_point() -> None:
    text = canonical({"b": 1.0, "a": (1e-7, 0.25, -0.0), "c": None})

    assert text == b'{"a":[1e-7,0.25,0],"b":1,"c":null}'


def test_the_example_of_the_standard_gives_its_bytes() -> None:
    numbers = [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001]
    text = canonical(
        {
            "numbers": numbers,
            "string": '\u20ac$\u000f\nA\'B"\\\\"/',
            "literals": [None, True, False],
        }
    )

    assert text.decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_a_member_of_an_enum_is_written_as_its_text() -> None:
    assert canonical({Verdict.APPROVE: Verdict.APPROVE}) == b'{"approve":"approve"}'


def test_keys_beyond_the_basic_plane_are_sorted_by_utf_16() -> None:
    text = canonical({"\ue000": Verdict.APPROVE, "\U00010000": [1.0]})

    assert text.decode() == '{"\U00010000":[1],"\ue000":"approve"}'


def test_nesting_ends_at_two_hundred_levels() -> None:
    value: object = 1
    for _ in range(200):
        value = [value]

    assert canonical(value).count(b"[") == 200
    with pytest.raises(InvalidInput, match="deeper than 200"):
        canonical([value])


def test_a_digest_names_its_algorithm() -> None:
    assert digest(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
