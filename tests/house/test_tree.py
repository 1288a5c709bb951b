"""The checkout itself: what must be there, and what must not be named in it."""

from __future__ import annotations

import re
import subprocess
import tomllib
from itertools import chain

import pytest

from tests.house.source import ROOT

# In pieces, so that this file does not name what it forbids.
MACHINE_PATH = re.compile(r"(?<![\w.~}/-])/(?:work|root|tmp|home|Users)/[\w.]")
REGISTRY_HOST = re.compile(r"\b(?:pypi|pythonhosted|npmjs|debian|ubuntu)" + r"\.(?:org|com)\b")
PINNED = re.compile(r"^([a-z0-9-]+)==\S+", re.MULTILINE)


@pytest.mark.parametrize(
    "name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"]
)
def test_a_newcomer_finds(name: str) -> None:
    assert (ROOT / name).is_file()


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY_HOST], ids=["machine path", "registry"])
def test_no_file_names_one_machine_or_one_registry(pattern: re.Pattern[str]) -> None:
    found = [
        f"{name}:{number} {hit.group()}"
        for name, text in kept_texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if (hit := pattern.search(line))
    ]

    assert found == []


@pytest.mark.parametrize("name", sorted(one.name for one in ROOT.glob("requirements/*.lock")))
def test_a_lock_pins_every_package_by_hash_and_names_no_place(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    unhashed = [
        block.splitlines()[0]
        for block in re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)
        if PINNED.match(block) and "--hash=sha256:" not in block
    ]

    assert unhashed == []
    assert not re.search(r"://|--(?:index|extra|find|trusted)|\s@\s|^-", text, re.MULTILINE)


def test_the_lock_holds_everything_that_the_project_asks_for() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, groups = pyproject["project"], pyproject["dependency-groups"]
    extras = project["optional-dependencies"].values()
    asked = [*project["dependencies"], *chain(*extras), *groups["test"], *groups["build"]]
    names = {re.split(r"[\[<>=!~ ;]", one, maxsplit=1)[0].lower() for one in asked} - {"opsrail"}
    pinned = set(PINNED.findall((ROOT / "requirements/dev.lock").read_text(encoding="utf-8")))

    assert names - pinned == set()


def test_the_lock_takes_opencv_without_a_display() -> None:
    pinned = set(PINNED.findall((ROOT / "requirements/dev.lock").read_text(encoding="utf-8")))

    assert {name for name in pinned if name.startswith("opencv")} == {"opencv-python-headless"}


def kept_texts() -> list[tuple[str, str]]:
    """Return every text file that is tracked or about to be, by name."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=True,
    )
    names = sorted(filter(None, listed.stdout.decode().split("\0")))
    raw = {name: (ROOT / name).read_bytes() for name in names if (ROOT / name).is_file()}
    return [(n, b.decode("utf-8", errors="replace")) for n, b in raw.items() if b"\0" not in b]
