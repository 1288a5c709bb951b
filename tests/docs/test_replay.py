"""The page on replay and what-if: its policy is one, and its example runs."""

from __future__ import annotations

import re

import pytest

from opsrail.lab.policy_file import policy_of
from opsrail.lab.replayed import Difference
from tests.house.source import ROOT

PAGE = (ROOT / "docs" / "replay.md").read_text(encoding="utf-8")


def test_the_page_s_policy_is_one() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)

    assert policy_of(block)[0].review == "review"


def test_the_page_s_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(block, "docs/replay.md", "exec"), {})  # noqa: S102 - our own page

    assert capsys.readouterr().out == "1 0.08333333333333333 0.0\n"


def test_everything_that_can_differ_stands_on_the_page() -> None:
    told = re.findall(r"`([a-z]+)`", (Difference.__doc__ or "").partition("name:")[0])

    assert len(told) == 11
    for what in told:
        assert f"`{what}`" in PAGE
