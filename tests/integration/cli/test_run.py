from __future__ import annotations

import csv
import gzip
import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Shell

BAD = """order,amount,note
O-1,10,
,20,
O-3,-5,x
O-4,ten,
O-5,30,"two
lines"
O-6,40
O-7,50,
"""
SLOW = """
import asyncio
from pydantic import BaseModel
from opsrail import Automation, Case

class Row(BaseModel):
    n: int

slow = Automation("slow", case=Row, outcome=Row)

async def think() -> int:
    print("begun", flush=True)
    await asyncio.sleep(600)
    return 1

@slow.run
async def handle(case: Case, row: Row) -> Row:
    await case.step(think)
    return row
"""


def test_every_row_becomes_a_case_and_the_result_says_so(shell: Shell) -> None:
    shell.orders(3)

    ended = shell.run("orders.csv")

    assert ended.status == 0
    result = ended.json
    assert result.pop("duration_s") > 0
    assert result.pop("cases_per_s") > 0
    assert result == {
        "file": "orders.csv",
        "automation": "orders",
        "rows": 3,
        "accepted": 3,
        "new": 3,
        "rejected": 0,
        "cases": {"settled": 3, "waiting": 0, "set_aside": 0, "cancelled": 0, "running": 0},
        "actions": {"due": 0, "held": 0, "dead": 0},
        "rejected_file": None,
    }
    assert sorted(shell.paid()) == ["O-0", "O-1", "O-2"]


def test_bad_rows_are_set_aside_with_line_and_every_fault_while_good_rows_run(shell: Shell) -> None:
    shell.write("orders.csv", BAD)

    ended = shell.run("orders.csv")

    assert ended.status == 1
    assert (ended.json["rows"], ended.json["accepted"], ended.json["rejected"]) == (7, 3, 4)
    assert sorted(shell.paid()) == ["O-1", "O-5", "O-7"]
    with (shell.folder / "orders.rejected.csv").open(newline="") as file:
        rejected = list(csv.reader(file))
    assert rejected == [
        ["line", "faults", "order", "amount", "note"],
        ["3", "order: String should have at least 1 character", "", "20", ""],
        ["4", "amount: Input should be greater than 0", "O-3", "-5", "x"],
        ["5", "amount: Input should be a valid number, unable to parse string as a number", "O-4", "ten", ""],
        ["8", "has 2 cells; the first line names 3", "O-6", "40"],
    ]  # fmt: skip


def test_rejected_rows_run_from_their_own_file_once_they_are_mended(shell: Shell) -> None:
    shell.write("orders.csv", BAD)
    shell.run("orders.csv")
    file = shell.folder / "orders.rejected.csv"
    file.write_text(
        file.read_text()
        .replace(",-5,", ",5,")
        .replace(",ten,", ",10,")
        .replace("O-6,40", "O-6,40,")
    )

    ended = shell.run("orders.rejected.csv")

    assert (ended.json["rows"], ended.json["accepted"], ended.json["rejected"]) == (4, 3, 1)
    assert sorted(shell.paid()) == ["O-1", "O-3", "O-4", "O-5", "O-6", "O-7"]


@pytest.mark.crash
@pytest.mark.parametrize(
    "point",
    [
        "intake.file_checked",
        "intake.batch_accepted",
        "intake.batch_accepted:2",
        "case.before_commit:700",
    ],
)
def test_a_run_that_is_killed_goes_on_where_it_was_and_doubles_nothing(
    shell: Shell, point: str
) -> None:
    shell.orders(1200)

    killed = shell.run("orders.csv", env={"OPSRAIL_CRASH_AT": point})
    again = shell.run("orders.csv")

    assert killed.status == -signal.SIGKILL
    assert again.status == 0
    assert (again.json["accepted"], again.json["cases"]["settled"]) == (1200, 1200)
    cases = shell("cases", "list", "--limit", "10000", "--json").json["cases"]
    assert len(cases) == 1200
    assert set(shell.paid()) == {f"O-{number}" for number in range(1200)}
    keys = {line.split()[1] for line in (shell.folder / "paid.log").read_text().splitlines()}
    assert len(keys) == 1200
    assert shell("ledger", "verify").status == 0


