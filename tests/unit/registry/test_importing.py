from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from opsrail.errors import InvalidInput
from opsrail.registry.importing import Told, signature_of, told_of
from opsrail.registry.samples import Sample, read_sample
from opsrail.values.columns import Category, Number, category
from opsrail.values.containers import Described

BOOSTED = Described("lightgbm", 2, ("age", "kind"), takes_missing=True)
NAMELESS = Described("onnx", 2)
KIND = category("kind", ["car", "van"])


def sample(tmp_path: Path, text: str, name: str = "rows.csv") -> Sample:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_sample(path)


def faults(described: Described, told: Told, rows: Sample | None) -> dict[str, str]:
    return {one.place: one.message for one in signature_of(described, told, rows).faults}


def test_numbers_are_inferred_and_words_are_asked_for(tmp_path: Path) -> None:
    rows = sample(tmp_path, "age,kind\n1,van\n2.5,car\n")

    assert list(faults(BOOSTED, Told(), rows)) == ["columns.kind"]
    assert faults(BOOSTED, Told({"kind": KIND}), rows) == {}


def test_a_typical_row_is_made_of_medians_and_frequent_words(tmp_path: Path) -> None:
    rows = sample(tmp_path, "age,kind\n1,van\n2,van\n9,car\n,bus\n")

    inferred = signature_of(BOOSTED, Told({"kind": KIND}), rows)

    assert inferred.signature is not None
    assert inferred.signature.columns == (Number("age", math.nan), KIND)
    assert inferred.signature.reference == {
        "lows": [1.0, -1.0],
        "highs": [9.0, 1.0],
        "rows": [[2.0, 1.0]],
    }
    assert inferred.origins == {"age": "sample", "kind": "told"}
    assert inferred.notes == (
        "kind: 25.0% of the sample are words that training did not know: bus.",
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.csv", "is_new\nTrue\nfalse\n"),
        ("rows.jsonl", '{"is_new": true}\n{"is_new": false}\n'),
    ],
)
def test_truths_are_numbers_and_the_typical_one_is_no_half(
    tmp_path: Path, name: str, text: str
) -> None:
    described = Described("onnx", 1, ("is_new",))
    rows = sample(tmp_path, text, name)

    inferred = signature_of(described, Told(), rows)

    assert inferred.signature is not None
    assert inferred.signature.columns == (Number("is_new"),)
    assert inferred.signature.reference == {"lows": [0.0], "highs": [1.0], "rows": [[0.0]]}
    assert rows.read_by([Number("is_new")]) == [{"is_new": True}, {"is_new": False}]


def test_cells_that_say_true_stay_words_where_the_model_reads_words(tmp_path: Path) -> None:
    rows = sample(tmp_path, "said\nTrue\nfalse\n")

    assert rows.read_by([category("said", ["True"])]) == [{"said": "True"}, {"said": "false"}]


def test_what_the_file_tells_of_ranges_wins_and_what_is_beyond_is_noted(tmp_path: Path) -> None:
    described = Described("lightgbm", 1, ("age",), lows=(0.0,), highs=(5.0,), takes_missing=True)

    inferred = signature_of(described, Told(), sample(tmp_path, "age\n1\n9\n"))

    assert inferred.signature is not None
    assert inferred.signature.reference == {"lows": [0.0], "highs": [5.0], "rows": [[5.0]]}
    assert inferred.notes == ("age: 1 rows of the sample are outside what training saw, 0 to 5.",)


def test_a_file_without_names_takes_those_of_the_sample_or_of_its_importer(tmp_path: Path) -> None:
    rows = sample(tmp_path, "age,pay\n1,2\n")

    assert faults(NAMELESS, Told(), None) == {
        "columns": "the file does not name its 2 features; give --sample or --signature"
    }
    inferred = signature_of(NAMELESS, Told(), rows)
    assert inferred.notes == (
        "The file names no features: the names are the sample's, in its order.",
    )
    told = Told({"age": Number("age"), "pay": Number("pay")})
    assert faults(NAMELESS, told, None) == {}
    assert list(faults(NAMELESS, Told({"age": Number("age")}), None)) == ["signature"]
    assert list(faults(NAMELESS, Told(), sample(tmp_path, "age\n1\n"))) == ["sample"]


