"""The verifier as an auditor runs it: one file, its own process, no opsrail."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from opsrail.ledger import book, exporting, verifier
from tests.unit.ledger.desk import Desk


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run the exported verifier in its folder; return exit code and output."""
    done = subprocess.run(
        [sys.executable, "-I", "verifier.py", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout + done.stderr


async def exported(folder: Path) -> Desk:
    """Export a book of 300 entries with a proof beside it."""
    desk = Desk(folder)
    await desk.store.open()
    await desk.write(120, 180)
    await exporting.export(desk.store, folder / "export", desk.known)
    proof = await book.prove(desk.store, desk.chain.writer, 130, desk.known)
    (folder / "export" / "proof.json").write_text(json.dumps(proof))
    return desk


async def test_an_export_and_a_proof_are_checked_by_the_file_that_came_along(
    tmp_path: Path,
) -> None:
    desk = await exported(tmp_path)
    key = ("--key", str(desk.known[0]))
    folder = tmp_path / "export"

    assert run(folder, ".", *key, "--checkpoint", "../checkpoint.note") == (
        0,
        "300 entries, all fits; signatures checked\n",
    )
    assert run(folder, "proof.json", *key) == (0, "1 entries, all fits; signatures checked\n")
    assert run(folder, ".") == (0, "300 entries, all fits; signatures NOT checked: give --key\n")


async def test_a_changed_export_fails_with_the_first_bad_entry(tmp_path: Path) -> None:
    desk = await exported(tmp_path)
    folder = tmp_path / "export"
    text = (folder / "entries.jsonl").read_text()
    (folder / "entries.jsonl").write_text(text.replace('\\"number\\":17,', '\\"number\\":18,'))
    code, output = run(folder, ".", "--key", str(desk.known[0]))

    assert code == 1
    assert output.splitlines()[0] == "from entry 17: its body is not what was hashed"


@pytest.mark.parametrize(
    ("file", "content", "arguments", "reason"),
    [
        ("entries.jsonl", "{", (".",), "line 1: is not JSON"),
        ("entries.jsonl", '{"index": 0}\n', (".",), "unusable: KeyError"),
        ("entries.jsonl", "[]\n", (".",), "unusable: TypeError"),
        ("proof.json", "[]", ("proof.json",), "unusable: TypeError"),
        ("proof.json", "{}", ("missing.json",), "unusable: FileNotFoundError"),
        ("proof.json", "{}", (".", "--key", "nonsense"), "does not look like name+id+key"),
        (
            "proof.json",
            "{}",
            (".", "--key", "name+00000000+AQ=="),
            "is no Ed25519 key, or was mistyped",
        ),
        ("proof.json", "{}", (".", "--checkpoint", "none"), "unusable: FileNotFoundError"),
    ],
)
async def test_what_cannot_be_read_is_said_and_nothing_is_vouched_for(
    tmp_path: Path, file: str, content: str, arguments: tuple[str, ...], reason: str
) -> None:
    await exported(tmp_path)
    (tmp_path / "export" / file).write_text(content)
    code, output = run(tmp_path / "export", *arguments)

    assert code == 2
    assert reason in output


def test_it_needs_nothing_but_the_standard_library_and_one_package() -> None:
    nodes = list(ast.walk(ast.parse(Path(verifier.__file__).read_text("utf-8"))))
    names = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}

    assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names == {"cryptography"}
