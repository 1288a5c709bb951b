"""`opsrail decide`: a file of rows in, decisions and problems out."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pytest

from tests.integration.cli.conftest import Shell

POINT = """
from pydantic import BaseModel, Field
from opsrail import Band, DecisionPoint, Policy

class Order(BaseModel):
    amount: float = Field(gt=0)

risk = DecisionPoint(
    "risk",
    request=Order,
    deadline_ms=30_000,
    policy=Policy([Band("approve", below=0.5), Band("review", below=1.01)]),
    fallback=lambda order: "approve" if order.amount < 100 else "review",
)
"""


@pytest.fixture
def folder(shell: Shell) -> Path:
    (shell.folder / "risk.py").write_text(POINT)
    return shell.folder


def test_rows_are_decided_in_order_and_once_a_key(shell: Shell, folder: Path) -> None:
    rows = [b'{"amount": 5}', b'{"amount": -5}', b"nope", b'{"amount": 500}']
    (folder / "rows.jsonl").write_bytes(b"\n".join(rows))
    words = ("decide", "risk.py", "risk", "--input", "rows.jsonl", "--key", "k", "--by", "ana")
    first = shell(*words, "--output", "first.jsonl", "--json")
    again = shell(*words, "--output", "again.jsonl")
    answers = [json.loads(line) for line in (folder / "first.jsonl").read_bytes().splitlines()]

    assert (first.status, again.status) == (1, 1)
    assert first.json == {"rows": 4, "decided": 2, "problems": 2, "output": "first.jsonl"}
    assert [one.get("verdict") for one in answers] == ["approve", None, None, "review"]
    assert [one.get("line") for one in answers] == [None, 2, 3, None]
    assert answers[0]["actor"] == "ana"
    decided = [
        [line for line in (folder / name).read_bytes().splitlines() if b'"verdict"' in line]
        for name in ("first.jsonl", "again.jsonl")
    ]
    assert decided[0] == decided[1]
    assert shell("decisions", "show", answers[0]["id"], "--json").status == 0


def test_arrow_comes_back_as_arrow(shell: Shell, folder: Path) -> None:
    table = pyarrow.table({"amount": [5.0, 500.0]})
    with pyarrow.ipc.new_stream(str(folder / "rows.arrows"), table.schema) as writer:
        writer.write_table(table)
    done = shell("decide", "risk.py", "risk", "--input", "rows.arrows", "--output", "out.arrows")
    answers = pyarrow.ipc.open_stream((folder / "out.arrows").read_bytes()).read_all().to_pylist()

    assert (done.status, "2 of 2 rows decided" in done.out) == (0, True)
    assert [row["verdict"] for row in answers] == ["approve", "review"]


def test_what_is_not_there_is_told(shell: Shell, folder: Path) -> None:
    (folder / "rows.csv").write_text("amount\n1\n")
    (folder / "rows.jsonl").write_text("")
    words = ("--output", "out.jsonl", "--input")
    unknown = shell("decide", "risk.py", "none-such", *words, "rows.jsonl")
    other = shell("decide", "risk.py", "risk", *words, "rows.csv")

    assert (unknown.status, "it defines: risk" in unknown.err) == (2, True)
    assert (other.status, ".jsonl" in other.err) == (2, True)
