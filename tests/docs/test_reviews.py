"""The page on reviews says what a queue takes, and its first example is one; so are those of its neighbours."""

from __future__ import annotations

from dataclasses import fields

import orjson

from opsrail import Audit, Queue
from opsrail.values.guards import guard_of
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


def test_the_guard_of_the_page_on_rollouts_is_one() -> None:
    blocks = (DOCS / "rollouts.md").read_text(encoding="utf-8").split("```json\n")[1:]
    found = [guard_of(orjson.loads(block.split("```")[0])) for block in blocks]

    assert len(found) == 1


def test_the_page_s_spot_checks_are_some() -> None:
    page = (DOCS / "quality.md").read_text(encoding="utf-8")
    written = page.split("audit=")[1].split(",\n)\n```")[0]
    found = eval(written, {"Audit": Audit})  # noqa: S307 - our own page

    assert isinstance(found, Audit)
