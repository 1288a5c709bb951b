from __future__ import annotations

import subprocess
import sys

import pytest

from opsrail.cli.main import COMMANDS
from tests.integration.cli.conftest import Shell

HEAVY = ("asyncio", "cryptography", "pydantic", "pydantic_core", "rich", "sqlite3", "starlette")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.csv", b"", "is empty"),
        ("two.csv", b"order,order,amount\nO-1,O-1,5\n", "2 columns are named 'order'"),
        ("nameless.csv", b"order,,amount\nO-1,x,5\n", "column 2 has no name"),
        ("missing.csv", b"order,note\nO-1,x\n", "'amount' is missing"),
        ("semicolons.csv", b"order;amount\nO-1;5\n", "separated by semicolons"),
        ("wide.csv", "order,amount\nO-1,5\n".encode("utf-16"), "UTF-16"),
        ("mac.csv", b"order,amount\rO-1,5\r", "lines must end with LF or CRLF"),
        ("torn.csv.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b", "is damaged"),
        ("plain.csv.gz", b"order,amount\nO-1,5\n", "is damaged"),
        ("fake.parquet", b"order,amount\nO-1,5\n", "is no Parquet file"),
        ("orders.xlsx", b"PK", "is no input file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_whole_in_one_message(
    shell: Shell, name: str, content: bytes, told: str
) -> None:
    shell.write(name, content)

    ended = shell.run(name)

    assert ended.status == 1
    assert ended.json["error"]["code"] == "invalid-input"
    assert told in ended.out
    assert "Traceback" not in ended.err
    assert not (shell.folder / "opsrail-data").exists()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("run", "automation.py"), "Missing option '--input'"),
        (("run", "automation.py", "--input", "gone.csv"), "'gone.csv' does not exist"),
        (("nonsense",), "No such command 'nonsense'"),
        (("cases", "retry"), "name the cases, or give --all"),
        (("new", "Not A Name"), "is no name"),
        (("models", "register", "m", "automation.py"), "--training-rows"),
    ],
)
def test_a_wrong_call_has_status_2_and_says_what_is_right(
    shell: Shell, args: tuple[str, ...], told: str
) -> None:
    said = shell(*args)
    written = shell(*args, "--json")

    assert (said.status, said.out) == (2, "")
    assert told in said.err
    assert (written.status, written.err) == (2, "")
    assert written.json["error"]["code"] == "usage"
    assert told in written.json["error"]["message"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import opsrail\nx = 1 +\n", "author.py:2: invalid syntax"),
        ("import opsrail\n\nopsrail.Nothing\n", "author.py:3: AttributeError"),
        ("import opsrail\n", "defines no Automation"),
        (
            "from opsrail import Automation\nAutomation('A b', case=int, outcome=int)\n",
            "author.py:2",
        ),
    ],
)
def test_a_mistake_in_the_authors_file_is_one_message_with_its_line(
    shell: Shell, text: str, told: str
) -> None:
    shell.write("author.py", text)
    shell.orders(1)

    ended = shell("run", "author.py", "--input", "orders.csv")

    assert (ended.status, ended.out) == (1, "")
    assert told in ended.err
    assert "Traceback" not in ended.err


def test_an_error_for_people_and_for_programs_says_the_same(shell: Shell) -> None:
    shell.orders(1)
    shell.run("orders.csv")

    said = shell("cases", "show", "nothing")
    written = shell("cases", "show", "nothing", "--json")

    message = "no case nothing; list them with `opsrail cases list`"
    assert (said.status, said.out, said.err) == (1, "", f"opsrail: {message}\n")
    assert written.json == {"error": {"code": "not-found", "message": message, "faults": []}}
    assert written.err == ""


def test_every_fault_of_the_settings_is_told_at_once(shell: Shell) -> None:
    shell.write("opsrail.toml", "[web]\nport = 99999\nprot = 1\n")

    ended = shell("config", "check", "--json", env={"OPSRAIL_CASES__THREADS": "none"})

    assert (ended.status, ended.json["error"]["code"]) == (1, "config-invalid")
    assert [fault["place"] for fault in ended.json["error"]["faults"]] == [
        "cases.threads",
        "web.port",
        "web.prot",
    ]


