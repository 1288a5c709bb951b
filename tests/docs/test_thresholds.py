"""The page on thresholds: its example runs, and each risk in its table is one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from opsrail.lab.risk import Words, read_risks

PAGE = (Path(__file__).parents[2] / "docs" / "thresholds.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## Risks in words")[2].partition("`fraud` stands")[0]


def test_the_page_s_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)

    exec(compile(block, "thresholds.md", "exec"), {})  # noqa: S102 - our own text

    assert "Promised with 0.95 confidence" in capsys.readouterr().out


@pytest.mark.parametrize("text", re.findall(r"`([^`]*<= [^`]*)`", TABLE))
def test_each_risk_on_the_page_can_be_read(text: str) -> None:
    assert read_risks([text.replace("\\|", "|")], Words("fraud"))