def test_a_file_that_is_done_makes_no_case_when_it_is_run_again(shell: Shell) -> None:
    shell.orders(3)
    shell.run("orders.csv")

    again = shell.run("orders.csv")

    assert (again.status, again.json["new"], again.json["accepted"]) == (0, 0, 3)
    assert Counter(shell.paid()) == {"O-0": 1, "O-1": 1, "O-2": 1}


def test_a_file_that_was_begun_under_another_model_is_refused(shell: Shell) -> None:
    shell.write("orders.csv", BAD)
    shell.run("orders.csv")
    automation = (shell.folder / "automation.py").read_text()
    shell.write("automation.py", automation.replace("gt=0, ", ""))

    again = shell.run("orders.csv")

    assert (again.status, again.json["error"]["code"]) == (1, "conflict")
    assert "the model of orders changed since" in again.json["error"]["message"]
    assert len(shell.paid()) == 3


def test_a_case_that_fails_again_and_again_is_set_aside_and_the_status_tells(shell: Shell) -> None:
    shell.write("orders.csv", "order,amount,note\nO-1,10,fails\nO-2,10,\n")

    ended = shell.run("orders.csv")

    assert ended.status == 1
    assert ended.json["cases"]["set_aside"] == 1
    assert shell.paid() == ["O-2"]


def test_a_run_ends_when_the_rest_waits_for_people_and_says_what_to_do(shell: Shell) -> None:
    shell.orders(2, amount=900)

    ended = shell("run", "automation.py", "--input", "orders.csv")

    assert ended.status == 0
    assert "2  waiting for people: opsrail reviews list" in ended.out


