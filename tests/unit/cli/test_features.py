"""Calls of `opsrail features` that are wrong by themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from opsrail.cli.main import main

TRAIN = ("training-set", "--views", "policyholder@2", "--at-column", "at")


@pytest.mark.parametrize(
    ("args", "what"),
    [
        (("push", "policyholder@2"), "give --entity"),
        (("push", "policyholder@2", "claims=1"), "give --entity"),
        (("push", "policyholder@2", "--entity", "p", "claims"), "is not NAME=VALUE"),
        (("backfill", "make-history@1", "--cases"), "--cases needs --file"),
        (("get", "policyholder@2", "p", "--at", "soon"), "is no moment"),
        (
            (*TRAIN, "--rows", "ROWS", "--entity-column", "x@1=a", "--output", "o.csv"),
            "not in --views",
        ),
        (
            (*TRAIN, "--rows", "ROWS", "--entity-column", "a", "--output", "o.txt"),
            "name it as it is written",
        ),
    ],
)
def test_a_wrong_call_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], what: str
) -> None:
    rows = tmp_path / "labels.csv"
    rows.write_text("a,at\n", encoding="utf-8")

    status = main(["features", *(str(rows) if arg == "ROWS" else arg for arg in args)])

    assert status == 2
    assert what in capsys.readouterr().err
