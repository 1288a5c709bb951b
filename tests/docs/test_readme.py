"""The README's code is real: its automation runs, and its test passes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
LINKS = re.findall(r"\]\(([^)#]+)\)", README)


@pytest.fixture
def claims_file(tmp_path: Path) -> Path:
    path = tmp_path / "claims.py"
    path.write_text(BLOCKS[0], encoding="utf-8")
    return path


def test_the_readmes_test_passes_on_the_readmes_automation(claims_file: Path) -> None:
    names: dict[str, object] = {}
    exec(compile(BLOCKS[1], "README.md", "exec"), names)  # noqa: S102 - our own text
    test = names["test_a_large_claim_waits_for_a_person"]

    assert callable(test)
    test(claims_file)


@pytest.mark.parametrize("link", LINKS)
def test_a_link_of_the_readme_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_the_first_screen_has_both_commands() -> None:
    first_screen = README[:1500]

    assert "make demo" in first_screen
    assert "make test" in first_screen