def test_waiting_runs_on_while_another_process_rules(shell: Shell) -> None:
    shell.orders(2, amount=900)
    running = shell.begin("run", "automation.py", "--input", "orders.csv", "--json", "--wait")

    reviews = shell.reviews(2)
    ruled = [shell("reviews", "rule", one["id"], "approve", "--by", "ana") for one in reviews]
    out, _ = running.communicate(timeout=60)

    assert [one.status for one in ruled] == [0, 0]
    assert running.returncode == 0
    assert json.loads(out)["cases"] == {
        "settled": 2,
        "waiting": 0,
        "set_aside": 0,
        "cancelled": 0,
        "running": 0,
    }
    assert sorted(shell.paid()) == ["O-0", "O-1"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_says_what_is_durable_and_how_to_go_on(
    shell: Shell, number: int
) -> None:
    shell.write("slow.py", SLOW)
    shell.write("rows.csv", "n\n1\n2\n")
    running = shell.begin("run", "slow.py", "--input", "rows.csv")
    assert running.stdout is not None
    assert running.stdout.readline() == "begun\n"

    running.send_signal(number)
    _, err = running.communicate(timeout=60)

    assert running.returncode == 130
    assert "2 of 2 rows are durable cases" in err


def test_a_run_that_a_script_put_in_the_background_is_ended_by_sigterm_alone(shell: Shell) -> None:
    shell.write("slow.py", SLOW)
    shell.write("rows.csv", "n\n1\n2\n")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does; children inherit it
    try:
        running = shell.begin("run", "slow.py", "--input", "rows.csv")
    finally:
        signal.signal(signal.SIGINT, before)
    assert running.stdout is not None
    assert running.stdout.readline() == "begun\n"

    running.send_signal(signal.SIGINT)
    running.send_signal(signal.SIGTERM)
    _, err = running.communicate(timeout=60)

    assert running.returncode == 130
    assert "2 of 2 rows are durable cases" in err
    assert "opsrail run slow.py --input rows.csv" in err
    assert "Traceback" not in err
    states = {case["state"] for case in shell("cases", "list", "--json").json["cases"]}
    assert states == {"ready"}


def test_two_runs_on_one_folder_are_refused_with_the_reason(shell: Shell) -> None:
    shell.write("slow.py", SLOW)
    shell.write("rows.csv", "n\n1\n")
    shell.orders(1)
    running = shell.begin("run", "slow.py", "--input", "rows.csv")
    assert running.stdout is not None
    assert running.stdout.readline() == "begun\n"

    second = shell.run("orders.csv")

    assert (second.status, second.json["error"]["code"]) == (1, "data-dir-in-use")
    assert f"process {running.pid}" in second.json["error"]["message"]


def test_json_lines_gzip_and_parquet_run_like_csv(shell: Shell) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow")
    shell.write(
        "a.jsonl",
        '{"order": "J-1", "amount": 1}\n\n{"order": "J-2", "amount": 2.5, "note": null}\n',
    )
    shell.write("b.csv.gz", gzip.compress(b"order,amount\nG-1,1\n"))
    shell.write("c.jsonl.gz", gzip.compress(b'{"order": "G-2", "amount": 1}\n'))
    table = arrow.table({"order": ["P-1", "P-2"], "amount": [1.0, None], "note": [None, "x"]})
    parquet.write_table(table, shell.folder / "d.parquet")

    ended = [shell.run(name) for name in ("a.jsonl", "b.csv.gz", "c.jsonl.gz", "d.parquet")]

    assert [one.json["accepted"] for one in ended] == [2, 1, 1, 1]
    assert [one.json["rejected"] for one in ended] == [0, 0, 0, 1]
    assert sorted(shell.paid()) == ["G-1", "G-2", "J-1", "J-2", "P-1"]
    assert (
        "2,amount: Input should be a valid number" in (shell.folder / "d.rejected.csv").read_text()
    )


def test_a_folder_of_documents_runs_one_case_an_image(shell: Shell) -> None:
    shell.write("scans.py", SCANS)
    shell.write("scans/b.png", b"\x89PNG\r\n\x1a\n....")
    shell.write("scans/a.jpg", b"\xff\xd8\xff....")
    shell.write("scans/broken.png", b"not an image")
    shell.write("scans/notes.txt", b"not a document")

    ended = shell("run", "scans.py", "--input", "scans", "--json")

    assert (ended.status, ended.json["rows"], ended.json["rejected"]) == (1, 3, 1)
    outcomes = [case["outcome"] for case in shell("cases", "list", "--json").json["cases"]]
    assert [Path(one["scan"]) for one in outcomes] == [
        shell.folder.resolve() / "scans/b.png",
        shell.folder.resolve() / "scans/a.jpg",
    ]
    assert (shell.folder / "scans.rejected.csv").read_text().splitlines()[1:] == [
        "3,broken.png: is not a png image,broken.png"
    ]


def test_a_row_names_documents_beside_its_file_and_nowhere_else(shell: Shell) -> None:
    shell.write("scans.py", SCANS)
    shell.write("outside.png", b"x")
    shell.write("in/here.png", b"x")
    (shell.folder / "in/link.png").symlink_to(shell.folder / "outside.png")
    rows = [
        "scan",
        "here.png",
        "../outside.png",
        "gone.png",
        "link.png",
        str(shell.folder / "outside.png"),
    ]
    shell.write("in/rows.csv", "\n".join(rows) + "\n")

    ended = shell("run", "scans.py", "--input", "in/rows.csv", "--json")

    assert (ended.json["accepted"], ended.json["rejected"]) == (1, 4)
    faults = (shell.folder / "in/rows.rejected.csv").read_text()
    assert faults.count("lies outside") == 3
    assert faults.count("there is no file") == 1


SCANS = """
from pathlib import Path
from pydantic import BaseModel
from opsrail import Automation, Case

class Scan(BaseModel):
    scan: Path

class Seen(BaseModel):
    scan: str

scans = Automation("scans", case=Scan, outcome=Seen)

@scans.run
async def handle(case: Case, given: Scan) -> Seen:
    return Seen(scan=str(given.scan))
"""
