"""Arrows only fall: the contracts of importlinter.ini hold, and they bite."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.source import PACKAGE, ROOT, tree_of

CONTRACTS = ROOT / "importlinter.ini"


def lint(folder: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    """Check the package under `folder` against this project's contracts, all of them unless some are named."""
    program = (
        "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    )
    chosen = [word for contract in contracts for word in ("--contract", contract)]
    return subprocess.run(
        [sys.executable, "-c", program, "--config", str(CONTRACTS), "--no-cache", *chosen],
        cwd=folder,
        env={"PYTHONPATH": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("contract", ["floors", "adapters", "wiring", "acyclic"])
def test_an_import_contract_holds(contract: str) -> None:
    done = lint(ROOT / "src", contract)

    assert done.returncode == 0, done.stdout + done.stderr


def test_an_arrow_that_rises_is_caught(tmp_path: Path) -> None:
    house(tmp_path, {"values/__init__.py": "import opsrail.app\n"})

    done = lint(tmp_path)

    assert "opsrail.values is not allowed to import opsrail.app" in done.stdout


def test_a_trade_that_names_an_adapter_is_caught(tmp_path: Path) -> None:
    house(tmp_path, {"cases/__init__.py": "import opsrail.store\n"})

    done = lint(tmp_path)

    assert "opsrail.cases -> opsrail.store" in done.stdout


def test_an_adapter_that_names_a_trade_is_caught(tmp_path: Path) -> None:
    house(tmp_path, {"store/__init__.py": "import opsrail.decide\n"})

    done = lint(tmp_path)

    assert "opsrail.store is not allowed to import opsrail.decide" in done.stdout


def test_a_room_that_nobody_placed_is_caught(tmp_path: Path) -> None:
    house(tmp_path, {"attic/__init__.py": ""})

    done = lint(tmp_path)

    assert "attic" in done.stdout
    assert done.returncode == 1


def house(folder: Path, rooms: dict[str, str]) -> None:
    """Write a small opsrail whose rooms are empty but for `rooms`."""
    names = ("app", "cases", "connect", "decide", "errors", "store", "testing", "values")
    empty = {f"{name}/__init__.py": "" for name in names}
    for name, text in {"__init__.py": "", **empty, **rooms}.items():
        path = folder / "opsrail" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_the_shadow_side_knows_no_store_and_no_write() -> None:
    forbidden = {"Append", "Delete", "Insert", "Registry", "Require", "Store", "Update"}
    side = ("backlog", "shadow", "shadow_asks", "shadow_figures", "shadow_writer")
    named = [
        f"{name}: {alias.name}"
        for name in side
        for node in ast.walk(tree_of(PACKAGE / "decide" / f"{name}.py"))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in forbidden
    ]

    assert named == []