@pytest.mark.parametrize(
    ("rows", "place", "why"),
    [
        ("kind\ncar\n", "columns.age", "the sample has no such column"),
        ("age,kind\n,car\n", "columns.age", "has no value in any row"),
        ("age,kind\n1e99,car\n", "sample.age", "1 rows are refused: row 1: 1e+99 is beyond"),
    ],
)
def test_a_sample_that_does_not_fit_is_told(
    tmp_path: Path, rows: str, place: str, why: str
) -> None:
    found = faults(BOOSTED, Told({"kind": KIND}), sample(tmp_path, rows))

    assert why in found[place]


def test_a_gap_that_the_model_has_no_number_for_is_asked_for(tmp_path: Path) -> None:
    described = Described("sklearn", 1, ("age",))
    rows = sample(tmp_path, '{"age": 1}\n{"age": null}\n', "rows.jsonl")

    assert "say which stands in" in faults(described, Told(), rows)["columns.age"]
    assert faults(described, Told({"age": Number("age", -1.0)}), rows) == {}


def test_what_the_importer_says_must_be_of_this_model_and_not_against_it() -> None:
    own = Described("onnx", 1, ("age",), (Number("age"),))

    assert list(faults(BOOSTED, Told({"kind": KIND, "size": Number("size")}), None)) == [
        "signature.size"
    ]
    assert list(faults(own, Told({"age": Number("age", 0.0)}), None)) == ["columns.age"]
    assert faults(own, Told({"age": Number("age")}), None) == {}


def test_a_signature_is_read_in_each_of_its_forms() -> None:
    told = told_of(
        json.dumps(
            {
                "columns": [
                    {"name": "age"},
                    {"name": "pay", "missing": "nan"},
                    {"name": "kind", "words": ["car", "van"]},
                    {"name": "make", "codes": {"Honda": 7}, "missing": -2},
                ],
                "confidence": {"edges": [], "confidences": [1]},
            }
        ).encode()
    )

    assert told.columns == {
        "age": Number("age"),
        "pay": Number("pay", math.nan),
        "kind": KIND,
        "make": Category("make", {"Honda": 7}, -2),
    }
    assert told.confidence == {"edges": [], "confidences": [1]}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"1",
        b"[1]",
        b'["age"]',
        b'{"columns": {"age": 1}}',
        b'[{"missing": 1}]',
        b'[{"words": ["a"]}]',
        b'[{"name": "a", "words": "xy"}]',
        b'[{"name": "a", "words": ["x", "x"]}]',
        b'{"confidence": []}',
        b'[{"name": "a", "words": ["x"], "missing": "low"}]',
        b'[{"name": "a", "missing": "low"}]',
        b'[{"name": "a"}, {"name": "a"}]',
        b"[" * 100_000,
    ],
)
def test_a_signature_that_makes_no_sense_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput):
        told_of(text)


@pytest.mark.parametrize(
    ("name", "text", "places"),
    [
        ("rows.csv", "", [""]),
        ("rows.csv", "age,age\n1,2\n", ["line 1"]),
        ("rows.csv", "age,\n1,2\n", ["line 1"]),
        ("rows.csv", "age,kind\n1\n1,2,3\n", ["line 2", "line 3"]),
        ("rows.csv", 'age\n"1\n', ["line 2"]),
        ("rows.jsonl", '{"age": 1}\n[]\n{"age"\n', ["line 2", "line 3"]),
    ],
)
def test_a_faulty_sample_is_refused_with_all_faults(
    tmp_path: Path, name: str, text: str, places: list[str]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        sample(tmp_path, text, name)

    assert [fault.place for fault in caught.value.faults] == places


def test_text_that_looks_like_a_number_stays_text_in_json_lines(tmp_path: Path) -> None:
    rows = sample(tmp_path, '{"zip": "0815"}\n', "rows.jsonl")

    assert not rows.is_number("zip")
    zips: Any = category("zip", ["0815"])
    assert rows.read_by([zips]) == [{"zip": "0815"}]
    assert sample(tmp_path, "zip\n0815\n").read_by([zips]) == [{"zip": "0815"}]
    assert sample(tmp_path, "zip\n0815\n").read_by([Number("zip")]) == [{"zip": 815.0}]