def test_channels_that_serve_would_refuse_are_told_by_a_check_with_all_that_is_wrong(
    shell: Shell,
) -> None:
    shell.write(
        "opsrail.toml",
        '[channels.a]\nkind = "webhook"\nurl = "https://a.example/x"\n'
        '[channels.b]\nkind = "mail"\nhost = "m"\nsender = "o@x.org"\nto = "a@x.org"\n'
        'quiet = "at night"\nkinds = "review.opend"\n',
    )
    ended = shell("config", "check", "--json")
    shell.write("opsrail.toml", '[channels.a]\nkind = "mail"\n')
    lacking = shell("config", "check")

    assert (ended.status, ended.json["error"]["code"]) == (1, "config-invalid")
    assert [fault["place"] for fault in ended.json["error"]["faults"]] == [
        "channels.a.secret",
        "channels.b.kinds",
        "channels.b.quiet",
    ]
    assert "channels.a: a channel of kind mail needs host, sender, to (from opsrail" in lacking.err


def test_settings_are_shown_with_their_origin_and_secrets_are_not(shell: Shell) -> None:
    shell.write("opsrail.toml", "[cases]\nthreads = 3\n")
    secret = {
        "OPSRAIL_WEB__API_KEY": "hunter2",
        "OPSRAIL_STORE__URL": "postgresql://me:hunter2@db/x",
    }

    shown = shell("config", "show", "--json", env=secret)
    said = shell("config", "show", env=secret)

    rows = {row["name"]: (row["value"], row["origin"]) for row in shown.json["settings"]}
    assert rows["cases.threads"] == (3, "opsrail.toml")
    assert rows["web.api_key"] == ("(set, not shown)", "OPSRAIL_WEB__API_KEY")
    assert rows["web.port"] == (8321, "default")
    assert "hunter2" not in shown.out + said.out


def test_a_fault_of_opsrail_is_one_line_and_its_traceback_is_in_the_log(shell: Shell) -> None:
    shell.write("bug.py", BUG)

    ended = subprocess.run(
        [sys.executable, "bug.py"],
        cwd=shell.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    shown = subprocess.run(
        [sys.executable, "bug.py", "--debug"],
        cwd=shell.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "a fault of opsrail itself: ZeroDivisionError" in ended.stderr
    assert "ZeroDivisionError" in (shell.folder / "opsrail.log").read_text()
    assert "Traceback" in shown.stderr


def test_asking_for_help_imports_nothing_heavy(shell: Shell) -> None:
    call = "import sys; from opsrail.cli.main import main; main(sys.argv[1:]); "
    text = f"{call}print([name for name in {HEAVY} if name in sys.modules])"

    for args in (("--help",), ("run", "--help"), ("ledger", "verify", "--help")):
        ended = subprocess.run(
            [sys.executable, "-c", text, *args],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert ended.stdout.splitlines()[-1] == "[]"


def test_output_that_nobody_reads_any_more_ends_quietly(shell: Shell) -> None:
    shell.orders(1)
    shell.run("orders.csv")

    ended = subprocess.run(
        [sys.executable, "-c", CLOSED, "cases", "list", "--json"],
        cwd=shell.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "Traceback" not in ended.stderr
    assert "BrokenPipe" not in ended.stderr


def test_every_command_in_the_list_can_be_loaded(shell: Shell) -> None:
    for name in COMMANDS:
        ended = shell(name, "--help")
        assert (ended.status, "Usage: opsrail" in ended.out) == (0, True), name


BUG = """
import sys
from opsrail.cli import main, new
def broken(*_):
    return 1 / 0
new._texts = broken
sys.exit(main.main(["new", "x", "--data", ".", *sys.argv[1:]]))
"""
CLOSED = """
import os, sys
reader, writer = os.pipe()
os.close(reader)
os.dup2(writer, 1)
from opsrail.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
