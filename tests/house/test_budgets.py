"""Sizes and names: a smoke alarm for files that took on too much."""

from __future__ import annotations

import ast

from tests.house.source import PACKAGE, place, source_files, tree_of

FILE_LINES = 400
FUNCTION_LINES = 40
NAMES_THAT_SAY_NOTHING = {
    "common", "helper", "helpers", "manager", "managers", "misc", "util", "utils",
}  # fmt: skip


def test_no_file_is_longer_than_its_budget() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in source_files()}
    over = [f"{path.relative_to(PACKAGE)}: {n}" for path, n in lengths.items() if n > FILE_LINES]

    assert over == []


def test_no_function_is_longer_than_its_budget() -> None:
    over = [
        f"{place(path, node)} {node.name}: {lines_of(node)}"
        for path in source_files()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and lines_of(node) > FUNCTION_LINES
    ]

    assert over == []


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    parts = {
        part for path in source_files() for part in path.relative_to(PACKAGE).with_suffix("").parts
    }

    assert parts & NAMES_THAT_SAY_NOTHING == set()


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines from `def` to the end, without the docstring: that one is the reader's."""
    first = function.body[0]
    is_documented = ast.get_docstring(function) is not None
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if is_documented else 0
    return (function.end_lineno or function.lineno) - function.lineno + 1 - docstring
