"""A file of scores and labels."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import pytest

from opsrail.errors import InvalidInput
from opsrail.lab.score_file import read_scores


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scored.csv"


def test_columns_are_read_by_name_and_empty_cells_are_not_known(path: Path) -> None:
    path.write_text("id,label,score\n1,1,0.5\n2,,1e-3\n3,No,0\n4,TRUE,1\n", encoding="utf-8-sig")
    found = read_scores(path)

    assert found.scores == [0.5, 0.001, 0.0, 1.0]
    assert [found.labels[place] for place in (0, 2, 3)] == [1.0, 0.0, 1.0]
    assert math.isnan(found.labels[1])
    assert found.ratios is None


def test_a_sample_has_its_chance_beside_it_also_packed(tmp_path: Path) -> None:
    path = tmp_path / "scored.csv.gz"
    path.write_bytes(gzip.compress(b"score,label,ratio\n0.5,1,0.1\n0.4,,0.1\n0.3,,\n"))
    found = read_scores(path)

    assert found.ratios is not None
    assert found.ratios[:2] == [0.1, 0.1]
    assert math.isnan(found.ratios[2])


def test_all_faults_are_told_with_their_line(path: Path) -> None:
    path.write_text("score,label,ratio\n1.5,1,1\n0.5,maybe,1\n,1,0\nnan,0,1\n0.2,1\n")
    with pytest.raises(InvalidInput) as refused:
        read_scores(path)

    assert [fault.place for fault in refused.value.faults] == [
        "line 2 score", "line 3 label", "line 4 score", "line 4 ratio", "line 5 score",
    ]  # fmt: skip


def test_many_faults_are_counted(path: Path) -> None:
    path.write_text("score,label\n" + "2,1\n" * 60)
    with pytest.raises(InvalidInput, match="10 more faults"):
        read_scores(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"score\n0.5\n", "no column label"),
        (b"", "no column score and no column label"),
        (b"score,label\n", "no rows"),
        (b"score,label\n\xff,1\n", "cannot be read"),
    ],
)
def test_a_file_that_is_none_is_refused(path: Path, text: bytes, said: str) -> None:
    path.write_bytes(text)
    with pytest.raises(InvalidInput, match=said):
        read_scores(path)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scored.csv.gz"
    path.write_bytes(gzip.compress(b"score,label\n0.5,1\n")[:-9])
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_scores(path)
