"""What the source may not do, and the one file that may."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house.source import PACKAGE, calls, dotted, imported, place, source_files, tree_of

CLOCK = PACKAGE / "clock.py"
CONFIG = PACKAGE / "config" / "reading.py"
UNPICKLING = {"cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "pickle", "shelve"}
RUNNING_TEXT = {
    "eval", "exec", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "numpy.load", "np.load", "torch.load",
}  # fmt: skip
TIME_AND_CHANCE = {"random", "secrets", "time", "uuid"}
MOMENTS = {
    "asyncio.get_running_loop().time", "date.today", "datetime.date.today", "datetime.datetime.now",
    "datetime.datetime.today", "datetime.datetime.utcnow", "datetime.now", "datetime.today", "datetime.utcnow",
    "loop.time", "os.getrandom", "os.urandom",
}  # fmt: skip
ENVIRONMENT = {"environ", "environb", "getenv", "putenv", "unsetenv"}


def test_nothing_is_ever_unpickled() -> None:
    assert imports_of(UNPICKLING) == []


def test_no_text_from_outside_is_run_as_code() -> None:
    assert calls_of(RUNNING_TEXT) == []


def test_only_the_clock_reads_time_chance_and_ids() -> None:
    assert imports_of(TIME_AND_CHANCE, may=CLOCK) + calls_of(MOMENTS, may=CLOCK) == []


def test_only_the_clock_waits() -> None:
    waits = [
        place(path, call)
        for path in source_files()
        if path != CLOCK
        for call, name in calls(tree_of(path))
        if name == "asyncio.sleep" and not gives_way(call)
    ]

    assert waits == []


def test_only_config_reads_the_environment() -> None:
    readers = [
        place(path, node)
        for path in source_files()
        if path != CONFIG
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute)
        and node.attr in ENVIRONMENT
        and dotted(node.value) == "os"
    ]
    takers = [
        place(path, node)
        for path in source_files()
        if path != CONFIG
        for node, name in imported(tree_of(path))
        if name in {f"os.{name}" for name in ENVIRONMENT}
    ]

    assert readers + takers == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import pickle", ["pickle"]),
        ("from joblib.externals import loky", ["joblib"]),
        ("def f():\n    import time as t", ["time"]),
        ("import timeit", []),
        ("from .time import now", []),
    ],
)
def test_an_import_is_seen_however_it_is_written(text: str, names: list[str]) -> None:
    found = [name.partition(".")[0] for _, name in imported(ast.parse(text))]

    assert [name for name in found if name in UNPICKLING | TIME_AND_CHANCE] == names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("datetime.now(UTC)", "datetime.now"),
        ("asyncio.get_running_loop().time()", "asyncio.get_running_loop().time"),
        ("yaml.load(text)", "yaml.load"),
    ],
)
def test_a_call_is_seen_by_its_dotted_name(text: str, name: str) -> None:
    assert name in [found for _, found in calls(ast.parse(text))]


def imports_of(modules: set[str], may: Path | None = None) -> list[str]:
    """Return where any of the modules is imported by a file other than `may`."""
    return [
        f"{place(path, node)} imports {name}"
        for path in source_files()
        if path != may
        for node, name in imported(tree_of(path))
        if name.partition(".")[0] in modules
    ]


def calls_of(names: set[str], may: Path | None = None) -> list[str]:
    """Return where any of the names is called by a file other than `may`."""
    return [
        f"{place(path, call)} calls {name}"
        for path in source_files()
        if path != may
        for call, name in calls(tree_of(path))
        if name in names
    ]


def gives_way(call: ast.Call) -> bool:
    """Whether a call of `asyncio.sleep` waits for nothing and only lets others run."""
    return (
        len(call.args) == 1 and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0
    )
