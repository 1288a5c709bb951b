"""docs/faults.md names tests that are there, and every crash point as the code has it."""

from __future__ import annotations

import re
from pathlib import Path

from opsrail.faults import POINTS
from tests.house.source import PACKAGE, ROOT, source_files

PAGE = (ROOT / "docs/faults.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`([a-z_]+(?:/[a-z_]+)*/test_[a-z_]+\.py)`")
PASSED = re.compile(r'faults\.point\(\s*"([a-z_.]+)"')
DECLARED = re.compile(r'^    "([a-z_.]+)",  # (.+)$', re.MULTILINE)
ROW = re.compile(r"^\| `([a-z_.]+)` \| (.+) \|$", re.MULTILINE)


def test_every_test_that_the_page_names_is_there() -> None:
    named = set(NAMED.findall(PAGE))

    assert len(named) > 30
    assert [name for name in sorted(named) if not (ROOT / "tests" / name).is_file()] == []


def test_every_crash_point_is_told_as_the_code_tells_it() -> None:
    declared = DECLARED.findall((PACKAGE / "faults.py").read_text(encoding="utf-8"))

    assert tuple(name for name, _ in declared) == POINTS
    assert ROW.findall(PAGE.partition("## Crash points")[2]) == declared


def test_every_crash_point_is_passed_in_the_code_and_no_other_is() -> None:
    texts = [path.read_text(encoding="utf-8") for path in source_files() if Path(path).is_file()]

    assert {name for text in texts for name in PASSED.findall(text)} == set(POINTS)


def test_those_who_contribute_are_led_to_where_crash_points_are_told() -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

    assert "`faults.POINTS`" in guide
    assert "docs/faults.md" in guide
