"""Wrong calls of `opsrail lab tune`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from opsrail.cli.lab_tune import tune
from opsrail.cli.options import Invocation


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "--point, or a file with --scores"),
        (("--scores", "FILE", "--point", "a"), "--point, or a file with --scores"),
        (("--scores", "FILE", "--write-change"), "--write-change is of a point's own"),
        (("--scores", "FILE", "--ruled", "decline"), "leave MODEL"),
        (("--scores", "FILE", "--verdicts", "a,b"), "is not APPROVE,REVIEW,DECLINE"),
        (("fraud", "--point", "fraud-risk", "--outcome", "fraud"), "names no model version"),
        (("--point", "fraud-risk", "--outcome", "fraud", "--audit", "x=y"), "is not VERDICT=RATIO"),
        (("--scores", "FILE", "--confidence", "1"), "0.5<=x<1"),
    ],
)
def test_a_wrong_call_is_told(tmp_path: Path, args: tuple[str, ...], said: str) -> None:
    path = tmp_path / "scored.csv"
    path.write_text("score,label\n0.5,1\n")
    given = [str(path) if arg == "FILE" else arg for arg in args]
    told = CliRunner().invoke(tune, [*given, "--risk", "approved is fraud <= 5%"], obj=Invocation())

    assert told.exit_code == 2
    assert said in " ".join(told.output.replace("│", " ").split())
