"""Of a case's documents its pages and answers tell the names; where they lie is told on the command line alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from opsrail.cases.intake import Submission
from opsrail.cases.office import Office, at_rest
from opsrail.values.cases import CaseState
from tests.integration.reviewing.conftest import Console, text_of
from tests.integration.reviewing.test_review_pages import RECEIPT


async def told(console: Console, case_id: str) -> list[str]:
    """Return all that is told of a case, one text a page or answer."""
    places = ("/console/cases/{}", "/v1/cases/{}", "/console/cases", "/v1/cases")
    return [(await console.get(place.format(case_id))).text for place in places]


@pytest.mark.parametrize("name", ["page.jpg", "scan-0007"])
async def test_a_case_names_its_documents_and_not_where_they_lie(
    console: Console, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(RECEIPT.read_bytes())
    path, office = str(tmp_path / name), Office(console.app.store, console.app.clock)
    review = await console.review(receipt=path, desk="four-desk")
    case_id = str((await console.app.desk.get(review)).case_id)
    for person in ("ann", "bob"):
        await console.app.desk.rule(review, "approve", by=person)
    async with asyncio.timeout(20):
        while (view := await office.view(case_id)).case.state != CaseState.SETTLED:  # noqa: ASYNC110 - a loop of the app carries it
            await asyncio.sleep(0.05)
    texts = await told(console, case_id)
    texts.append((await console.get(f"/console/decisions/{view.decisions[0].id}")).text)
    answered = orjson.loads(texts[1])

    assert answered["input"]["receipt"] == answered["outcome"]["receipt"] == name
    assert texts[0].count(name) == 2
    assert view.record()["input"]["receipt"] == path
    if name.endswith(".jpg"):
        assert name in texts[-1]
        assert all(str(tmp_path) not in text for text in texts)
    assert all(str(tmp_path) not in text for text in texts[:2])


async def test_why_a_document_was_not_read_is_told_without_its_folder(
    console: Console, tmp_path: Path
) -> None:
    lost = tmp_path / "files" / "lost.pdf"
    submission = Submission("desk-claims", {"number": 9, "receipt": str(lost)}, "test")
    row, is_new = await console.app.intake.accept(submission)
    office = Office(console.app.store, console.app.clock)
    row = await at_rest(office, console.app.runner, row, is_new=is_new, wait_s=20)
    texts = await told(console, row.id)

    assert str(lost) in str(row.reason)
    assert all("lost.pdf" in text for text in (*texts[:2], texts[3]))
    for text in texts:
        assert str(tmp_path) not in text
    assert "lost.pdf" in text_of(await console.get(f"/console/cases/{row.id}"))
