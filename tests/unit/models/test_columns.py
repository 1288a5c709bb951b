from __future__ import annotations

import math

import pytest

from opsrail.errors import ArtifactRefused, InvalidInput
from opsrail.values.columns import (
    LARGEST_FLOAT32,
    Number,
    category,
    columns_from_json,
    columns_to_json,
    encode,
)

MAKE = category("Make", ["Honda", "Mazda"])
AGE = Number("Age", missing=-1.0)
RATIO = Number("ratio")


def test_words_become_their_places_and_numbers_stay() -> None:
    rows = [{"Make": "Honda", "Age": 21.0}, {"Make": "Mazda", "Age": 30}]

    assert encode([MAKE, AGE], rows, model="m") == [[0.0, 21.0], [1.0, 30.0]]


def test_what_is_true_is_one_and_what_is_false_zero_and_both_are_ints() -> None:
    ((one, zero),) = encode([AGE, RATIO], [{"Age": True, "ratio": False}], model="m")

    assert (one, type(one), zero, type(zero)) == (1, int, 0, int)


def test_a_word_that_training_did_not_know_has_a_number_of_its_own() -> None:
    assert (
        encode([MAKE], [{"Make": "Lada"}, {"Make": ""}, {"Make": None}], model="m") == [[-1.0]] * 3
    )


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_a_missing_number_becomes_its_stand_in(nothing: float | None) -> None:
    assert encode([AGE], [{"Age": nothing}], model="m") == [[-1.0]]


def test_features_that_the_model_does_not_read_are_ignored() -> None:
    assert encode([AGE], [{"Age": 3.0, "Sex": "Female"}], model="m") == [[3.0]]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({}, "rows[0].ratio: is absent; send it, as None if it is not known"),
        (
            {"ratio": None},
            "rows[0].ratio: is missing (None or NaN), and the model has no number for that",
        ),
        (
            {"ratio": math.nan},
            "rows[0].ratio: is missing (None or NaN), and the model has no number for that",
        ),
        ({"ratio": "0.1"}, "rows[0].ratio: must be an int, a float or a bool, not str"),
        ({"ratio": math.inf}, "rows[0].ratio: is beyond what the model can compute with (float32)"),
        ({"ratio": 1e39}, "rows[0].ratio: is beyond what the model can compute with (float32)"),
        (
            {"ratio": -(10**400)},
            "rows[0].ratio: is beyond what the model can compute with (float32)",
        ),
    ],
)
def test_a_number_that_cannot_be_read_is_named(row: dict[str, object], fault: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        encode([RATIO], [row], model="claims-fraud/1")

    assert str(caught.value) == (
        f"Model claims-fraud/1 cannot read its features; send what is listed.\n  {fault}"
    )


@pytest.mark.parametrize("value", [400, 4.5, ["Honda"], b"Honda"])
def test_a_word_that_is_no_text_is_named(value: object) -> None:
    with pytest.raises(InvalidInput, match=f"Make: must be text, not {type(value).__name__}"):
        encode([MAKE], [{"Make": value}], model="m")


def test_all_faults_of_all_rows_are_told_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        encode(
            [MAKE, AGE, RATIO],
            [{"Make": 1, "ratio": 0.1}, {"Make": "Honda", "Age": "x"}],
            model="m",
        )

    places = [fault.place for fault in caught.value.faults]
    assert places == ["rows[0].Make", "rows[0].Age", "rows[1].Age", "rows[1].ratio"]


def test_the_largest_float32_is_still_read() -> None:
    assert encode([RATIO], [{"ratio": -LARGEST_FLOAT32}], model="m") == [[-LARGEST_FLOAT32]]


def test_columns_written_as_json_read_back_the_same() -> None:
    columns = (MAKE, AGE, RATIO)

    assert columns_from_json(columns_to_json(columns)) == columns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "[1]",
        '[{"name": "Age"}]',
        '[{"name": 1, "missing": null}]',
        '[{"name": "Age", "missing": "none"}]',
        '[{"name": "Age", "missing": Infinity}]',
        '[{"name": "Age", "missing": true}]',
        '[{"name": "Make", "missing": -1, "codes": {"Honda": true}}]',
        '[{"name": "Make", "missing": null, "codes": {"Honda": 0}}]',
        '[{"name": "Make", "missing": -1, "codes": ["Honda"]}]',
        '[{"name": "Make", "missing": -1, "codes": {"Honda": NaN}}]',
        '[{"name": "Age", "missing": null}, {"name": "Age", "missing": null}]',
    ],
)
def test_columns_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ArtifactRefused, match="The model's columns"):
        columns_from_json(text)
