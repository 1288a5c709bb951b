"""The lab's page names every value of a scenario, and its example runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from opsrail.lab import arrivals, scenario, service
from opsrail.lab.parts import Part

PAGE = (Path(__file__).parents[2] / "docs" / "lab.md").read_text(encoding="utf-8")
PARTS = sorted(
    {
        part
        for module in (arrivals, scenario, service)
        for part in vars(module).values()
        if isinstance(part, type) and issubclass(part, Part) and part is not Part
    },
    key=lambda part: part.__name__,
)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_value_of_a_scenario_is_on_the_page(part: type[Part]) -> None:
    missing = [
        name for name in part.model_fields if name != "kind" and not re.search(rf"`{name}\b", PAGE)
    ]

    assert missing == []


def test_the_page_s_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)

    exec(compile(block, "lab.md", "exec"), {})  # noqa: S102 - our own text

    assert capsys.readouterr().out.startswith("1.0 ")


def test_the_example_of_the_page_on_challengers_prints_what_it_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "shadow.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)

    exec(compile(block, "shadow.md", "exec"), {})  # noqa: S102 - our own text

    assert f"prints `{capsys.readouterr().out.strip()}`" in page
