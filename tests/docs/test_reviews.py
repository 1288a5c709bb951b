"""The page on reviews says what a queue takes, and its first example is one."""

from __future__ import annotations

from dataclasses import fields

from opsrail import Queue
from tests.docs.generate import DOCS

PAGE = (DOCS / "reviews.md").read_text(encoding="utf-8")


def test_the_page_s_queue_is_one() -> None:
    block = PAGE.split("```python\n")[1].split("```")[0]
    names: dict[str, object] = {}
    exec(compile(block, "docs/reviews.md", "exec", dont_inherit=True), names)  # noqa: S102 - our own page

    assert isinstance(names["claims_desk"], Queue)


def test_everything_that_a_queue_takes_stands_on_the_page() -> None:
    told = {field.name for field in fields(Queue)} - {"name", "title"}

    assert [name for name in sorted(told) if f"| `{name}` |" not in PAGE] == []
